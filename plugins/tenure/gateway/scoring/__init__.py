"""Decisions: route, score in batches, fall back."""
