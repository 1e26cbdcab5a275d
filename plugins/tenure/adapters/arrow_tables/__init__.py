"""Batches as Arrow tables: read strictly against a contract, written the same on every machine."""

from tenure.adapters.arrow_tables.profile import profile_file, profile_table
from tenure.adapters.arrow_tables.reading import Batch, read_batch
from tenure.adapters.arrow_tables.rebuilding import rebuild_batch
from tenure.adapters.arrow_tables.writing import time_range, write_quarantine, write_snapshot

__all__ = [
    "Batch",
    "profile_file",
    "profile_table",
    "read_batch",
    "rebuild_batch",
    "time_range",
    "write_quarantine",
    "write_snapshot",
]
