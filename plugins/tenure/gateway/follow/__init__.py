"""Follows the lifecycle database: plans, versions, trials, presence."""
