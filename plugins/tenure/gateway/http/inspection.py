"""The endpoints that only tell: health, metadata, the plan, metrics, the published contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from importlib.metadata import version
from threading import Event

from msgspec import UNSET

from tenure.gateway.contract import answers, openapi
from tenure.gateway.contract.answers import Answer, json_answer
from tenure.gateway.contract.metrics import Metrics
from tenure.gateway.http.calls import Call
from tenure.gateway.http.reception import Reception
from tenure.gateway.log.shipper import Shipper
from tenure.gateway.log.writer import GroupLog
from tenure.gateway.scoring.view import LoadedVersion, ServedModel
from tenure.lifecycle.serving import GatewayPolicy

METRICS = "metrics"
_EXPOSITION = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


@dataclass(frozen=True)
class Inspection:
    """Handlers that change nothing."""

    reception: Reception
    logs: Mapping[str, GroupLog]
    shippers: Mapping[str, Shipper]
    metrics: Metrics
    limits: GatewayPolicy
    gateway: str
    monotonic: Callable[[], float]
    draining: Event

    async def live(self, _call: Call) -> Answer:
        """The process runs."""
        return json_answer(answers.Live(True))

    async def ready(self, call: Call) -> Answer:
        """A verified champion is in memory for every plan, decisions are logged, and it stays."""
        models = self.reception.view.models.values()
        missing = [model.name for model in models if not model.is_ready]
        failures = [log.failure for log in self.logs.values() if log.failure]
        draining = self.draining.is_set()
        ready = bool(models) and not (missing or failures or draining)
        body = answers.Ready(ready)
        if self.reception.has_key(call):
            names = [model.name for model in models]
            body = answers.Ready(ready, self.gateway, names, missing, failures, draining)
        return json_answer(body, status=200 if ready else 503)

    async def model_ready(self, call: Call) -> Answer:
        """One model's champion is in memory, and stays; for those who may know of the model."""
        caller = self.reception.admit(call, None)
        model = self.reception.model(call.params["model"], caller)
        ready = model.is_ready and not self.draining.is_set()
        return json_answer(answers.Ready(ready), status=200 if ready else 503)

    async def server(self, call: Call) -> Answer:
        """Name and version of this software, for any caller with a key."""
        self.reception.admit(call, None)
        return json_answer(answers.ServerMetadata("tenure", version("tenure"), []))

    async def describe(self, call: Call) -> Answer:
        """Names, types and live versions of a model."""
        caller = self.reception.admit(call, None)
        model = self.reception.model(call.params["model"], caller)
        return json_answer(_metadata(model, model.champion))

    async def describe_version(self, call: Call) -> Answer:
        """The same of one live version: it may read other features than the champion."""
        return json_answer(_metadata(*self._pinned(call)))

    async def version_ready(self, call: Call) -> Answer:
        """One live version is in memory, and stays."""
        _model, one = self._pinned(call)
        ready = one.is_alive and not self.draining.is_set()
        return json_answer(answers.Ready(ready), status=200 if ready else 503)

    def _pinned(self, call: Call) -> tuple[ServedModel, LoadedVersion]:
        caller = self.reception.admit(call, None)
        name, number = call.params["model"], call.params["version"]
        model, live = self.reception.pinned(name, number, caller)
        return model, next(one for one in model.live if one.version == live)

    async def schema(self, call: Call) -> Answer:
        """JSON Schema of this model's `/infer` body, from its signature and policy."""
        caller = self.reception.admit(call, None)
        model = self.reception.model(call.params["model"], caller)
        return json_answer(openapi.infer_schema(model.contract, self.limits.max_rows))

    async def plan(self, call: Call) -> Answer:
        """The plan as this gateway applies it at this moment."""
        caller = self.reception.admit(call, None)
        model = self.reception.model(call.params["model"], caller)
        now = self.monotonic()
        left, until = model.held.seconds_left(now), model.held.plan.canary_until
        return json_answer(
            answers.Plan(
                model=model.name,
                generation=model.held.plan.generation,
                champion=model.champion.version,
                canary=model.canary.version if model.canary else None,
                share_bp=model.held.share_bp(now),
                lease_seconds_left=None if left is None else round(left, 3),
                authorized_until=model.held.plan.champion_until.astimezone(UTC),
                canary_authorized_until=until and until.astimezone(UTC),
                gateway=self.gateway,
            )
        )

    async def prometheus(self, call: Call) -> Answer:
        """Metrics of all models, for keys with the scope `metrics`."""
        self.reception.admit(call, METRICS)
        now = self.monotonic()
        for model in self.reception.view.models.values():
            self.metrics.generation.labels(model.name).set(model.held.plan.generation)
            self.metrics.share.labels(model.name).set(model.held.share_bp(now))
            by_onnx = [v for v in (model.champion, model.canary) if v and v.variant == "onnx"]
            self.metrics.onnx.labels(model.name).set(len(by_onnx))
        for name, shipper in self.shippers.items():
            self.metrics.unshipped.labels(name).set(shipper.waiting)
            for folder, number in shipper.aside.items():
                self.metrics.aside.labels(name, folder).set(number)
        seen = self.reception.follower.seen_at
        self.metrics.database_age.set(-1 if seen is None else now - seen)
        self.metrics.token_keys_age.set(self.reception.keeper.token_keys_age)
        return Answer(self.metrics.text(), status=200, headers=[_EXPOSITION])

    async def contract(self, _call: Call) -> Answer:
        """This interface as OpenAPI 3.1."""
        return json_answer(openapi.document(self.limits))


def _metadata(model: ServedModel, reads: LoadedVersion) -> answers.ModelMetadata:
    signature = reads.signature
    variants = {str(one.version): one.variant for one in model.live}
    inputs = [
        *(answers.TensorMetadata(name, "FP64", [-1]) for name in signature.numeric),
        *(answers.TensorMetadata(name, "BYTES", [-1]) for name in signature.categorical),
    ]
    return answers.ModelMetadata(
        model.name,
        list(variants),
        variants,
        "tenure_sklearn",
        inputs,
        _outputs(reads),
        list(reads.classes) or UNSET,
    )


def _outputs(version: LoadedVersion) -> list[answers.TensorMetadata]:
    promised = {} if version.coverage is None else {"coverage": version.coverage}
    return [
        answers.TensorMetadata(
            name,
            _DATATYPES.get(name, "FP64"),
            [-1, len(version.classes)] if name == "probability" else [-1],
            promised if name in ("lower", "upper") else {},
        )
        for name in version.outputs
    ]


_DATATYPES = {"decision": "BOOL", "label": "BYTES"}
"""Of outputs that are no numbers."""
