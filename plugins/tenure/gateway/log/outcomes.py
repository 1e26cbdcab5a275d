"""Takes in what happened in truth: validated, logged durably, joined to decisions much later."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from tenure.gateway.contract import bodies
from tenure.gateway.contract.bodies import FeedbackItem, Outcome, OutcomesBody
from tenure.gateway.contract.keys import ADMIN, Caller
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.log.records import OutcomeRecord, encode
from tenure.gateway.log.writer import GroupLog
from tenure.lifecycle.decisions.decision_log import micros
from tenure.lifecycle.serving import MAX_TEXT, GatewayPolicy, caller_digest
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.training.numbers import OutcomeRule
from tenure.ports import Clock, Ids

MAX_OUTCOMES = 10_000
_CLOCKS_DIFFER = timedelta(minutes=5)
"""A watermark that is further ahead would make every label look mature."""
_SHOWN = 40
_TOO_LARGE = 10**40
"""No number as large as this is looked at as a label."""


class OutcomeDesk:
    """Logs outcomes; whether a decision of that id exists is found out when they are joined.

    Args:
        log: The outcome log; its shipper moves the watermark after the outcomes are stored.
        subject_key: Secret of the callers' digests.
        rules: What counts as a label of a model.
        clock: Wall clock.
        ids: Outcome ids.
        limits: The window of times; nothing that is known in truth lies ahead of the clock.
    """

    def __init__(
        self,
        log: GroupLog,
        *,
        subject_key: bytes,
        rules: Callable[[str], OutcomeRule],
        clock: Clock,
        ids: Ids,
        limits: GatewayPolicy,
    ) -> None:
        ahead = _CLOCKS_DIFFER.total_seconds() / 3600
        self._limits = limits.model_copy(update={"future_hours": ahead})
        self._log = log
        self._rules = rules
        self._subject_key = subject_key
        self._clock = clock
        self._ids = ids

    async def take(self, model: str, body: OutcomesBody, teller: Caller) -> OutcomeRecord:
        """The record as it stands in the log.

        Raises:
            Refusal: 403, 413 or 422 naming the field; 503 when it cannot be written.
        """
        now = self._clock.now()
        if len(body.outcomes) > MAX_OUTCOMES:
            message = f"{len(body.outcomes):,} outcomes; allowed are {MAX_OUTCOMES:,}."
            raise Refusal(413, "too_many_outcomes", message, "outcomes")
        if not body.outcomes and body.watermark is None:
            raise Refusal(
                422, "nothing", "Neither an outcome nor a watermark is given.", "outcomes"
            )
        known = partial(bodies.happened, limits=self._limits, now=now)
        watermark = known(body.watermark, "watermark")
        observed = [_checked(one, number, known) or now for number, one in enumerate(body.outcomes)]
        rule = self._rules(model)
        labels = [
            label_of(one.label, rule, f"outcomes[{number}].label")
            for number, one in enumerate(body.outcomes)
        ]
        record = OutcomeRecord(
            model=model,
            received_at=micros(now),
            outcome_ids=[self._ids.new() for _ in observed],
            decision_ids=[one.decision_id for one in body.outcomes],
            request_ids=[one.request_id for one in body.outcomes],
            labels=labels,
            observed_at=[micros(moment) for moment in observed],
            watermark=None if watermark is None else micros(watermark),
            callers=self._callers(body.outcomes, teller),
        )
        await self._log.append(encode(record), sync=True)
        return record

    def _callers(self, outcomes: Sequence[Outcome], teller: Caller) -> list[str | None]:
        """Digests of whose request ids they are. Raises Refusal (403, 422)."""
        names = [
            caller_of(one, teller, f"outcomes[{number}]", scope="outcome")
            for number, one in enumerate(outcomes)
        ]
        digests = {name: caller_digest(self._subject_key, name) for name in set(names) if name}
        return [digests.get(name) for name in names]


def caller_of(one: Outcome | FeedbackItem, teller: Caller, place: str, *, scope: str) -> str:
    """Whose request id it is; empty: of whoever is the only one to have used it.

    Who scores speaks of its own requests: a request id is easily guessed, and two clients count
    their orders from 1.

    Raises:
        Refusal: 403 or 422.
    """
    where = f"{place}.caller"
    named = bodies.text(one.caller, where)
    if one.request_id is None:
        if named is not None:
            raise Refusal(422, "invalid", "A decision id needs no caller.", where)
        return ""
    speaks_for_itself = teller.may("score") and not teller.may(ADMIN)
    if speaks_for_itself and named not in {None, teller.client}:
        message = (
            f"The key {teller.name!r} scores, so its request ids are its own. Give the decision "
            f"id, or use a key that has the scope {scope} but not score, or admin."
        )
        raise Refusal(403, "not_your_request", message, where)
    return named or (teller.client if speaks_for_itself else "")


def check_ids(one: Outcome | FeedbackItem, place: str) -> None:
    """It names its decision in exactly one way. Raises Refusal (422)."""
    if (one.decision_id is None) == (one.request_id is None):
        raise Refusal(422, "invalid", "Give exactly one of decision_id, request_id.", place)
    bodies.text(one.decision_id, f"{place}.decision_id")
    bodies.text(one.request_id, f"{place}.request_id")


def _checked(
    outcome: Outcome, number: int, known: Callable[[str | None, str], datetime | None]
) -> datetime | None:
    """When it was observed, if it says so. Raises Refusal (422)."""
    place = f"outcomes[{number}]"
    check_ids(outcome, place)
    return known(outcome.observed_at, f"{place}.observed_at")


def label_of(given: bool | float | str, rule: OutcomeRule, field: str) -> bool | str | float:
    """What a label means, as in training. Raises Refusal (422)."""
    is_short = len(given) <= MAX_TEXT if isinstance(given, str) else abs(given) < _TOO_LARGE
    meaning = rule.meaning(given) if is_short else None
    if meaning is None:
        shown = repr(given) if isinstance(given, str) else spell(given)
        shown = shown[:_SHOWN] if is_short else "This"
        message = f"{shown} is no label: {rule.sentence()}."
        raise Refusal(422, "not_a_label", message, field)
    return meaning
