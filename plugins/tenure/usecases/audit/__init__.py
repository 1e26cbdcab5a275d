"""Proves what happened: the ledger, its checkpoints, the witness."""
