"""Retires model versions in steps, each of which can be done again."""
