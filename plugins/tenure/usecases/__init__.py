"""What the system does: one department a stage, one module a verb."""
