"""Puts the parts of a gateway together as a Starlette app."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from tenure.gateway import refusals
from tenure.gateway.decisions import Decider
from tenure.gateway.endpoints import Endpoints
from tenure.gateway.follower import Follower, Loader, Source
from tenure.gateway.known import StateFile
from tenure.gateway.log import GroupLog
from tenure.gateway.metrics import Metrics
from tenure.gateway.outcomes import OutcomeDesk
from tenure.gateway.records import DecisionDelivery, OutcomeDelivery
from tenure.gateway.shipper import Deliver, Shipper
from tenure.lifecycle.serving import ServingPolicy
from tenure.ports import Clock, Ids


@dataclass(frozen=True)
class Parts:
    """What a gateway is given from outside.

    Args:
        gateway: Id, stable over restarts; part of object keys.
        folder: State folder of this gateway alone.
        source: The lifecycle database.
        loader: Where models come from.
        policy: Serving policy of a model.
        deliver_decisions: Stores a segment of decisions.
        deliver_outcomes: Stores a segment of outcomes and moves watermarks.
        subject_key: Secret of the pseudonyms.
    """

    gateway: str
    folder: Path
    source: Source
    loader: Loader
    policy: Callable[[str], ServingPolicy]
    deliver_decisions: DecisionDelivery
    deliver_outcomes: OutcomeDelivery
    subject_key: bytes
    clock: Clock
    ids: Ids
    monotonic: Callable[[], float] = time.monotonic


class Gateway:
    """The running parts: two logs with their shippers, and the follower."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.metrics = Metrics()
        deliveries: dict[str, Deliver] = {
            "decisions": parts.deliver_decisions,
            "outcomes": parts.deliver_outcomes,
        }
        folders = {name: parts.folder / "wal" / name for name in deliveries}
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        self.shippers = {name: Shipper(folders[name], d) for name, d in deliveries.items()}
        self.logs = {
            name: GroupLog(folder, new_id=parts.ids.new, on_sealed=self.shippers[name].wake)
            for name, folder in folders.items()
        }
        self.follower = Follower(
            parts.source,
            loader=parts.loader,
            policy=parts.policy,
            disk=StateFile(parts.folder / "state.json"),
            clock=parts.clock,
            monotonic=parts.monotonic,
        )

    def start(self) -> None:
        """Ship what was left, then follow the plans."""
        for shipper in self.shippers.values():
            shipper.start()
        self.follower.start()

    def close(self) -> None:
        """Seal the logs and ship them; what cannot be shipped now is shipped at the next start."""
        self.follower.close()
        for name, log in self.logs.items():
            log.close()
            self.shippers[name].close()

    def endpoints(self) -> Endpoints:
        """The HTTP surface over these parts."""
        parts = self.parts
        return Endpoints(
            follower=self.follower,
            decider=Decider(
                self.logs["decisions"],
                subject_key=parts.subject_key,
                clock=parts.clock,
                ids=parts.ids,
                metrics=self.metrics,
                monotonic=parts.monotonic,
            ),
            desk=OutcomeDesk(self.logs["outcomes"], clock=parts.clock, ids=parts.ids),
            logs=self.logs,
            shippers=self.shippers,
            metrics=self.metrics,
            gateway=parts.gateway,
            monotonic=parts.monotonic,
        )


def create_app(gateway: Gateway) -> Starlette:
    """The ASGI app; its lifespan starts and closes the gateway."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        gateway.start()
        try:
            yield
        finally:
            await asyncio.to_thread(gateway.close)

    return Starlette(
        routes=_routes(gateway.endpoints()),
        lifespan=lifespan,
        exception_handlers={
            HTTPException: refusals.on_http_exception,
            refusals.Refusal: refusals.on_refusal,
            Exception: refusals.on_crash,
        },
    )


def _routes(ends: Endpoints) -> list[Route]:
    """Hot paths first: routes are tried in order."""
    model = "/v2/models/{model}"
    table = [
        ("POST", f"{model}/infer", ends.infer),
        ("POST", f"{model}/versions/{{version:int}}/infer", ends.infer_version),
        ("POST", "/invocations", ends.invocations),
        ("POST", f"{model}/outcomes", ends.outcomes),
        ("GET", f"{model}/plan", ends.plan),
        ("GET", f"{model}/ready", ends.model_ready),
        ("GET", model, ends.describe),
        ("GET", "/v2/health/live", ends.live),
        ("GET", "/v2/health/ready", ends.ready),
        ("GET", "/metrics", ends.prometheus),
    ]
    return [Route(path, ends.counted(handler), methods=[verb]) for verb, path, handler in table]
