"""The operations of the gateway: the published contract and the routes are both made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenure.gateway.contract import answers, bodies

_MODEL = "/v2/models/{model}"
_VERSION = f"{_MODEL}/versions/{{version}}"
_ANY_KEY = (400, 401, 404, 503)
_WITH_BODY = (400, 401, 403, 404, 408, 413, 415, 422, 429, 503)


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Args:
        method: HTTP method.
        path: Template of the path.
        name: Name of the handler.
        summary: One line.
        answer: Type of the 200; a text names a media type instead.
        scope: What a key must be good for; "" for any key, None without one.
        body: Type of the request's body.
        headers: Request headers that mean something here, with what they mean.
        tells: Headers of the 200, with what they mean.
        refusals: Statuses besides 200, 431, 500 and 503.
        unready: Type of a 503 that is an answer and no refusal.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: Any
    scope: str | None = ""
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tells: Mapping[str, str] = field(default_factory=dict)
    refusals: Sequence[int] = _ANY_KEY
    unready: Any = None


_WHO = {
    "X-Tenure-Subject": "Whom the rows are about; routing sticks to it.",
    "X-Tenure-Event-Time": "When it happens by the client's clock, ISO 8601 with an offset.",
    "X-Request-Id": "The request id; sent again with the same content it gets the same decision.",
    "X-Tenure-Model": "Which model, where several are served.",
}
_HOW = {
    "X-Tenure-Decision-Ids": "The first 64 decision ids; the body has all of them.",
    "X-Tenure-Version": "The version that answered.",
    "X-Tenure-Arm": "The arm that answered.",
    "X-Tenure-Generation": "Generation of the traffic plan.",
    "X-Tenure-Fallback-Level": "Which level answered.",
    "X-Tenure-Reason": "Why it was not the model; else empty.",
    "X-Tenure-Replayed": "`true`, on an answer that was given before; else it is not there.",
}
_REPLAY = (
    " A request id that this gateway knows (for two minutes, in its memory) gets the decision that "
    "was made, with `X-Tenure-Replayed: true`; with other content it gets 409."
)

OPERATIONS = (
    Operation(
        "POST",
        f"{_MODEL}/infer",
        "infer",
        "Score rows by the traffic plan." + _REPLAY,
        answers.InferAnswer,
        scope="score",
        body=bodies.InferBody,
        tells=_HOW,
        refusals=(*_WITH_BODY, 409),
    ),
    Operation(
        "POST",
        f"{_VERSION}/infer",
        "infer_version",
        "Score rows with one live version." + _REPLAY,
        answers.InferAnswer,
        scope="score",
        body=bodies.InferBody,
        tells=_HOW,
        refusals=(*_WITH_BODY, 409, 410),
    ),
    Operation(
        "POST",
        "/invocations",
        "invocations",
        "Score rows by MLflow's protocol." + _REPLAY,
        answers.InvocationsAnswer,
        scope="score",
        body=bodies.InvocationsBody,
        headers=_WHO,
        tells=_HOW,
        refusals=(*_WITH_BODY, 409),
    ),
    Operation(
        "POST",
        f"{_MODEL}/outcomes",
        "outcomes",
        "Tell what happened in truth, by decision id or request id, and how far it is known. A "
        "request id is that of a request of the same caller; who does not score itself, or is "
        "admin, may name another `caller`: the name of its key, or `jwt:` and its subject.",
        answers.OutcomesAnswer,
        scope="outcome",
        body=bodies.OutcomesBody,
        refusals=_WITH_BODY,
    ),
    Operation(
        "POST",
        f"{_MODEL}/feedback",
        "feedback",
        "Say what somebody thinks of decisions: `accept`, `override` (something else was done) or "
        "`wrong`, the last two with a reason. Of one `person` of one client the newest counts; an "
        "outcome is something else. A request id is that of a request of the same caller, as for "
        "outcomes.",
        answers.FeedbackAnswer,
        scope="feedback",
        body=bodies.FeedbackBody,
        refusals=_WITH_BODY,
    ),
    Operation(
        "POST",
        f"{_MODEL}/canary/stop",
        "stop_canary",
        "Give the canary nothing more at this gateway, even while the lifecycle database is down. "
        "The database hears of it when it answers; maintenance then rolls the canary back.",
        answers.StopAnswer,
        scope="admin",
        body=bodies.StopBody,
        refusals=(*_WITH_BODY, 409),
    ),
    Operation("GET", f"{_MODEL}/plan", "plan", "The traffic plan in force here.", answers.Plan),
    Operation("GET", f"{_MODEL}/schema", "schema", "JSON Schema of this model's rows.", dict),
    Operation(
        "GET",
        f"{_MODEL}/ready",
        "model_ready",
        "Whether the model's champion can answer.",
        answers.Ready,
        unready=answers.Ready,
    ),
    Operation("GET", _MODEL, "describe", "What the model reads.", answers.ModelMetadata),
    Operation(
        "GET",
        _VERSION,
        "describe_version",
        "What one live version reads.",
        answers.ModelMetadata,
        refusals=(*_ANY_KEY, 409, 410),
    ),
    Operation(
        "GET",
        f"{_VERSION}/ready",
        "version_ready",
        "Whether one live version can answer.",
        answers.Ready,
        refusals=(*_ANY_KEY, 409, 410),
        unready=answers.Ready,
    ),
    Operation(
        "GET", "/v2", "server", "What runs here.", answers.ServerMetadata, refusals=(400, 401)
    ),
    Operation(
        "GET",
        "/v2/health/live",
        "live",
        "Whether the process runs.",
        answers.Live,
        scope=None,
        refusals=(),
    ),
    Operation(
        "GET",
        "/v2/health/ready",
        "ready",
        "Whether requests may be sent here; with a key also why not.",
        answers.Ready,
        scope=None,
        refusals=(),
        unready=answers.Ready,
    ),
    Operation(
        "GET",
        "/metrics",
        "prometheus",
        "Prometheus metrics of all models.",
        "text/plain",
        scope="metrics",
        refusals=(400, 401, 403),
    ),
    Operation("GET", "/openapi.json", "contract", "This document.", dict, scope=None, refusals=()),
)
