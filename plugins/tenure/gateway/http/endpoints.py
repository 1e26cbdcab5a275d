"""The endpoints that take something in: Open Inference Protocol v2, MLflow's, outcomes."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b

from tenure.gateway.contract import answers, bodies
from tenure.gateway.contract.answers import Answer, Header, json_answer
from tenure.gateway.contract.keys import Caller
from tenure.gateway.contract.metrics import Metrics
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.http.calls import Call
from tenure.gateway.http.intake import Intake
from tenure.gateway.http.reception import Reception
from tenure.gateway.http.replays import Replays
from tenure.gateway.log.feedback import FeedbackDesk
from tenure.gateway.log.outcomes import OutcomeDesk
from tenure.gateway.log.records import DecisionRecord
from tenure.gateway.scoring.decisions import Decider, DecisionRequest
from tenure.gateway.scoring.view import ServedModel
from tenure.lifecycle.serving import GatewayPolicy
from tenure.lifecycle.task import Task
from tenure.ports import Clock

SCORE, OUTCOME, FEEDBACK, ADMIN = "score", "outcome", "feedback", "admin"
_KINDS: dict[Task, str] = {
    "binary": "binary model",
    "multiclass": "multiclass model",
    "regression": "regression",
}
_Form = Callable[[DecisionRecord, int | None], Answer]
"""Makes the answer from a decision; scores have so many decimals, or all."""
_HEADER_IDS = 64
"""Most decision ids that are repeated in a header; the body has all of them."""


@dataclass(frozen=True)
class Endpoints:
    """Handlers; each decides by the one plan that is in force when its body is whole."""

    reception: Reception
    decider: Decider
    desk: OutcomeDesk
    feedback_desk: FeedbackDesk
    replays: Replays
    metrics: Metrics
    intake: Intake
    limits: GatewayPolicy
    clock: Clock

    async def infer(self, call: Call) -> Answer:
        """Score by the traffic plan."""
        caller = self._scorer(call)
        return await self._infer(
            call, caller, lambda: (self.reception.model(call.params["model"], caller), None)
        )

    async def infer_version(self, call: Call) -> Answer:
        """Score with one live version; 410 once it is being retired."""
        caller = self._scorer(call)
        name, number = call.params["model"], call.params["version"]
        return await self._infer(call, caller, lambda: self.reception.pinned(name, number, caller))

    async def invocations(self, call: Call) -> Answer:
        """MLflow's scoring protocol; `X-Tenure-Model` chooses when several models are served."""
        caller = self._scorer(call)
        self.reception.only_model(call, caller)
        raw = await self.intake.read(call)
        model = self.reception.only_model(call, caller)
        body = bodies.parse(bodies.invocations_body, raw)
        question = DecisionRequest(
            rows=model.contract.of_frame(body, self.limits.max_rows),
            subject=_header(call, "X-Tenure-Subject"),
            request_id=_header(call, "X-Request-Id"),
            event_time=self._happened(call.header(b"x-tenure-event-time"), "X-Tenure-Event-Time"),
            client=caller.client,
        )
        return await self._once(call, caller, model, question, raw, form=_invocations_answer)

    async def outcomes(self, call: Call) -> Answer:
        """Take in ground truth and the watermark."""
        caller = self.reception.admit(call, OUTCOME)
        self.reception.keeper.charge(caller)
        name = self.reception.visible_model(call.params["model"], caller)
        raw = await self.intake.read(call)
        body = bodies.parse(bodies.outcomes_body, raw)
        record = await self.desk.take(name, body, caller)
        self.reception.keeper.overdraw(caller, max(0, len(record.labels) - 1))
        self.metrics.outcomes.labels(name).inc(len(record.labels))
        return json_answer(answers.OutcomesAnswer(len(record.labels), record.outcome_ids))

    async def feedback(self, call: Call) -> Answer:
        """Take in what people think of decisions."""
        caller = self.reception.admit(call, FEEDBACK)
        self.reception.keeper.charge(caller)
        name = self.reception.visible_model(call.params["model"], caller)
        raw = await self.intake.read(call)
        body = bodies.parse(bodies.feedback_body, raw)
        items = (await self.feedback_desk.take(name, body, caller)).items
        self.reception.keeper.overdraw(caller, len(items) - 1)
        for one in items:
            self.metrics.feedback.labels(name, one.verdict).inc()
        return json_answer(answers.FeedbackAnswer(len(items), [one.feedback_id for one in items]))

    async def stop_canary(self, call: Call) -> Answer:
        """Give the canary nothing more here, database or not."""
        caller = self.reception.admit(call, ADMIN)
        model = self.reception.model(call.params["model"], caller)
        raw = await self.intake.read(call)
        body = bodies.parse(bodies.stop_body, raw)
        reason = bodies.reason(body.reason)
        stop = partial(self.reception.follower.stop_canary, by=caller.name, reason=reason)
        try:
            version = await asyncio.to_thread(stop, model.name)
        except OSError as error:
            why = error.strerror or error
            message = f"Not stopped: the stop cannot be written ({why}). Use `tenure rollback`."
            raise Refusal(503, "not_kept", message) from error
        if version is None:
            message = f"{model.name} has no canary in generation {model.held.plan.generation}."
            raise Refusal(409, "no_canary", message, "model")
        return json_answer(answers.StopAnswer(model.name, version))

    def _scorer(self, call: Call) -> Caller:
        """A caller that may score, with a row taken from its budget; the rest follows."""
        caller = self.reception.admit(call, SCORE)
        self.reception.keeper.charge(caller)
        return caller

    def _happened(self, value: str | None, field: str) -> datetime | None:
        """An event time within the window. Raises Refusal (422)."""
        now = self.clock.now()
        return bodies.happened(value, field, limits=self.limits, now=now)

    async def _infer(
        self, call: Call, caller: Caller, find: Callable[[], tuple[ServedModel, int | None]]
    ) -> Answer:
        """`find` refuses before the body is read; what it finds afterwards decides."""
        find()
        raw = await self.intake.read(call)
        model, pinned = find()
        body = bodies.parse_infer(raw)
        parameters = body.parameters
        question = DecisionRequest(
            rows=model.contract.of_tensors(body.inputs, self.limits.max_rows),
            subject=bodies.text(parameters.subject, "parameters.subject"),
            request_id=bodies.text(body.id, "id"),
            event_time=self._happened(parameters.event_time, "parameters.event_time"),
            pinned=pinned,
            client=caller.client,
        )
        form = partial(_infer_answer, outputs=_outputs(body, model))
        return await self._once(call, caller, model, question, raw, form=form)

    async def _once(
        self,
        call: Call,
        caller: Caller,
        model: ServedModel,
        question: DecisionRequest,
        raw: bytes,
        *,
        form: _Form,
    ) -> Answer:
        """Decide; a request whose id is known gets the decision that was made."""
        decide = partial(self._decide, caller, model, question, form)
        if question.request_id is None:
            return await decide()
        answer, replayed = await self.replays.once(
            (caller.client, model.name, question.request_id), _digest(call, raw), decide
        )
        if replayed:
            self.metrics.replayed.labels(model.name).inc()
        return answer

    async def _decide(
        self,
        caller: Caller,
        model: ServedModel,
        question: DecisionRequest,
        form: _Form,
    ) -> Answer:
        self.reception.keeper.overdraw(caller, question.rows.count - 1)
        return form(await self.decider.decide(model, question), model.policy.round_scores)


def _outputs(body: bodies.InferBody, model: ServedModel) -> tuple[str, ...]:
    """Those that were asked for, else all. Raises Refusal (422) for one that there is not."""
    known = model.outputs
    asked = tuple(dict.fromkeys(output.name for output in body.outputs))
    for name in asked:
        if name not in known:
            what = _KINDS[model.champion.task]
            message = f"{model.name} is a {what}: its outputs are {', '.join(known)}."
            raise Refusal(422, "no_such_output", message, "outputs")
    return asked or known


def _infer_answer(
    record: DecisionRecord, decimals: int | None, *, outputs: Iterable[str]
) -> Answer:
    made = _of_classes(record, decimals) if record.answers else _of_scores(record, decimals)
    body = answers.InferAnswer(
        record.model,
        str(record.version),
        record.request_id,
        _parameters(record, decimals),
        [made[name] for name in outputs if name in made] or list(made.values()),
    )
    return json_answer(body, headers=_headers(record))


def _of_scores(record: DecisionRecord, decimals: int | None) -> dict[str, answers.Output]:
    shape, scores = [len(record.scores)], _rounded(record.scores, decimals)
    if any(one is not None for one in record.decisions):
        decisions = [bool(one) for one in record.decisions]
        return {
            "score": answers.Scores(shape, scores),
            "decision": answers.Decisions(shape, decisions),
        }
    found: dict[str, answers.Output] = {"prediction": answers.Predictions(shape, scores)}
    if record.lower:
        found["lower"] = answers.LowerEnds(shape, _rounded(record.lower, decimals))
        found["upper"] = answers.UpperEnds(shape, _rounded(record.upper, decimals))
    return found


def _of_classes(record: DecisionRecord, decimals: int | None) -> dict[str, answers.Output]:
    rows, names = len(record.answers), record.classes
    flat = [one for row in record.probabilities for one in row]
    return {
        "label": answers.Labels([rows], record.answers),
        "probability": answers.Probabilities(
            [rows, len(names)], _rounded(flat, decimals), answers.ClassNames(names)
        ),
    }


def _class_predictions(record: DecisionRecord, decimals: int | None) -> list[answers.Prediction]:
    rows = zip(record.answers, record.probabilities, strict=True)
    return [
        answers.Prediction(
            label=answer,
            probability=dict(zip(record.classes, _rounded(list(row), decimals), strict=True)),
        )
        for answer, row in rows
    ]


def _invocations_answer(record: DecisionRecord, decimals: int | None) -> Answer:
    predictions = _class_predictions(record, decimals) or _predictions(record, decimals)
    body = answers.InvocationsAnswer(predictions, _parameters(record, decimals))
    return json_answer(body, headers=_headers(record))


def _predictions(record: DecisionRecord, decimals: int | None) -> list[answers.Prediction]:
    scores = _rounded(record.scores, decimals)
    if any(one is not None for one in record.decisions):
        pairs = zip(scores, record.decisions, strict=True)
        return [answers.Prediction(score=one, decision=bool(made)) for one, made in pairs]
    if not record.lower:
        return [answers.Prediction(prediction=one) for one in scores]
    ends = (_rounded(end, decimals) for end in (record.lower, record.upper))
    rows = zip(scores, *ends, strict=True)
    return [answers.Prediction(prediction=p, lower=low, upper=up) for p, low, up in rows]


def _rounded(values: list[float], decimals: int | None) -> list[float]:
    return values if decimals is None else [round(value, decimals) for value in values]


def _parameters(record: DecisionRecord, decimals: int | None) -> answers.Parameters:
    return answers.Parameters(
        decision_ids=record.decision_ids,
        version=record.version,
        arm=record.arm_answered,
        arm_assigned=record.arm_assigned,
        generation=record.generation,
        confidence=_rounded([c for c in record.confidences if c is not None], decimals),
        fallback_level=record.fallback_level,
        reason=record.reason,
        review=record.review,
        cached=record.cached,
    )


def _headers(record: DecisionRecord) -> list[Header]:
    return [
        (b"x-tenure-decision-ids", ",".join(record.decision_ids[:_HEADER_IDS]).encode()),
        (b"x-tenure-version", b"%d" % record.version),
        (b"x-tenure-arm", record.arm_answered.encode()),
        (b"x-tenure-generation", b"%d" % record.generation),
        (b"x-tenure-fallback-level", record.fallback_level.encode()),
        (b"x-tenure-reason", record.reason.encode("latin-1", "replace")),
    ]


def _digest(call: Call, raw: bytes) -> bytes:
    """Of all that a decision depends on: the place, the body, and the headers that say who."""
    who = (
        call.headers.get(b"x-tenure-subject", b""),
        call.headers.get(b"x-tenure-event-time", b""),
    )
    return blake2b(b"\0".join((call.path.encode(), *who, raw)), digest_size=16).digest()


def _header(call: Call, name: str) -> str | None:
    return bodies.text(call.header(name.lower().encode()), name)
