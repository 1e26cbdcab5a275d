"""Who is told when a task fails."""
