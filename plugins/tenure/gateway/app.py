"""Puts the parts of a gateway together as an ASGI app."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tenure.errors import TenureError
from tenure.gateway.contract.keys import Gatekeeper, Tokens
from tenure.gateway.contract.metrics import Metrics
from tenure.gateway.follow.follower import Follower
from tenure.gateway.follow.last_known import LastKnownState
from tenure.gateway.follow.source import LifecycleSource
from tenure.gateway.follow.stops import Stops
from tenure.gateway.follow.watchman import PlatformWatch, Watchman
from tenure.gateway.follow.worker import Loader
from tenure.gateway.http.endpoints import Endpoints
from tenure.gateway.http.front import Front
from tenure.gateway.http.inspection import Inspection
from tenure.gateway.http.intake import Intake
from tenure.gateway.http.reception import Reception
from tenure.gateway.http.replays import Replays
from tenure.gateway.log.feedback import FeedbackDelivery, FeedbackDesk
from tenure.gateway.log.outcomes import OutcomeDesk
from tenure.gateway.log.records import DecisionDelivery, OutcomeDelivery
from tenure.gateway.log.sealing import Vault, sealed_for_now
from tenure.gateway.log.shipper import Alarm, Deliver, Shipper
from tenure.gateway.log.writer import GroupLog
from tenure.gateway.scoring.decisions import Decider
from tenure.lifecycle.serving import GatewayPolicy, ServingPolicy
from tenure.lifecycle.training.labels import LabelRule
from tenure.lifecycle.training.numbers import OutcomeRule
from tenure.ports import Clock, Ids

logger = logging.getLogger(__name__)

_NOTE_SECONDS = 60.0


@dataclass(frozen=True)
class Parts:
    """What a gateway is given from outside.

    Args:
        gateway: Id, stable over restarts; part of object keys.
        folder: State folder of this gateway alone.
        source: The lifecycle database.
        loader: Where models come from.
        policy: Serving policy of a model.
        labels: What counts as a label of a model.
        deliver_decisions: Stores a segment of decisions.
        deliver_outcomes: Stores a segment of outcomes and moves watermarks.
        deliver_feedback: Keeps a segment of feedback.
        subject_key: Secret of the pseudonyms.
        limits: What this gateway takes on.
        tokens: What verifies an identity provider's tokens; None when only keys are accepted.
        note_use: Writes that keys were used just now.
        vault: Keys that seal personal features; None when no model is personal.
        alarm: Opens and closes incidents about a log.
        watch: Misses what is silent of the platform; None watches nothing.
    """

    gateway: str
    folder: Path
    source: LifecycleSource
    loader: Loader
    policy: Callable[[str], ServingPolicy]
    deliver_decisions: DecisionDelivery
    deliver_outcomes: OutcomeDelivery
    deliver_feedback: FeedbackDelivery
    subject_key: bytes
    clock: Clock
    ids: Ids
    monotonic: Callable[[], float] = time.monotonic
    limits: GatewayPolicy = field(default_factory=GatewayPolicy)
    tokens: Tokens | None = None
    labels: Callable[[str], OutcomeRule] = lambda _model: LabelRule()
    note_use: Callable[[Sequence[str]], None] = lambda _digests: None
    vault: Vault | None = None
    alarm: Alarm = lambda _log, _troubles: None
    watch: PlatformWatch | None = None


class Gateway:
    """The running parts: three logs with their shippers, and the follower."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.draining = threading.Event()
        """Set when the process was told to end: it answers still, and says that it is not ready."""
        self.metrics = Metrics()
        deliveries: dict[str, Deliver] = {
            "decisions": parts.deliver_decisions,
            "outcomes": parts.deliver_outcomes,
            "feedback": parts.deliver_feedback,
        }
        folders = {name: parts.folder / "wal" / name for name in deliveries}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        self.shippers = {
            name: Shipper(
                folders[name],
                deliver,
                alarm=parts.alarm,
                on_empty=self._forget_keys if name == "decisions" else None,
                monotonic=parts.monotonic,
            )
            for name, deliver in deliveries.items()
        }
        self.logs = {
            name: GroupLog(folder, new_id=parts.ids.new, on_sealed=self.shippers[name].wake)
            for name, folder in folders.items()
        }
        self.follower = Follower(
            parts.source,
            loader=parts.loader,
            policy=parts.policy,
            disk=LastKnownState(parts.folder / "state.json"),
            stops=Stops(parts.folder / "stops.json"),
            clock=parts.clock,
            monotonic=parts.monotonic,
        )
        self.watchman = Watchman(parts.watch)
        self.keeper = Gatekeeper(
            lambda: self.follower.view.keys, tokens=parts.tokens, monotonic=parts.monotonic
        )

    def start(self) -> None:
        """Ship what was left, then follow the plans."""
        for shipper in self.shippers.values():
            shipper.start()
        self.follower.start()
        self.watchman.start()

    def close(self) -> None:
        """Seal the logs and ship them; what cannot be shipped now is shipped at the next start."""
        self.watchman.close()
        for log in self.logs.values():  # first: no rule answers because its model is gone already
            log.close()
        self.follower.close()
        for shipper in self.shippers.values():
            shipper.close()

    def _forget_keys(self) -> None:
        """Nothing waits for the store: then no key is needed that was not used for a while.

        Unless the log has something that it could not seal: the next start finds and ships it.
        """
        if self.parts.vault is not None and self.logs["decisions"].is_sound:
            self.parts.vault.forget()

    def handlers(self) -> tuple[Endpoints, Inspection]:
        """The HTTP surface over these parts."""
        parts = self.parts
        reception = Reception(self.follower, self.keeper)
        taking = Endpoints(
            reception=reception,
            decider=Decider(
                self.logs["decisions"],
                subject_key=parts.subject_key,
                clock=parts.clock,
                ids=parts.ids,
                metrics=self.metrics,
                monotonic=parts.monotonic,
                **({} if parts.vault is None else {"seal": partial(sealed_for_now, parts.vault)}),
            ),
            desk=OutcomeDesk(
                self.logs["outcomes"],
                subject_key=parts.subject_key,
                rules=parts.labels,
                clock=parts.clock,
                ids=parts.ids,
                limits=parts.limits,
            ),
            feedback_desk=FeedbackDesk(
                self.logs["feedback"],
                subject_key=parts.subject_key,
                rules=parts.labels,
                clock=parts.clock,
                ids=parts.ids,
            ),
            replays=Replays(parts.monotonic),
            metrics=self.metrics,
            intake=Intake(parts.limits),
            limits=parts.limits,
            clock=parts.clock,
        )
        telling = Inspection(
            reception=reception,
            logs=self.logs,
            shippers=self.shippers,
            metrics=self.metrics,
            limits=parts.limits,
            gateway=parts.gateway,
            monotonic=parts.monotonic,
            draining=self.draining,
        )
        return taking, telling


def create_app(gateway: Gateway) -> Front:
    """The ASGI app; its lifespan starts and closes the gateway."""

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        gateway.start()
        noting = asyncio.create_task(_note_use(gateway))
        try:
            yield
        finally:
            noting.cancel()
            await asyncio.to_thread(gateway.close)

    return Front(gateway.handlers(), gateway.metrics, lifespan)


async def _note_use(gateway: Gateway) -> None:
    """Once a minute, beside the requests: which keys are in use."""
    while True:
        await asyncio.sleep(_NOTE_SECONDS)
        if used := gateway.keeper.used():
            try:
                await asyncio.to_thread(gateway.parts.note_use, used)
            except TenureError as error:
                logger.warning("key_use=not_noted cause=%s", error.what)
