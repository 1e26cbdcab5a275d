"""Approval, canary, trial loads: how a version comes to serve."""
