"""Who asks for which model: what a caller may not see does not exist for it."""

from dataclasses import dataclass

from tenure.gateway.contract.keys import Caller, Gatekeeper
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.follow.follower import Follower
from tenure.gateway.http.calls import Call
from tenure.gateway.scoring.view import ServedModel, ServingView
from tenure.lifecycle.serving import GONE

_MODEL_HEADER = b"x-tenure-model"


@dataclass(frozen=True)
class Reception:
    """Lets callers in and finds their model in the follower's view."""

    follower: Follower
    keeper: Gatekeeper

    @property
    def view(self) -> ServingView:
        """What is served at this moment; read it once a request."""
        return self.follower.view

    def admit(self, call: Call, scope: str | None) -> Caller:
        """The caller. Raises Refusal (400, 401, 403)."""
        return self.keeper.admit(call.header(b"authorization") or "", scope)

    def has_key(self, call: Call) -> bool:
        """Whether a caller without duty to show a key shows a valid one."""
        try:
            self.admit(call, None)
        except Refusal:
            return False
        return True

    def visible_model(self, name: str, caller: Caller) -> str:
        """The name of a registered model. Raises Refusal (404), the same for a forbidden one."""
        if name not in self.view.known or not caller.sees(name):
            raise Refusal(404, "unknown_model", f"There is no model {name[:64]!r}.", "model")
        return name

    def model(self, name: str, caller: Caller) -> ServedModel:
        """A model that is served. Raises Refusal (404, 503)."""
        model = self.view.models.get(name)
        if model is None or not caller.sees(name):
            shown = self.visible_model(name, caller)
            raise Refusal(503, "not_serving", f"{shown!r} has no traffic plan yet.", "model")
        return model

    def pinned(self, name: str, number: str, caller: Caller) -> tuple[ServedModel, int]:
        """A model and its live version. Raises Refusal (404, 409, 410, 503)."""
        self.visible_model(name, caller)
        version = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
        state = self.view.states.get(f"{name}@{version}")
        if state is None:
            raise Refusal(404, "unknown_version", "There is no such version.", "version")
        if state in GONE:
            message = f"{name}@{version} is {state}: it never answers again."
            raise Refusal(410, "version_gone", message, "version")
        model = self.model(name, caller)
        if version not in {one.version for one in model.live}:
            message = f"{name}@{version} is {state} and not in the traffic plan."
            raise Refusal(409, "version_not_live", message, "version")
        return model, version

    def only_model(self, call: Call, caller: Caller) -> ServedModel:
        """The model of a protocol that names none in its path. Raises Refusal (400, 404, 503)."""
        asked = call.header(_MODEL_HEADER)
        if asked is not None:
            return self.model(asked, caller)
        names = sorted(name for name in self.view.models if caller.sees(name))
        if len(names) != 1:
            message = f"{len(names)} models are served; name one in X-Tenure-Model."
            raise Refusal(400 if names else 503, "which_model", message, "X-Tenure-Model")
        return self.model(names[0], caller)
