"""Keeps one process a version: started by threads of its own, restarted with back-off, let go.

Nothing here waits long: a load that hangs holds up neither plans nor keys nor other models.
"""

import logging
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Protocol

from tenure.errors import ArtifactRefused, TenureError
from tenure.gateway.follow.version_reports import VersionReports
from tenure.gateway.scoring.batches import Model, Scorer
from tenure.gateway.scoring.view import LoadedVersion
from tenure.installation.provenance import environment
from tenure.lifecycle.model_version import VersionFacts, VersionRecord
from tenure.lifecycle.promotion.trial_loads import Trial
from tenure.lifecycle.serving import Breaker, Signature, restart_delay
from tenure.lifecycle.training.registry import file_digests

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 0.5
"""So long a poll waits for a load that it started; afterwards it looks again at the next one."""
_KEEP_UNNAMED_SECONDS = 60.0
"""How long a version stays in memory that no plan names any more: requests may still hold it."""
_STABLE_SECONDS = 60.0
"""A process that lived so long starts again without the delays of those before it."""
_LOADS_AT_ONCE = 4
_LOADS_WITH_TRIALS = 2
"""So many at once, trials among them: what plans name never waits behind trials that hang."""
_CRASHED = "its process ended while it scored by ONNX."
"""A runtime that dies of a row dies of it again: the model behind it answers instead."""


class Loader(Protocol):
    """Where models come from."""

    def load(self, row: VersionRecord, *, distrust: str = "") -> Model:
        """From a version row to its process, verified and warm. Raises if it is not.

        `distrust` says why its ONNX file must not score; empty when it may.
        """
        ...

    def facts(self, row: VersionRecord) -> VersionFacts:
        """What the version decides by. Raises ArtifactRefused unless the trainer signed it so."""
        ...

    def keep_only(self, digests: frozenset[str]) -> None:
        """Drop copies of all other artifacts: a retired model must not linger on this disk."""
        ...

    def close(self) -> None:
        """End every process."""
        ...


@dataclass
class _Held:
    """A version as it is kept: what requests see, and what became of its processes."""

    row: VersionRecord
    facts: VersionFacts | None
    """None where they are not those that the trainer signed: no rule decides by them either."""
    seen: LoadedVersion
    load: "Future[Model] | None" = None
    failures: int = 0
    failed_at: float = 0.0
    started_at: float = 0.0
    unnamed_since: float | None = None
    trial: int = 0
    """The newest trial that asked for it; 0: only plans ever did."""
    refusal: str | None = None
    """Why it was refused when it was loaded last."""
    breaker: Breaker = field(default_factory=Breaker)


class Workers:
    """The versions in memory. Used by one thread.

    Args:
        loader: Starts their processes.
        reports: Told of every version that was loaded, was refused or died.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self, loader: Loader, *, reports: VersionReports, monotonic: Callable[[], float]
    ) -> None:
        self._loader = loader
        self._reports = reports
        self._monotonic = monotonic
        self._held: dict[int, _Held] = {}
        self._crashed: set[tuple[int, str | None]] = set()
        """Versions, with their ONNX file, whose process died of it: native until we end."""
        self._pool = ThreadPoolExecutor(_LOADS_AT_ONCE, thread_name_prefix="load")

    def version(self, row: VersionRecord) -> LoadedVersion:
        """The version as it is now; without scorer while it is loading, or refused, or dead."""
        held = self._of(row)
        if held.seen.scorer is not None:
            if held.seen.scorer.is_alive:
                return held.seen
            self._bury(held)
        if held.load is None and self._is_due(held):
            held.started_at = self._monotonic()
            held.load = self._pool.submit(self._load, row)
            wait([held.load], _PATIENCE_SECONDS)
        if held.load is not None and held.load.done():
            self._settle(held, held.load)
        return held.seen

    def tried(self, trial: Trial) -> str | None:
        """Why a version does not load; empty when it does, None as long as that is not known.

        A new trial loads at once what could not be loaded before.
        """
        held = self._of(trial.row)
        held.unnamed_since = None
        if held.trial < trial.id:
            held.trial, held.refusal, held.failed_at = trial.id, None, -math.inf
        if not (held.seen.is_alive or held.load) and self._loading() >= _LOADS_WITH_TRIALS:
            return None
        if self.version(trial.row).is_alive:
            return ""
        return held.refusal if held.load is None else None

    def on_trial(self) -> list[VersionRecord]:
        """Versions that are kept for a plan that may come."""
        return [held.row for held in self._held.values() if held.trial]

    def forget(self, named: set[int]) -> None:
        """Let go of versions that no plan has named for a while."""
        now = self._monotonic()
        failures: list[Exception] = []
        for version_id, held in list(self._held.items()):
            try:
                self._forget(version_id, held, now, is_named=version_id in named)
            except Exception as error:  # about this one: the others go
                failures.append(error)
        if failures:
            raise failures[0]

    def _forget(self, version_id: int, held: _Held, now: float, *, is_named: bool) -> None:
        if held.load is not None and held.load.done():  # nobody asks any more
            self._settle(held, held.load)
        if is_named:
            held.unnamed_since = None
        elif held.unnamed_since is None:
            held.unnamed_since = now
        elif now - held.unnamed_since > _KEEP_UNNAMED_SECONDS and held.load is None:
            del self._held[version_id]
            self._let_go(held)

    def close(self) -> None:
        """End every process."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for held in self._held.values():
            _close(held)
        self._loader.close()

    def _load(self, row: VersionRecord) -> Model:
        """Runs in the pool. A version without evidence is refused before a process is started."""
        _ = row.facts
        distrust = _CRASHED if _variant(row) in self._crashed else ""
        return self._loader.load(row, distrust=distrust)

    def _of(self, row: VersionRecord) -> _Held:
        held = self._held.get(row.id)
        if held is None:
            facts, breaker = self._signed_facts(row), Breaker()
            seen = described(row, facts, breaker=breaker)
            held = self._held[row.id] = _Held(row, facts, seen, breaker=breaker)
        return held

    def _signed_facts(self, row: VersionRecord) -> VersionFacts | None:
        try:
            return self._loader.facts(row)
        except ArtifactRefused:  # it is not loaded either, which says why
            return None

    def _loading(self) -> int:
        return sum(held.load is not None for held in self._held.values())

    def _is_due(self, held: _Held) -> bool:
        waited = self._monotonic() - held.failed_at
        return held.failures == 0 or waited >= restart_delay(held.failures)

    def _settle(self, held: _Held, load: "Future[Model]") -> None:
        held.load = None
        row, name = held.row, held.row.name
        try:
            model = load.result()
        except Exception as error:  # bytes from outside: anything may come; the old plan stays
            cause = error.what if isinstance(error, TenureError) else repr(error)
            logger.error("load=refused version=%s cause=%s", name, cause)  # noqa: TRY400
            held.refusal = cause if isinstance(error, ArtifactRefused) else None
            self._fail(held, "artifact_refused", cause)
            return
        seconds = self._monotonic() - held.started_at
        logger.info("load=ok version=%s seconds=%.2f variant=%s", name, seconds, model.variant)
        if model.missing_walls:
            logger.warning(
                "confinement=incomplete version=%s missing=%s", name, model.missing_walls
            )
        if model.note:
            logger.warning("variant=refused version=%s cause=%s", name, model.note)
            self._reports.failed(row, "variant_refused", model.note)
        if others := "; ".join(row.facts.environment.differences(environment())):
            logger.warning("libraries=other version=%s differences=%s", name, others)
            self._reports.failed(row, "other_libraries", others)
        self._reports.loaded(row, held.started_at, model.note)
        held.started_at = self._monotonic()
        task = "binary" if held.facts is None else held.facts.task
        classes = 0 if held.facts is None else len(held.facts.classes)
        with_interval = held.facts is not None and held.facts.interval is not None
        scorer = Scorer(model, name=name, task=task, classes=classes, with_interval=with_interval)
        seen = described(row, held.facts, scorer, breaker=held.breaker)
        held.seen = replace(seen, variant=model.variant)

    def _bury(self, held: _Held) -> None:
        """A process died or was killed because it hung: once, whatever number of polls see it."""
        self._let_go(held)
        held.seen = described(held.row, held.facts, breaker=held.breaker)
        lived = self._monotonic() - held.started_at
        if lived >= _STABLE_SECONDS:
            held.failures = 0
        logger.error("model=died version=%s seconds=%.1f", held.row.name, lived)
        self._fail(held, "model_crashed", f"its process ended after {lived:.1f} s of serving.")

    def _let_go(self, held: _Held) -> None:
        scorer = held.seen.scorer
        if scorer is not None and held.seen.variant == "onnx" and scorer.died_scoring:
            self._crashed.add(_variant(held.row))
        _close(held)

    def _fail(self, held: _Held, kind: str, cause: str) -> None:
        held.failures += 1
        held.failed_at = self._monotonic()
        self._reports.failed(held.row, kind, cause)


def described(
    row: VersionRecord,
    facts: VersionFacts | None,
    scorer: Scorer | None = None,
    *,
    breaker: Breaker,
) -> LoadedVersion:
    """The version; one without signed facts accepts nothing and holds up no other model."""
    signature = Signature((), ()) if facts is None else Signature.from_facts(facts)
    threshold = None if facts is None else facts.threshold
    found = LoadedVersion(row.id, row.version, threshold, signature, scorer, breaker)
    if facts is None:
        return found
    coverage = None if facts.interval is None else facts.interval.coverage
    return replace(
        found,
        task=facts.task,
        classes=facts.class_names,
        coverage=coverage,
        class_costs=facts.class_costs,
    )


def kept_digests(row: VersionRecord) -> list[str]:
    """SHA-256 of the files whose copies are kept for the version; none when it is refused."""
    try:
        return file_digests(row)
    except ArtifactRefused:
        return []


def _close(held: _Held) -> None:
    if held.seen.scorer is not None:
        held.seen.scorer.close()


def _variant(row: VersionRecord) -> tuple[int, str | None]:
    """The version and its ONNX file: another file is another chance."""
    onnx = row.facts.onnx_file
    return row.id, onnx.digest if onnx else None
