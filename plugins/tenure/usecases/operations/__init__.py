"""Keeps the installation in order: maintain, reconcile, verify the ledger."""
