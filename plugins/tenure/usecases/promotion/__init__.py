"""From approval through the canary to traffic, and back."""
