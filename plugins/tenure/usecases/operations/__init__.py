"""Keeps the installation in order: maintain, reconcile, act on incidents."""
