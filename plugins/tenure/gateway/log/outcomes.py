"""Takes in what happened in truth: validated, logged durably, joined to decisions much later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tenure.gateway.contract import bodies
from tenure.gateway.contract.bodies import Outcome, OutcomesBody
from tenure.gateway.contract.keys import ADMIN, Caller
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.log.records import OutcomeRecord, encode
from tenure.gateway.log.writer import GroupLog
from tenure.lifecycle.decisions.decision_log import micros
from tenure.lifecycle.serving import caller_digest
from tenure.ports import Clock, Ids

MAX_OUTCOMES = 10_000
_CLOCKS_DIFFER = timedelta(minutes=5)


class OutcomeDesk:
    """Logs outcomes; whether a decision of that id exists is found out when they are joined.

    Args:
        log: The outcome log; its shipper moves the watermark after the outcomes are stored.
        subject_key: Secret of the callers' digests.
        clock: Wall clock.
        ids: Outcome ids.
    """

    def __init__(self, log: GroupLog, *, subject_key: bytes, clock: Clock, ids: Ids) -> None:
        self._log = log
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
        watermark = _not_ahead(bodies.instant(body.watermark, "watermark"), now, "watermark")
        observed = [_checked(one, number, now) for number, one in enumerate(body.outcomes)]
        record = OutcomeRecord(
            model=model,
            received_at=micros(now),
            outcome_ids=[self._ids.new() for _ in observed],
            decision_ids=[one.decision_id for one in body.outcomes],
            request_ids=[one.request_id for one in body.outcomes],
            labels=[one.label for one in body.outcomes],
            observed_at=[micros(moment) for moment in observed],
            watermark=None if watermark is None else micros(watermark),
            callers=self._callers(body.outcomes, teller),
        )
        await self._log.append(encode(record), sync=True)
        return record

    def _callers(self, outcomes: Sequence[Outcome], teller: Caller) -> list[str | None]:
        """Digests of whose request ids they are. Raises Refusal (403, 422)."""
        names = [_caller(one, number, teller) for number, one in enumerate(outcomes)]
        digests = {name: caller_digest(self._subject_key, name) for name in set(names) if name}
        return [digests.get(name) for name in names]


def _caller(outcome: Outcome, number: int, teller: Caller) -> str:
    """Whose request id it is; empty: of whoever is the only one to have used it.

    Who scores speaks of its own requests: a request id is easily guessed, and two clients count
    their orders from 1.
    """
    where = f"outcomes[{number}].caller"
    named = bodies.text(outcome.caller, where)
    if outcome.request_id is None:
        if named is not None:
            raise Refusal(422, "invalid", "A decision id needs no caller.", where)
        return ""
    speaks_for_itself = teller.may("score") and not teller.may(ADMIN)
    if speaks_for_itself and named not in {None, teller.client}:
        message = (
            f"The key {teller.name!r} scores, so its request ids are its own. Give the decision "
            "id, or use a key that has the scope outcome but not score, or admin."
        )
        raise Refusal(403, "not_your_request", message, where)
    return named or (teller.client if speaks_for_itself else "")


def _checked(outcome: Outcome, number: int, now: datetime) -> datetime:
    """When it was observed: now, unless it says so. Raises Refusal (422)."""
    where = f"outcomes[{number}]"
    if (outcome.decision_id is None) == (outcome.request_id is None):
        raise Refusal(422, "invalid", "Give exactly one of decision_id, request_id.", where)
    bodies.text(outcome.decision_id, f"{where}.decision_id")
    bodies.text(outcome.request_id, f"{where}.request_id")
    field = f"{where}.observed_at"
    return _not_ahead(bodies.instant(outcome.observed_at, field), now, field) or now


def _not_ahead(moment: datetime | None, now: datetime, field: str) -> datetime | None:
    """A watermark in the future would make every label look mature."""
    if moment is not None and moment > now + _CLOCKS_DIFFER:
        raise Refusal(422, "in_the_future", f"{moment.isoformat()} lies in the future.", field)
    return moment
