"""Follows the lifecycle database: polls plans, keys and states, loads versions, acknowledges plans.

It is the only one here that reads the database, and no request waits for it. What it last knew is
kept on disk, so that a restart during an outage of the database serves the same stable plan.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from tenure.errors import ServiceUnreachable, TenureError
from tenure.gateway.keys import Key
from tenure.gateway.known import StateFile
from tenure.gateway.scoring import Scorer
from tenure.gateway.view import LoadedVersion, ServedModel, View
from tenure.lifecycle.serving import (
    Catalog,
    HeldPlan,
    Score,
    ServingPolicy,
    Signature,
    TrafficPlan,
    hold,
    supersedes,
)
from tenure.ports import Clock

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
_RETRY_LOAD_SECONDS = 5.0
_KEEP_UNNAMED_SECONDS = 60.0
"""How long a version stays in memory that no plan names any more: requests may still hold it."""


class Source(Protocol):
    """The lifecycle database as the follower uses it. Every method may raise TenureError."""

    def read(self, known_versions: frozenset[int]) -> Catalog:
        """Plans, states, keys and models now, with the rows of named versions not yet known."""
        ...

    def acknowledge(self, plan: TrafficPlan) -> None:
        """This gateway serves by the plan."""
        ...

    def report_refusal(self, model: str, version: int, cause: str) -> None:
        """A version that a plan names could not be loaded: open an incident."""
        ...

    def wait(self, seconds: float) -> None:
        """Sleep, at most so long; less when a plan was published."""
        ...


class Loader(Protocol):
    """Where models come from."""

    def load(self, row: Mapping[str, Any]) -> Score:
        """From a version row to its scoring function, verified and warm. Raises if it is not."""
        ...

    def keep_only(self, digests: frozenset[str]) -> None:
        """Drop copies of all other artifacts: a retired model must not linger on this disk."""
        ...


class Follower:
    """Keeps `view` up to date in a thread of its own.

    Args:
        source: The lifecycle database.
        loader: Loads versions.
        policy: The serving policy of a model.
        disk: Where the last known state is kept.
        clock: Wall clock.
        monotonic: Seconds that never jump; leases are measured by it.
    """

    def __init__(
        self,
        source: Source,
        *,
        loader: Loader,
        policy: Callable[[str], ServingPolicy],
        disk: StateFile,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = View()
        self.seen_at: float | None = None
        """Monotonic seconds of the last successful read of the database."""
        self._source = source
        self._loader = loader
        self._policy = policy
        self._disk = disk
        self._clock = clock
        self._monotonic = monotonic
        self._known = Catalog()
        self._loaded: dict[int, LoadedVersion] = {}
        self._unnamed_since: dict[int, float] = {}
        self._failed_at: dict[int, float] = {}
        self._acknowledged: dict[str, int] = {}
        self._was_reachable = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Serve by the database, or by what is on disk until it answers."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; takes up to one poll."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(POLL_SECONDS * 4)

    def restore(self) -> None:
        """Take over the state on disk: stable plans in full, canaries without their share."""
        known = self._disk.read()
        if known is not None:
            self._take(known, confirmed=False)

    def poll(self) -> None:
        """One look at the database. Raises TenureError when it cannot be reached."""
        fresh = self._source.read(frozenset(self._known.versions))
        known = replace(fresh, versions={**self._known.versions, **fresh.versions})
        self._take(known, confirmed=True)
        self.seen_at = self._monotonic()
        for model in self.view.models.values():
            self._acknowledge(model)
        self._disk.write(self._known)

    def _run(self) -> None:
        """The database first; the copy on disk only when it does not answer."""
        if not self._look():
            self._fall_back_on_disk()
        while not self._stop.is_set():
            self._source.wait(POLL_SECONDS)
            self._look()

    def _look(self) -> bool:
        try:
            self.poll()
        except ServiceUnreachable as error:
            if self._was_reachable:
                logger.warning("database=unreachable cause=%s", error.what)
            self._was_reachable = False
            return False
        except Exception:  # a follower that dies would freeze the plan without anybody knowing
            logger.exception("follower=failed")
            return False
        self._was_reachable = True
        return True

    def _fall_back_on_disk(self) -> None:
        try:
            self.restore()
        except Exception:  # a spoilt file must not keep the gateway from what comes later
            logger.exception("state_file=unreadable")

    def _take(self, known: Catalog, *, confirmed: bool) -> None:
        """Build the next view. Keys and states count at once; loading a model may take a while."""
        self.view = replace(
            self.view,
            known=frozenset(known.models),
            states=known.states,
            keys={digest: Key(name, frozenset(scopes)) for digest, name, scopes in known.keys},
        )
        served = [self._serve(plan, known, confirmed=confirmed) for plan in known.plans]
        self.view = replace(self.view, models={m.name: m for m in served if m is not None})
        named = {i for m in self.view.models.values() for i in m.held.plan.version_ids}
        named |= {i for plan in known.plans for i in plan.version_ids}
        kept = {i: row for i, row in known.versions.items() if i in named}
        if kept.keys() != self._known.versions.keys():
            self._loader.keep_only(frozenset(str(r["artifact_digest"]) for r in kept.values()))
        self._known = replace(known, versions=kept)
        self._forget(named)

    def _serve(self, plan: TrafficPlan, known: Catalog, *, confirmed: bool) -> ServedModel | None:
        """The model by its newest plan; by the old one as long as the new one cannot be loaded.

        Unless the old one cannot answer either: then the newest plan, its canary without share.
        """
        policy = self._policy(plan.model)
        current = self.view.models.get(plan.model)
        if current is not None and not supersedes(plan, current.held, confirmed=confirmed):
            if current.is_complete:
                return replace(current, policy=policy)
            arms = [self._version(i, known) for i in current.held.plan.version_ids]
            return _served(current.held, arms, policy) or current
        arms = [self._version(i, known) for i in plan.version_ids]
        is_complete = all(arm is not None and arm.scorer is not None for arm in arms)
        if current is not None and current.is_ready and not is_complete:
            return replace(current, policy=policy)
        held = hold(
            plan,
            wall_now=self._clock.now(),
            monotonic_now=self._monotonic(),
            confirmed=confirmed and is_complete,
        )
        return _served(held, arms, policy)

    def _version(self, version_id: int, known: Catalog) -> LoadedVersion | None:
        """The version from memory or freshly loaded; without scorer when it was refused."""
        loaded = self._loaded.get(version_id)
        if loaded is not None and loaded.scorer is not None:
            return loaded
        row = known.versions.get(version_id)
        if row is None:
            return None
        if loaded is not None and not self._is_time_to_retry(version_id):
            return loaded
        self._loaded[version_id] = loaded = self._try_load(row)
        return loaded

    def _is_time_to_retry(self, version_id: int) -> bool:
        return self._monotonic() - self._failed_at.get(version_id, 0.0) >= _RETRY_LOAD_SECONDS

    def _try_load(self, row: Mapping[str, Any]) -> LoadedVersion:
        name = f"{row['model']}@{row['version']}"
        scorer = None
        started = self._monotonic()
        try:
            scorer = Scorer(self._loader.load(row), name=name)
            logger.info("load=ok version=%s seconds=%.2f", name, self._monotonic() - started)
        except Exception as error:  # bytes from outside: anything may come; the old plan stays
            self._failed_at[row["id"]] = self._monotonic()
            cause = error.what if isinstance(error, TenureError) else repr(error)
            logger.error("load=refused version=%s cause=%s", name, cause)  # noqa: TRY400
            self._report(row, cause)
        return _described(row, scorer)

    def _report(self, row: Mapping[str, Any], cause: str) -> None:
        try:
            self._source.report_refusal(row["model"], row["version"], cause)
        except TenureError as error:
            logger.warning("incident=not_opened cause=%s", error.what)

    def _acknowledge(self, model: ServedModel) -> None:
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

    def _forget(self, named: set[int]) -> None:
        """Let go of versions that no plan has named for a while."""
        now = self._monotonic()
        for version_id in list(self._loaded):
            if version_id in named:
                self._unnamed_since.pop(version_id, None)
            elif now - self._unnamed_since.setdefault(version_id, now) > _KEEP_UNNAMED_SECONDS:
                scorer = self._loaded.pop(version_id).scorer
                del self._unnamed_since[version_id]
                if scorer is not None:
                    scorer.close()


def _described(row: Mapping[str, Any], scorer: Scorer | None) -> LoadedVersion:
    """The version; one whose facts cannot be read accepts nothing and holds up no other model."""
    facts = row["facts"]
    try:
        signature, threshold = Signature.from_facts(facts), float(facts.get("threshold", 0.5))
    except (KeyError, TypeError, ValueError, AttributeError):
        signature, threshold, scorer = Signature((), ()), 0.5, None
    return LoadedVersion(row["id"], row["version"], threshold, signature, scorer)


def _served(
    held: HeldPlan, arms: list[LoadedVersion | None], policy: ServingPolicy
) -> ServedModel | None:
    """None when not even the description of the champion is known."""
    champion, canary = (*arms, None)[:2]
    if champion is None:
        return None
    return ServedModel(
        name=held.plan.model,
        held=held,
        champion=champion,
        canary=canary,
        policy=policy,
        accepts=champion.signature.or_also(canary.signature if canary else None),
    )
