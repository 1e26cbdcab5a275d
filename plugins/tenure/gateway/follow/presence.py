"""What this gateway lets the lifecycle database know of itself: its plans, and that it is there."""

import logging
import math
from collections.abc import Callable

from tenure.errors import TenureError
from tenure.gateway.follow.source import LifecycleSource
from tenure.gateway.scoring.view import ServedModel
from tenure.lifecycle.serving.presence import RENEW_SECONDS

logger = logging.getLogger(__name__)


class Attendance:
    """Says which plans it took up, now and then that it is there, and that it ends.

    Args:
        source: The lifecycle database.
        monotonic: Seconds that never jump.
    """

    def __init__(self, source: LifecycleSource, *, monotonic: Callable[[], float]) -> None:
        self._source = source
        self._monotonic = monotonic
        self._acknowledged: dict[str, int] = {}
        self._renew_at = -math.inf
        self._is_heard = True
        """Whether the last word went well."""

    def acknowledge(self, model: ServedModel) -> None:
        """Once a generation, when every version it names is warm and its lease still runs."""
        held = model.held
        if self._acknowledged.get(model.name) == held.plan.generation:
            return
        if model.is_complete and held.seconds_left(self._monotonic()) != 0.0:
            self._source.acknowledge(held.plan)
            self._acknowledged[model.name] = held.plan.generation
            logger.info(
                "plan=serving model=%s generation=%s share_bp=%s",
                model.name,
                held.plan.generation,
                held.share_bp(self._monotonic()),
            )

    def renew(self) -> None:
        """Say that it is there, if it is time; what was forgotten is acknowledged again.

        Serving does not depend on it; that it fails is logged once.
        """
        if self._monotonic() < self._renew_at:
            return
        self._renew_at = self._monotonic() + RENEW_SECONDS
        try:
            written = self._source.renew()
        except TenureError as error:
            if self._is_heard:
                logger.warning("presence=unknown cause=%s", error.what)
            self._is_heard = False
            return
        except Exception:
            self._renew_at = -math.inf  # the follower tells of it and tries again
            raise
        self._is_heard = True
        known = self._acknowledged.items()
        self._acknowledged = {name: seen for name, seen in known if written.get(name, -1) >= seen}

    def leave(self) -> None:
        """Say that it ends, if it was heard: whoever waits for its answers need not."""
        if not self._is_heard:
            return
        try:
            self._source.leave()
        except TenureError as error:
            logger.warning("presence=unknown cause=%s", error.what)
