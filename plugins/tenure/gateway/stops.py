"""Canaries that a person stopped at this gateway: they get nothing here, database or not.

A stop is on disk before it is answered, so it holds over a restart; the lifecycle database hears of
it as soon as it answers, and maintenance rolls the canary back for all gateways.
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from tenure.gateway.view import ServedModel
from tenure.lifecycle.serving import CanaryStop


class Stops:
    """The stops in force. Not thread-safe: its user holds a lock.

    Args:
        path: File that keeps them; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all: dict[int, CanaryStop] = {}
        self._is_saved = True
        if path.exists():
            found = msgspec.json.decode(path.read_bytes(), type=list[CanaryStop])
            self._all = {stop.version_id: stop for stop in found}

    def put(self, stop: CanaryStop) -> None:
        """Keep it, durably; a second one for the same canary replaces the first. Raises OSError."""
        self._write({**self._all, stop.version_id: stop})

    def untold(self) -> list[CanaryStop]:
        """What the lifecycle database does not know yet."""
        return [stop for stop in self._all.values() if not stop.is_told]

    def told(self, stop: CanaryStop) -> None:
        """The lifecycle database knows it; what replaced it meanwhile is still to be told.

        On disk with the next `save`: a process that dies before tells it once more, without harm.
        """
        if self._all.get(stop.version_id) == stop:
            self._all[stop.version_id] = replace(stop, is_told=True)
            self._is_saved = False

    def forget(self, named: Iterable[int]) -> None:
        """Drop those that are told, of canaries that no plan names any more; `save` keeps it."""
        plans = set(named)
        kept = {i: s for i, s in self._all.items() if i in plans or not s.is_told}
        self._is_saved = self._is_saved and kept == self._all
        self._all = kept

    def save(self) -> None:
        """Bring the file up to date. Raises OSError; the stops are in force all the same."""
        if not self._is_saved:
            self._write(self._all)

    def applied(self, model: ServedModel) -> ServedModel:
        """The model, its canary without share when it is stopped: as if its lease had ended."""
        if model.held.plan.canary_id not in self._all:
            return model
        return replace(model, held=replace(model.held, lease_ends=float("-inf")))

    def _write(self, stops: dict[int, CanaryStop]) -> None:
        temporary = self._path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(list(stops.values())))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(self._path)
        self._all = stops
        self._is_saved = True
