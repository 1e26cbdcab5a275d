"""The copy on disk of what the gateway last knew, for a restart while the database is away."""

import os
from pathlib import Path

import msgspec

from tenure.files import whole_file
from tenure.lifecycle.serving import Catalog


class LastKnownState:
    """One JSON file, replaced as a whole and readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: Catalog | None = None

    def read(self) -> Catalog | None:
        """The state of the last write, or None before the first. Raises msgspec.DecodeError."""
        if not self._path.exists():
            return None
        return msgspec.json.decode(self._path.read_bytes(), type=Catalog)

    def write(self, state: Catalog) -> None:
        """Replace the file when the state differs from what this process wrote last."""
        if state == self._last:
            return
        with whole_file(self._path) as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(msgspec.json.encode(state))
        self._last = state
