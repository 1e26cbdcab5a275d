"""One library each, concrete; none imports another."""
