"""The HTTP surface: Open Inference Protocol v2, MLflow's /invocations, outcomes, plan, health."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tenure.gateway import bodies, rows
from tenure.gateway.answers import json_response
from tenure.gateway.decisions import Decider, Question
from tenure.gateway.follower import Follower
from tenure.gateway.keys import authorize
from tenure.gateway.log import GroupLog
from tenure.gateway.metrics import Metrics
from tenure.gateway.outcomes import OutcomeDesk
from tenure.gateway.records import DecisionRecord
from tenure.gateway.refusals import Refusal
from tenure.gateway.shipper import Shipper
from tenure.gateway.view import ServedModel
from tenure.lifecycle.serving import GONE

logger = logging.getLogger(__name__)

SCORE, OUTCOME = "score", "outcome"
_HEADER_IDS = 64
"""Most decision ids that are repeated in a header; the body has all of them."""

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Endpoints:
    """Handlers; each reads the view once, so that a request sees one plan only."""

    follower: Follower
    decider: Decider
    desk: OutcomeDesk
    logs: dict[str, GroupLog]
    shippers: dict[str, Shipper]
    metrics: Metrics
    gateway: str
    monotonic: Callable[[], float]

    def counted(self, handler: Handler) -> Handler:
        """The handler, with its refusals counted and answered."""

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except Refusal as refusal:
                self.metrics.refusals.labels(refusal.code).inc()
                return refusal.response()

        return guarded

    async def live(self, _request: Request) -> Response:
        """The process runs."""
        return json_response({"live": True})

    async def ready(self, _request: Request) -> Response:
        """A verified champion is in memory for every plan, and decisions can be logged."""
        models = self.follower.view.models.values()
        missing = [model.name for model in models if not model.is_ready]
        failures = [log.failure for log in self.logs.values() if log.failure]
        ready = bool(models) and not missing and not failures
        body = {
            "ready": ready,
            "gateway": self.gateway,
            "models": [model.name for model in models],
            "not_loaded": missing,
            "log_failures": failures,
        }
        return json_response(body, status=200 if ready else 503)

    async def model_ready(self, request: Request) -> Response:
        """One model's champion is in memory."""
        model = self.follower.view.models.get(request.path_params["model"])
        ready = model is not None and model.is_ready
        return json_response({"ready": ready}, status=200 if ready else 503)

    async def describe(self, request: Request) -> Response:
        """Names, types and live versions of a model."""
        authorize(request, self.follower.view.keys, None)
        model = self._model(request.path_params["model"])
        signature = model.champion.signature
        versions = [model.champion, *([model.canary] if model.canary else [])]
        body = {
            "name": model.name,
            "versions": [str(version.version) for version in versions],
            "platform": "tenure_sklearn",
            "inputs": [
                *(_tensor(name, "FP64") for name in signature.numeric),
                *(_tensor(name, "BYTES") for name in signature.categorical),
            ],
            "outputs": [_tensor("score", "FP64"), _tensor("decision", "BOOL")],
        }
        return json_response(body)

    async def plan(self, request: Request) -> Response:
        """The plan as this gateway applies it at this moment."""
        authorize(request, self.follower.view.keys, None)
        model = self._model(request.path_params["model"])
        now = self.monotonic()
        left = model.held.seconds_left(now)
        body = {
            "model": model.name,
            "generation": model.held.plan.generation,
            "champion": model.champion.version,
            "canary": model.canary.version if model.canary else None,
            "share_bp": model.held.share_bp(now),
            "lease_seconds_left": None if left is None else round(left, 3),
            "gateway": self.gateway,
        }
        return json_response(body)

    async def infer(self, request: Request) -> Response:
        """Score by the traffic plan."""
        view = self.follower.view
        authorize(request, view.keys, SCORE)
        return await self._infer(request, self._model(request.path_params["model"]), None)

    async def infer_version(self, request: Request) -> Response:
        """Score with one live version; 410 once it is being retired."""
        authorize(request, self.follower.view.keys, SCORE)
        name, version = request.path_params["model"], request.path_params["version"]
        return await self._infer(request, self._pinned(name, version), version)

    async def invocations(self, request: Request) -> Response:
        """MLflow's scoring protocol; `X-Tenure-Model` chooses when several models are served."""
        view = self.follower.view
        authorize(request, view.keys, SCORE)
        model = self._model(self._only_model(request))
        body = bodies.parse(bodies.invocations_body, await bodies.read_body(request))
        question = Question(
            rows=rows.rows_of_frame(body, _terms(model)),
            subject=_header(request, "x-tenure-subject"),
            request_id=_header(request, "x-request-id"),
            event_time=_header_time(request, "x-tenure-event-time"),
        )
        record = await self.decider.decide(model, question)
        predictions = [
            {"score": score, "decision": decision}
            for score, decision in zip(record.scores, record.decisions, strict=True)
        ]
        body_out = {"predictions": predictions, "parameters": _parameters(record)}
        return json_response(body_out, headers=_headers(record))

    async def outcomes(self, request: Request) -> Response:
        """Take in ground truth and the watermark."""
        view = self.follower.view
        authorize(request, view.keys, OUTCOME)
        name = request.path_params["model"]
        if name not in view.known:
            raise _unknown(name)
        body = bodies.parse(bodies.outcomes_body, await bodies.read_body(request))
        record = await self.desk.take(name, body)
        self.metrics.outcomes.labels(name).inc(len(record.labels))
        return json_response({"accepted": len(record.labels), "outcome_ids": record.outcome_ids})

    async def prometheus(self, request: Request) -> Response:
        """Metrics, for any key."""
        authorize(request, self.follower.view.keys, None)
        now = self.monotonic()
        for model in self.follower.view.models.values():
            self.metrics.generation.labels(model.name).set(model.held.plan.generation)
            self.metrics.share.labels(model.name).set(model.held.share_bp(now))
        for name, shipper in self.shippers.items():
            self.metrics.unshipped.labels(name).set(shipper.waiting)
        seen = self.follower.seen_at
        self.metrics.database_age.set(-1 if seen is None else now - seen)
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _infer(self, request: Request, model: ServedModel, pinned: int | None) -> Response:
        body = bodies.parse(bodies.infer_body, await bodies.read_body(request))
        parameters = body.parameters
        question = Question(
            rows=rows.rows_of_tensors(body.inputs, _terms(model)),
            subject=bodies.text(parameters.subject, "parameters.subject"),
            request_id=bodies.text(body.id, "id"),
            event_time=bodies.instant(parameters.event_time, "parameters.event_time"),
            pinned=pinned,
        )
        record = await self.decider.decide(model, question)
        shape = [len(record.scores)]
        answer = {
            "model_name": record.model,
            "model_version": str(record.version),
            "id": record.request_id,
            "parameters": _parameters(record),
            "outputs": [
                {"name": "score", "shape": shape, "datatype": "FP64", "data": record.scores},
                {"name": "decision", "shape": shape, "datatype": "BOOL", "data": record.decisions},
            ],
        }
        return json_response(answer, headers=_headers(record))

    def _model(self, name: str) -> ServedModel:
        view = self.follower.view
        model = view.models.get(name)
        if model is not None:
            return model
        if name in view.known:
            raise Refusal(503, "not_serving", f"{name[:64]!r} has no traffic plan yet.", "model")
        raise _unknown(name)

    def _pinned(self, name: str, version: int) -> ServedModel:
        state = self.follower.view.states.get(f"{name}@{version}")
        if state is None:
            raise Refusal(404, "unknown_version", "There is no such version.", "version")
        if state in GONE:
            message = f"{name}@{version} is {state}: it never answers again."
            raise Refusal(410, "version_gone", message, "version")
        model = self._model(name)
        live = {model.champion.version, *([model.canary.version] if model.canary else [])}
        if version not in live:
            message = f"{name}@{version} is {state} and not in the traffic plan."
            raise Refusal(409, "version_not_live", message, "version")
        return model

    def _only_model(self, request: Request) -> str:
        asked = request.headers.get("x-tenure-model")
        if asked is not None:
            return asked
        names = sorted(self.follower.view.models)
        if len(names) != 1:
            message = f"{len(names)} models are served; name one in X-Tenure-Model."
            raise Refusal(400 if names else 503, "which_model", message, "X-Tenure-Model")
        return names[0]


def _terms(model: ServedModel) -> rows.Terms:
    return rows.Terms(model.accepts, model.champion.signature.features, model.policy)


def _unknown(name: str) -> Refusal:
    return Refusal(404, "unknown_model", f"There is no model {name[:64]!r}.", "model")


def _tensor(name: str, datatype: str) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1]}


def _parameters(record: DecisionRecord) -> dict[str, Any]:
    return {
        "decision_ids": record.decision_ids,
        "version": record.version,
        "arm": record.arm_answered,
        "arm_assigned": record.arm_assigned,
        "generation": record.generation,
        "confidence": record.confidences,
        "fallback_level": record.fallback_level,
        "reason": record.reason,
    }


def _headers(record: DecisionRecord) -> dict[str, str]:
    return {
        "X-Tenure-Decision-Ids": ",".join(record.decision_ids[:_HEADER_IDS]),
        "X-Tenure-Version": str(record.version),
        "X-Tenure-Arm": record.arm_answered,
        "X-Tenure-Generation": str(record.generation),
        "X-Tenure-Fallback-Level": record.fallback_level,
        "X-Tenure-Reason": record.reason,
    }


def _header(request: Request, name: str) -> str | None:
    return bodies.text(request.headers.get(name), name)


def _header_time(request: Request, name: str) -> datetime | None:
    return bodies.instant(request.headers.get(name), name)
