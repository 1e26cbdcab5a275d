"""Makes a decision: route, score with fallback, log durably, answer."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from tenure.gateway.contract.metrics import Metrics
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.contract.rows import Rows
from tenure.gateway.log.records import DecisionRecord, encode
from tenure.gateway.log.writer import GroupLog, unlogged
from tenure.gateway.scoring.batches import ScoringFailed
from tenure.gateway.scoring.view import LoadedVersion, ServedModel
from tenure.lifecycle.class_answers import answered_class
from tenure.lifecycle.decisions.decision_log import micros
from tenure.lifecycle.serving import (
    Arm,
    FallbackStep,
    Level,
    RowAnswer,
    ServingPolicy,
    Value,
    assign,
    authorization_ended,
    caller_digest,
    confidence,
    fallback_chain,
    pseudonym,
    score_of,
)
from tenure.ports import Clock, Ids

MAX_IN_FLIGHT = 512


@dataclass(frozen=True)
class DecisionRequest:
    """One request for decisions, parsed.

    Args:
        rows: The features.
        subject: Whom it is about; routing sticks to it. None takes the request id.
        request_id: The client's id, or None.
        event_time: The client's clock, or None for now.
        pinned: Version number that must answer, or None for routing.
        client: Who asks.
    """

    rows: Rows
    subject: str | None
    request_id: str | None
    event_time: datetime | None
    pinned: int | None = None
    client: str = ""


@dataclass(frozen=True)
class _Scored:
    assigned: int
    by: LoadedVersion
    arm: Arm
    level: Level
    reason: str
    kind: str
    """The reason as metrics may have it."""
    scores: list[float]
    cached: bool = False
    answers: list[str] = field(default_factory=list)
    """Of several classes the one of each row, of which the score is the probability."""
    probabilities: list[tuple[float, ...]] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    """Ends of the interval of each row; empty where there are none."""
    upper: list[float] = field(default_factory=list)

    @property
    def variant(self) -> str | None:
        """What scored; None when no model did."""
        return None if self.arm is Arm.RULE else self.by.variant


class Decider:
    """Decides, and never answers what is not in the log.

    Args:
        log: The decision log.
        subject_key: Secret of the pseudonyms.
        clock: Wall clock.
        ids: Decision ids.
        metrics: Counters.
        monotonic: The clock of leases and latencies.
        seal: Gives a record the form in which it may lie on the disk.
    """

    def __init__(
        self,
        log: GroupLog,
        *,
        subject_key: bytes,
        clock: Clock,
        ids: Ids,
        metrics: Metrics,
        monotonic: Callable[[], float] = time.monotonic,
        seal: Callable[[DecisionRecord], DecisionRecord] = lambda record: record,
    ) -> None:
        self._seal = seal
        self._log = log
        self._subject_key = subject_key
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._monotonic = monotonic
        self._in_flight = 0

    async def decide(self, model: ServedModel, question: DecisionRequest) -> DecisionRecord:
        """The record as it stands in the log.

        Raises:
            Refusal: 409 for a pinned canary without share, 429 when too many requests wait, 503
                when the record cannot be written, or no version of a model that is not binary
                answers and its YAML declares no answer for that.
        """
        if self._in_flight >= MAX_IN_FLIGHT:
            raise Refusal(429, "busy", f"{MAX_IN_FLIGHT} requests are being scored; try again.")
        self._in_flight += 1
        try:
            return await self._decide(model, question)
        finally:
            self._in_flight -= 1

    async def _decide(self, model: ServedModel, question: DecisionRequest) -> DecisionRecord:
        began, received = self._monotonic(), self._clock.now()
        decision_ids = [self._ids.new() for _ in range(question.rows.count)]
        request_id = question.request_id or decision_ids[0]
        subject = question.subject or request_id
        assigned, share_bp = self._route(model, subject, question.pinned, began)
        scored = await self._score(model, assigned, question.rows, began)
        decisions = [scored.by.decides(score) for score in scored.scores]
        confidences = _confidences(scored, decisions)
        record = DecisionRecord(
            model=model.name,
            version=scored.by.version,
            version_id=scored.by.id,
            request_id=request_id,
            subject=pseudonym(self._subject_key, subject),
            arm_assigned=assigned.value,
            arm_answered=scored.arm.value,
            generation=model.held.plan.generation,
            share_bp=share_bp,
            received_at=micros(received),
            event_time=micros(question.event_time or received),
            fallback_level=scored.level.value,
            reason=scored.reason,
            latency_ms=(self._monotonic() - began) * 1000,
            decision_ids=decision_ids,
            scores=scored.scores,
            decisions=decisions,
            confidences=confidences,
            numeric=dict(question.rows.numeric),
            categorical=dict(question.rows.categorical),
            cached=scored.cached,
            answers=scored.answers,
            probabilities=scored.probabilities,
            classes=list(scored.by.classes) if scored.answers else [],
            review=_for_review(model.policy, scored.level, confidences),
            variant=scored.variant,
            caller=caller_digest(self._subject_key, question.client),
            lower=scored.lower,
            upper=scored.upper,
        )
        payload = encode(self._sealed(record))
        await self._log.append(payload, sync=model.policy.durability == "fsync")
        self._count(record, scored, began)
        return record

    def _sealed(self, record: DecisionRecord) -> DecisionRecord:
        """As it may lie on the disk. Raises Refusal (503) when that takes no new key."""
        try:
            return self._seal(record)
        except OSError as error:
            raise unlogged(f"{type(error).__name__}: {error.strerror or error}") from error

    def _route(
        self, model: ServedModel, subject: str, pinned: int | None, now: float
    ) -> tuple[Arm, int]:
        """The assigned arm, and the share in force; a pinned request is no part of the canary.

        Raises Refusal (409): a canary that gets nothing any more answers to no pin either.
        """
        share_bp = model.held.share_bp(now)
        if pinned is not None:
            if pinned == model.champion.version:
                return Arm.CHAMPION, 0
            if not share_bp:
                message = f"{model.name}@{pinned} was stopped, or its lease has ended."
                raise Refusal(409, "version_not_live", message, "version")
            return Arm.CANARY, 0
        return assign(subject, salt=model.held.plan.salt, share_bp=share_bp), share_bp

    async def _score(self, model: ServedModel, assigned: Arm, rows: Rows, began: float) -> _Scored:
        """The first level that gives a score; rule and review always can say yes or no.

        Raises Refusal (503): the model is no binary one, and its YAML declares no answer.
        """
        named = model.canary if assigned is Arm.CANARY and model.canary else model.champion
        reason = kind = ""
        for step in fallback_chain(assigned, model.policy.timeout_seconds):
            version = model.canary if step.arm is Arm.CANARY else model.champion
            try:
                scores, cached = await self._ask(model, version, step, rows, began)
            except ScoringFailed as error:
                self._metrics.failures.labels(model.name, step.arm.value, error.kind).inc()
                reason = reason or f"{step.arm.value}: {error}"
                kind = kind or f"{step.arm.value}: {error.kind}"
                continue
            assert version is not None
            points = [score_of(one) for one in scores]
            by_model = _Scored(
                named.version, version, step.arm, step.level, reason, kind, points, cached
            )
            return (
                _of_classes(by_model, scores) if version.classes else _with_ends(by_model, scores)
            )
        if model.policy.fallback_class is not None:
            by_rule = _Scored(named.version, named, Arm.RULE, Level.RULE, reason, kind, [])
            return _of_no_class(by_rule, model.policy.fallback_class, rows.count)
        rule = model.policy.fallback_score
        if named.task == "multiclass" or (rule is None and named.task == "regression"):
            what = "class" if named.task == "multiclass" else "number"
            message = (
                f"No version of {model.name} answers ({reason}), and a {what} is not invented."
            )
            raise Refusal(503, "no_answer", message)
        level = Level.REVIEW if rule is None else Level.RULE
        same = [rule or 0.0] * rows.count
        return _Scored(named.version, named, Arm.RULE, level, reason, kind, same)

    async def _ask(
        self,
        model: ServedModel,
        version: LoadedVersion | None,
        step: FallbackStep,
        rows: Rows,
        began: float,
    ) -> tuple[list[RowAnswer], bool]:
        """The scores, and whether they were known. Raises ScoringFailed."""
        ended = model.held.ended(step.arm, began)
        if ended is not None:
            raise ScoringFailed(authorization_ended(ended))
        if version is None or version.scorer is None:
            raise ScoringFailed("not loaded")
        try:
            ordered = rows.in_order(version.signature.features)
        except KeyError as error:
            raise ScoringFailed("feature missing") from error
        if not version.breaker.allows(self._monotonic()):
            raise ScoringFailed("circuit open")
        if model.policy.cache_rows and (known := self._cached(model, version, ordered)):
            return known, True
        left = step.ends_after - (self._monotonic() - began)
        try:
            scores = list(await version.scorer.score(ordered, timeout_seconds=left))
        except ScoringFailed:
            version.breaker.failed(self._monotonic(), fatal=not version.is_alive)
            raise
        version.breaker.succeeded(self._monotonic())
        if model.policy.cache_rows:
            version.cache.keep(ordered, scores, most=model.policy.cache_rows)
        return scores, False

    def _cached(
        self, model: ServedModel, version: LoadedVersion, rows: Sequence[Sequence[Value]]
    ) -> list[RowAnswer] | None:
        scores = version.cache.find(rows)
        self._metrics.cache.labels(model.name, "hit" if scores else "miss").inc(len(rows))
        return scores

    def _count(self, record: DecisionRecord, scored: _Scored, began: float) -> None:
        self._metrics.decisions.labels(
            record.model, record.arm_assigned, record.fallback_level
        ).inc(len(record.decision_ids))
        self._metrics.seconds.labels(record.model).observe(self._monotonic() - began)
        if scored.level is not Level.MODEL:
            self._metrics.fallbacks.labels(
                record.model, str(scored.assigned), record.fallback_level, scored.kind
            ).inc(len(record.decision_ids))
        if record.review:
            self._metrics.reviews.labels(record.model).inc(sum(record.review))


def _with_ends(scored: _Scored, found: Sequence[RowAnswer]) -> _Scored:
    """With the interval of each row, where the version gives one."""
    ends = [one for one in found if not isinstance(one, float)]
    return replace(scored, lower=[one[1] for one in ends], upper=[one[2] for one in ends])


def _of_classes(scored: _Scored, found: Sequence[RowAnswer]) -> _Scored:
    """The most probable, or the cheapest class of each row, of equals the first by name."""
    rows: list[tuple[float, ...]] = found  # type: ignore[assignment]  # checked: of all classes
    names, costs = scored.by.classes, scored.by.class_costs
    places = [answered_class(row, costs) for row in rows]
    scores = [row[place] for row, place in zip(rows, places, strict=True)]
    answers = [names[place] for place in places]
    return replace(scored, scores=scores, answers=answers, probabilities=rows)


def _of_no_class(scored: _Scored, answer: str, rows: int) -> _Scored:
    """What the declared rule says, which knows nothing: each class is as probable as another."""
    count = len(scored.by.classes)
    alike = (1.0 / count,) * count if count else ()
    score = alike[0] if alike else 0.0
    return replace(
        scored, scores=[score] * rows, answers=[answer] * rows, probabilities=[alike] * rows
    )


def _for_review(
    policy: ServingPolicy, level: Level, confidences: Sequence[float | None]
) -> list[bool]:
    """Which rows a person has to look at; empty when none is."""
    if level is Level.REVIEW:
        return [True] * len(confidences)
    least = policy.review_below_confidence
    if least is None or level is Level.RULE:
        return []
    unsure = [one is not None and one < least for one in confidences]
    return unsure if any(unsure) else []


def _confidences(scored: _Scored, decisions: Sequence[bool | None]) -> list[float | None]:
    """A rule knows nothing, so it is confident of nothing; a regression has no confidence."""
    if scored.by.task == "regression":
        return [None] * len(decisions)
    if scored.arm is Arm.RULE:
        return [0.0] * len(decisions)
    if scored.answers:
        return list(scored.scores)
    return [
        confidence(score, decision=bool(decision))
        for score, decision in zip(scored.scores, decisions, strict=True)
    ]
