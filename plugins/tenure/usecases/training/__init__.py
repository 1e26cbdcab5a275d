"""From a retrain request to a validated version with its evidence."""
