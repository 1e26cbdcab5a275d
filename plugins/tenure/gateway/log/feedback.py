"""Takes in what people think of decisions: validated, logged durably, kept in the database."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from tenure.gateway.contract import bodies
from tenure.gateway.contract.bodies import FeedbackBody, FeedbackItem
from tenure.gateway.contract.keys import Caller
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.log.outcomes import caller_of, check_ids, label_of
from tenure.gateway.log.records import encode, for_each
from tenure.gateway.log.writer import GroupLog
from tenure.lifecycle.decisions.decision_log import micros, moment
from tenure.lifecycle.decisions.feedback import FeedbackVerdict
from tenure.lifecycle.serving import caller_digest
from tenure.lifecycle.training.numbers import OutcomeRule
from tenure.ports import Clock, Ids

MAX_FEEDBACK = 1_000


class LoggedFeedback(msgspec.Struct):
    """One piece of feedback; `caller` and `person` are digests."""

    feedback_id: str
    verdict: FeedbackVerdict
    decision_id: str | None
    request_id: str | None
    caller: str | None
    person: str
    reason: str
    answer: bool | str | float | None


class FeedbackRecord(msgspec.Struct):
    """The feedback of one request. The time is µs since 1970, UTC."""

    model: str
    received_at: int
    given_by: str
    items: list[LoggedFeedback]


_decode = msgspec.msgpack.Decoder(FeedbackRecord).decode


class FeedbackDesk:
    """Logs feedback; whether its decision exists is found out when the two are joined.

    Args:
        log: The feedback log.
        subject_key: Secret of the callers' and people's digests.
        rules: What counts as an answer of a model.
        clock: Wall clock.
        ids: Feedback ids.
    """

    def __init__(
        self,
        log: GroupLog,
        *,
        subject_key: bytes,
        rules: Callable[[str], OutcomeRule],
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._log = log
        self._subject_key = subject_key
        self._rules = rules
        self._clock = clock
        self._ids = ids

    async def take(self, model: str, body: FeedbackBody, teller: Caller) -> FeedbackRecord:
        """The record as it stands in the log.

        Raises:
            Refusal: 403, 413 or 422 naming the field; 503 when it cannot be written.
        """
        if len(body.feedback) > MAX_FEEDBACK:
            message = f"{len(body.feedback):,} pieces of feedback; allowed are {MAX_FEEDBACK:,}."
            raise Refusal(413, "too_much_feedback", message, "feedback")
        if not body.feedback:
            raise Refusal(422, "nothing", "No feedback is given.", "feedback")
        rule = self._rules(model)
        record = FeedbackRecord(
            model=model,
            received_at=micros(self._clock.now()),
            given_by=given_by(teller),
            items=[
                self._checked(one, teller, rule, f"feedback[{number}]")
                for number, one in enumerate(body.feedback)
            ],
        )
        await self._log.append(encode(record), sync=True)
        return record

    def _checked(
        self, one: FeedbackItem, teller: Caller, rule: OutcomeRule, place: str
    ) -> LoggedFeedback:
        check_ids(one, place)
        _check_decision_id(one.decision_id, f"{place}.decision_id")
        caller = caller_of(one, teller, place, scope="feedback")
        person = bodies.text(one.person, f"{place}.person")
        return LoggedFeedback(
            feedback_id=self._ids.new(),
            verdict=one.verdict,
            decision_id=one.decision_id,
            request_id=one.request_id,
            caller=caller_digest(self._subject_key, caller) if caller else None,
            person=caller_digest(self._subject_key, person) if person else "",
            reason=_reason(one, f"{place}.reason"),
            answer=_answer(one, rule, f"{place}.answer"),
        )


def given_by(teller: Caller) -> str:
    """Who gives feedback, over all of its keys; a person of the pages is `user:` and her name."""
    return teller.client if teller.client.startswith("jwt:") else f"key:{teller.client}"


def _check_decision_id(decision_id: str | None, field: str) -> None:
    """An id that no decision can have is refused at once. Raises Refusal (422)."""
    if decision_id is None:
        return
    try:
        is_id = str(UUID(decision_id)) == decision_id
    except ValueError:
        is_id = False
    if not is_id:
        message = (
            f"{decision_id[:40]!r} is no decision id: those stand in `parameters.decision_ids` of "
            "the answer. Your own id is `request_id`."
        )
        raise Refusal(422, "no_decision_id", message, field)


def _reason(one: FeedbackItem, field: str) -> str:
    """Raises Refusal (422)."""
    if one.reason is not None:
        return bodies.reason(one.reason, field)
    if one.verdict.needs_reason:
        message = f"{one.verdict} needs a reason: without one nothing can be learnt from it."
        raise Refusal(422, "no_reason", message, field)
    return ""


def _answer(one: FeedbackItem, rule: OutcomeRule, field: str) -> bool | str | float | None:
    """Raises Refusal (422)."""
    if one.answer is None:
        return None
    if one.verdict is FeedbackVerdict.ACCEPT:
        message = "What was accepted has no other answer: leave it out, or say override."
        raise Refusal(422, "invalid", message, field)
    return label_of(one.answer, rule, field)


class FeedbackDelivery:
    """Keeps a segment of feedback, each piece once however often it is shipped.

    Args:
        keep: Keeps rows of one model.
    """

    def __init__(self, keep: Callable[[Sequence[Mapping[str, Any]]], None]) -> None:
        self._keep = keep

    def __call__(self, segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        """What is wrong about one model's feedback is raised after all other is kept."""
        by_model: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in map(_decode, payloads):
            by_model[record.model] += _rows(record)
        if failures := for_each(by_model.values(), self._keep):
            raise failures[0]


def _rows(record: FeedbackRecord) -> Iterator[dict[str, Any]]:
    for one in record.items:
        yield msgspec.structs.asdict(one) | {
            "verdict": str(one.verdict),
            "model": record.model,
            "given_by": record.given_by,
            "received_at": moment(record.received_at),
        }
