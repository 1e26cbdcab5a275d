"""What is verified about the installation itself: the ledger and what follows it."""
