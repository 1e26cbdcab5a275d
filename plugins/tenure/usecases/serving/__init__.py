"""What a gateway needs from the installation: plans, verified models, keys, incidents."""
