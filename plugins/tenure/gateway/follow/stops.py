"""Canaries that a person stopped at this gateway: they get nothing here, database or not.

A stop is on disk before it is answered, so it holds over a restart; the lifecycle database hears of
it as soon as it answers, and maintenance rolls the canary back for all gateways.
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from tenure.files import sync_folder, whole_file
from tenure.gateway.scoring.view import ServedModel
from tenure.lifecycle.serving import CanaryStop

logger = logging.getLogger(__name__)


class Stops:
    """The stops in force. Not thread-safe: its user holds a lock.

    A file that cannot be read is renamed to `stops.json.corrupt`. As long as that is there nobody
    knows which canaries were stopped, so none gets anything here.

    Args:
        path: File that keeps them; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._corrupt = path.with_name(f"{path.name}.corrupt")
        self._all = {stop.version_id: stop for stop in self._read()}
        self._is_saved = True
        self.is_corrupt = self._corrupt.exists()
        """Whether a person has to look which canaries were stopped; as of the last `forget`."""

    def put(self, stop: CanaryStop) -> None:
        """Keep it, durably; a second one for the same canary replaces the first. Raises OSError."""
        self._write({**self._all, stop.version_id: stop})

    def pending(self) -> list[CanaryStop]:
        """What the lifecycle database does not know yet."""
        return [stop for stop in self._all.values() if not stop.is_reported]

    def confirm(self, stop: CanaryStop) -> None:
        """The lifecycle database knows it; what replaced it meanwhile is still to be told.

        On disk with the next `save`: a process that dies before tells it once more, without harm.
        """
        if self._all.get(stop.version_id) == stop:
            self._all[stop.version_id] = replace(stop, is_reported=True)
            self._is_saved = False

    def forget(self, named: Iterable[int]) -> None:
        """Drop those that are told, of canaries that no plan names any more; `save` keeps it."""
        self.is_corrupt = self._corrupt.exists()
        plans = set(named)
        kept = {i: s for i, s in self._all.items() if i in plans or not s.is_reported}
        self._is_saved = self._is_saved and kept == self._all
        self._all = kept

    def save(self) -> None:
        """Bring the file up to date. Raises OSError; the stops are in force all the same."""
        if not self._is_saved:
            self._write(self._all)

    def applied(self, model: ServedModel) -> ServedModel:
        """The model, its canary without share when it is stopped: as if its lease had ended."""
        canary = model.held.plan.canary_id
        if canary is None or not (self.is_corrupt or canary in self._all):
            return model
        return replace(model, held=replace(model.held, lease_ends=float("-inf")))

    def _write(self, stops: dict[int, CanaryStop]) -> None:
        with whole_file(self._path) as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(msgspec.json.encode(list(stops.values())))
        self._all = stops
        self._is_saved = True

    def _read(self) -> list[CanaryStop]:
        if not self._path.exists():
            return []
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[CanaryStop])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            logger.error("stops=corrupt kept_as=%s cause=%s", self._corrupt.name, error)  # noqa: TRY400
            self._path.replace(self._corrupt)
            sync_folder(self._path.parent)
            return []
