"""Tells the lifecycle database what became of versions here, so that incidents open and close."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from tenure.errors import ServiceUnreachable
from tenure.gateway.follow.source import LifecycleSource
from tenure.lifecycle.model_version import VersionRecord
from tenure.ports import Clock

logger = logging.getLogger(__name__)


class VersionReports:
    """What is to be told. Used by the follower's thread alone.

    Args:
        source: The lifecycle database.
        clock: Wall clock.
        monotonic: The clock by which loads are timed.
    """

    def __init__(
        self, source: LifecycleSource, *, clock: Clock, monotonic: Callable[[], float]
    ) -> None:
        self._source = source
        self._clock = clock
        self._monotonic = monotonic
        self._pending: dict[int, tuple[VersionRecord, datetime, str]] = {}

    def failed(self, row: VersionRecord, kind: str, cause: str) -> None:
        """It was refused, or its process died: somebody has to look."""
        try:
            self._source.report_failure(row.model, row.version, kind, cause)
        except Exception as error:  # serving does not depend on it
            logger.warning("incident=not_opened cause=%r", error)

    def loaded(self, row: VersionRecord, began: float, note: str) -> None:
        """It is loaded; told later, because a start without the database must not wait for it.

        Args:
            row: The version.
            began: Monotonic seconds when the load began.
            note: Why it is not as its YAML asks; empty when it is.
        """
        ago = timedelta(seconds=self._monotonic() - began)
        self._pending[row.id] = (row, self._clock.now() - ago, note)

    def report(self) -> None:
        """Tell of loads, now that the database answers; what it does not take is told again."""
        for version_id, (row, began, note) in list(self._pending.items()):
            try:
                self._source.report_load(row.model, row.version, began=began, note=note)
            except ServiceUnreachable as error:  # the others would meet the same
                logger.warning("incident=not_closed cause=%s", error.what)
                return
            except Exception as error:  # about this version: the others are told
                logger.warning("incident=not_closed version=%s cause=%r", row.version, error)
                continue
            del self._pending[version_id]
