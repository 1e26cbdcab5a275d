"""What a registered version states about itself: the signed statement and its digests."""
