"""How a version ends: states, manifest, record."""
