"""Follows the lifecycle database: polls plans, keys and states, loads versions, acknowledges plans.

It is the only one here that reads the database, and no request waits for it. What it last knew is
kept on disk, so that a restart during an outage of the database serves the same stable plan.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from tenure.errors import ServiceUnreachable, TenureError
from tenure.gateway.contract.keys import Caller
from tenure.gateway.follow.last_known import LastKnownState
from tenure.gateway.follow.presence import Attendance
from tenure.gateway.follow.source import LifecycleSource
from tenure.gateway.follow.stops import Stops
from tenure.gateway.follow.version_reports import VersionReports
from tenure.gateway.follow.worker import Loader, Workers, kept_digests
from tenure.gateway.scoring.view import LoadedVersion, ServedModel, ServingView, served
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.promotion.trial_loads import Trial
from tenure.lifecycle.serving import (
    ApiKey,
    CanaryStop,
    Catalog,
    ClockReading,
    ServingPolicy,
    TrafficPlan,
    hold,
    supersedes,
)
from tenure.ports import Clock

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
RETELL_SECONDS = 600.0
"""After so long a trouble that still holds is told again: somebody may have closed it."""


class Follower:
    """Keeps `view` up to date in a thread of its own.

    Args:
        source: The lifecycle database.
        loader: Loads versions.
        policy: The serving policy of a model.
        disk: Where the last known state is kept.
        stops: Canaries that were stopped here by hand.
        clock: Wall clock.
        monotonic: Seconds that never jump; leases are measured by it.
    """

    def __init__(
        self,
        source: LifecycleSource,
        *,
        loader: Loader,
        policy: Callable[[str], ServingPolicy],
        disk: LastKnownState,
        stops: Stops,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = ServingView()
        self.seen_at: float | None = None
        """Monotonic seconds of the last successful read of the database."""
        self._source = source
        self._loader = loader
        self._policy = policy
        self._disk = disk
        self._stops = stops
        self._swap = threading.Lock()
        """Held while `view` is replaced: a stop must not be lost between two looks."""
        self._clock = clock
        self._monotonic = monotonic
        self._known = Catalog()
        self._looked_at = self._monotonic()
        """Monotonic seconds at which the last look at the database began."""
        self._time: ClockReading | None = None
        """What time it is by the database, else by the copy on disk; None before either."""
        self._attendance = Attendance(source, monotonic=monotonic)
        self._reports = VersionReports(source, clock=clock, monotonic=monotonic)
        self._workers = Workers(loader, reports=self._reports, monotonic=monotonic)
        self._aside: dict[str, str] = {}
        """What failed by itself, with the cause that was told."""
        self._tried: set[str] = set()
        """What was tried since the database heard last of what failed."""
        self._told_aside: dict[str, str] | None = None
        """What the database was told of it; None at first: an earlier process may have failed."""
        self._is_heard = True
        """Whether it took what it was told last."""
        self._files: frozenset[str] | None = None
        """Digests of the artifacts whose copies are kept."""
        self._was_reachable = True
        self._is_kept = True
        self._reported_corrupt: bool | None = None
        self._report_again_at = 0.0
        self._is_asked = True
        """Whether the last look for trials went well."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Serve by the database, or by what is on disk until it answers."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, which takes up to one poll, and every model process."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(POLL_SECONDS * 4)
        if self.seen_at is not None and self._was_reachable and not self._thread.is_alive():
            self._attendance.leave()
        self._workers.close()

    def restore(self) -> None:
        """Take over the state on disk: stable plans in full, canaries without their share."""
        known = self._disk.read()
        if known is not None:
            now = max(filter(None, (self._clock.now(), known.known_at)))
            self._time = ClockReading(now, self._monotonic())
            self._take(known, confirmed=False)

    def poll(self) -> None:
        """One look at the database. Raises TenureError when it cannot be reached."""
        self._looked_at = self._monotonic()
        fresh = self._source.read(frozenset(self._known.versions))
        if fresh.read_at is not None:
            self._time = ClockReading(fresh.read_at, self._monotonic())
        known = replace(fresh, versions={**self._known.versions, **fresh.versions})
        self._take(known, confirmed=True)
        self.seen_at = self._monotonic()
        self._report_stops()
        for model in self.view.models.values():
            with self._alone(f"acknowledgement of {model.name}"):
                self._attendance.acknowledge(model)
        self._reports.report()
        with self._alone("word that it is there"):
            self._attendance.renew()
        with self._alone("copy on disk"):
            self._keep()
        self._try_out()
        self._report_aside()

    def stop_canary(self, model: str, *, by: str, reason: str) -> int | None:
        """Give the canary of a model nothing more, from this moment on; from any thread.

        Returns:
            Its version, or None when there is no canary.

        Raises:
            OSError: It cannot be kept on disk; nothing changed.
        """
        with self._swap:
            held = self.view.models.get(model)
            if held is None or held.canary is None:
                return None
            canary = held.canary
            now = self._clock.now()
            self._stops.put(CanaryStop(model, canary.id, canary.version, by, reason, now))
            self._show(self.view.models.values())
        logger.warning("canary=stopped model=%s version=%s by=%s", model, canary.version, by)
        return canary.version

    def _show(self, models: Iterable[ServedModel]) -> None:
        self.view = replace(self.view, models={m.name: self._stops.applied(m) for m in models})

    def _report_stops(self) -> None:
        """Tell the database, once it is there to listen; once, whatever the disk does."""
        corrupt = self._stops.is_corrupt
        if corrupt != self._reported_corrupt or (
            corrupt and self._monotonic() >= self._report_again_at
        ):
            self._report_corrupt(is_corrupt=corrupt)
        for stop in self._stops.pending():
            try:
                self._source.stop_canary(stop)
            except Exception as error:  # it stays in force here, and is told again
                logger.warning("stop=not_told model=%s cause=%s", stop.model, error)
                continue
            with self._swap:
                self._stops.confirm(stop)

    def _report_corrupt(self, *, is_corrupt: bool) -> None:
        try:
            self._source.report_stops(is_corrupt=is_corrupt)
        except Exception as error:  # the stops are in force, and it is told again
            cause = error.what if isinstance(error, TenureError) else repr(error)
            logger.warning("stops=not_told cause=%s", cause)
        else:
            self._reported_corrupt = is_corrupt
            self._report_again_at = self._monotonic() + RETELL_SECONDS

    def _keep(self) -> None:
        """Write down what a restart without the database needs; a full disk costs only that."""
        try:
            with self._swap:
                self._stops.save()
            self._disk.write(replace(self._known, known_at=self._minute()))
        except OSError as error:
            if self._is_kept:
                logger.warning("state=not_kept cause=%s", error.strerror or error)
            self._is_kept = False
        else:
            self._is_kept = True

    def _minute(self) -> datetime:
        """The minute that it is, so that the copy on disk is written once a minute at most."""
        return self._clock_reading().time_at(self._monotonic()).replace(second=0, microsecond=0)

    def _clock_reading(self) -> ClockReading:
        return self._time or ClockReading(self._clock.now(), self._monotonic())

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
            self._tend()
            return False
        except Exception:  # a follower that dies would freeze the plan without anybody knowing
            logger.exception("follower=failed")
            self._tend()
            return False
        self._was_reachable = True
        return True

    def _tend(self) -> None:
        """Without the database: finish loads and restart what died, by the plans that it has.

        And keep what time it is, so that a restart does not give an authorization more of it.
        """
        try:
            self._take(self._known, confirmed=False)
            if self._known.plans:
                self._keep()
        except Exception:  # as above
            logger.exception("follower=failed")

    def _fall_back_on_disk(self) -> None:
        try:
            self.restore()
        except Exception:  # a corrupt file must not keep the gateway from what comes later
            logger.exception("state_file=unreadable")

    def _take(self, known: Catalog, *, confirmed: bool) -> None:
        """Build the next view. Keys and states count at once; loading a model may take a while."""
        with self._swap:
            self.view = replace(
                self.view,
                known=frozenset(known.models),
                states=known.states,
                keys=self._callers(known.keys),
            )
        models = [self._serve_alone(plan, known, confirmed=confirmed) for plan in known.plans]
        with self._swap:
            self._show(model for model in models if model is not None)
        named = {i for m in self.view.models.values() for i in m.held.plan.version_ids}
        named |= {i for plan in known.plans for i in plan.version_ids}
        kept = {i: row for i, row in known.versions.items() if i in named}
        self._known = replace(known, versions=kept, read_at=None)
        with self._alone("versions that no plan names"):
            self._workers.forget(named)
        with self._alone("copies of artifacts"):
            self._keep_files((*kept.values(), *self._workers.on_trial()))
        with self._swap:
            self._stops.forget(named)

    def _callers(self, keys: Iterable[ApiKey]) -> dict[str, Caller]:
        """Who may ask; a key that cannot be read opens nothing, and the others go on."""
        callers: dict[str, Caller] = {}
        for key in keys:
            with self._alone(f"key {key.name}"):
                callers[key.digest] = Caller.of(key)
        return callers

    def _serve_alone(
        self, plan: TrafficPlan, known: Catalog, *, confirmed: bool
    ) -> ServedModel | None:
        """The model by its newest plan; as it was served before, when something about it fails."""
        row = known.versions.get(plan.champion_id)
        with self._alone(f"model {plan.model}", row):
            return self._serve(plan, known, confirmed=confirmed)
        return self.view.models.get(plan.model)

    @contextmanager
    def _alone(self, item: str, row: VersionRecord | None = None) -> Iterator[None]:
        """Work on one item: what it raises is told once, and never stops the work on the others.

        Raises:
            ServiceUnreachable: The database does not answer: the others would meet that as well.
        """
        self._tried.add(item)
        try:
            yield
        except ServiceUnreachable:
            raise
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"[:500]
            if self._aside.get(item) != cause:
                logger.exception("set_aside=%s", item)
                self._aside[item] = cause
                if row is not None:
                    self._reports.failed(row, "artifact_refused", cause)
        else:
            self._aside.pop(item, None)

    def _report_aside(self) -> None:
        """Tell the database what failed by itself, whenever that changes; what is gone is over."""
        self._aside = {item: cause for item, cause in self._aside.items() if item in self._tried}
        self._tried.clear()
        if self._aside == self._told_aside:
            return
        try:
            self._source.report_aside(self._aside)
        except Exception as error:  # told again with the next look
            if self._is_heard:
                logger.warning("aside=not_told cause=%r", error)
            self._is_heard = False
        else:
            self._told_aside, self._is_heard = dict(self._aside), True

    def _keep_files(self, rows: Iterable[VersionRecord]) -> None:
        files = frozenset(digest for row in rows for digest in kept_digests(row))
        if files != self._files:
            self._loader.keep_only(files)
            self._files = files

    def _try_out(self) -> None:
        """Load what somebody asks about, where it would serve; it is warm then if a plan names it.

        Only refusals are told: that the store was away, say, tells nothing about the version.
        Serving does not depend on it; that it fails is logged once.
        """
        try:
            for trial in self._source.trials():
                with self._alone(f"trial {trial.id}"):
                    self._try(trial)
        except Exception as error:
            if self._is_asked:
                cause = error.what if isinstance(error, TenureError) else repr(error)
                logger.warning("trials=unknown cause=%s", cause)
            self._is_asked = False
        else:
            self._is_asked = True

    def _try(self, trial: Trial) -> None:
        refusal = self._workers.tried(trial)
        if refusal is not None:
            self._reports.report()  # before who asked gives it traffic
            self._source.answer_trial(trial.id, refusal)

    def _serve(self, plan: TrafficPlan, known: Catalog, *, confirmed: bool) -> ServedModel | None:
        """The model by its newest plan; by the old one as long as the new one cannot be loaded.

        Unless the old one cannot answer either: then the newest plan, its canary without share.
        """
        policy = self._policy(plan.model)
        current = self.view.models.get(plan.model)
        if current is not None and not supersedes(plan, current.held, confirmed=confirmed):
            held = current.held.corrected(self._clock_reading()) if confirmed else current.held
            if current.is_complete:
                return replace(current, held=held, policy=policy)
            arms = [self._version(i, known) for i in current.held.plan.version_ids]
            return served(held, arms, policy) or current
        arms = [self._version(i, known) for i in plan.version_ids]
        is_complete = all(arm is not None and arm.is_alive for arm in arms)
        if current is not None and current.is_ready and not is_complete:
            return replace(current, policy=policy)
        read_at = known.read_at if confirmed and is_complete else None
        time = self._clock_reading()
        held = hold(plan, read_at=read_at, monotonic_at=self._looked_at, clock=time)
        return served(held, arms, policy)

    def _version(self, version_id: int, known: Catalog) -> LoadedVersion | None:
        row = known.versions.get(version_id)
        return None if row is None else self._workers.version(row)
