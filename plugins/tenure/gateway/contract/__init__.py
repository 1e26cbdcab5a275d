"""What is accepted and what is answered: bodies, rows, keys, refusals, metrics."""
