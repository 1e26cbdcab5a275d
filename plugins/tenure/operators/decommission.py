"""Retires a model version in steps; the second person answers in Airflow's required actions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowSkipException

from tenure.errors import GateInconclusive
from tenure.lifecycle.retirement.decommission import StepAction
from tenure.links.evidence import MlflowRunLink, ReportLink
from tenure.operators.base import TenureOperator, explained, open_platform
from tenure.operators.people import assignable, who

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef

CONFIRM, REFUSE = "Confirm", "Refuse"


class RequestDecommissionOperator(TenureOperator):
    """Registers the wish of the person who triggered the run, after looking whether it may be."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Read the form and register."""
        from tenure.usecases.retirement.decommissioning import decommissioning

        form = context["params"]
        version = _version(context)
        outcome = decommissioning(platform, cast(str, self.model)).request(
            version,
            reason=str(form.get("reason") or ""),
            successor=str(form.get("successor") or ""),
            run=run,
        )
        self.log.info(outcome.note)
        return {"version": version, "note": outcome.note}


class ConfirmDecommissionOperator(HITLOperator):
    """Asks a second person with the role decommissioner; the database refuses the first one.

    The person comes from the response itself, never from XCom. Green at once when the question was
    answered before.

    Args:
        model: The model whose version retires.
        ask_hours: How long the window stays open.
    """

    operator_extra_links = (ReportLink(), MlflowRunLink())

    def __init__(self, *, model: str, ask_hours: int = 72, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Shall a version of {model} retire?",
            options=[CONFIRM, REFUSE],
            response_timeout=timedelta(hours=ask_hours),
            **kwargs,
        )
        self.model = model
        self.ask_hours = ask_hours

    def execute(self, context: Context) -> object:
        """Open the window with the blast radius, or finish when it is answered."""
        from tenure.usecases.retirement.decommissioning import decommissioning

        with explained(context, model=self.model):
            version = _version(context)
            asked = decommissioning(open_platform(), self.model).ask(version)
            if asked is None:
                return {"version": version, "note": "answered before"}
            body, people = asked
            self.subject = f"Shall {self.model}@{version} retire for good?"
            self.body = body
            self.assigned_users = assignable(people)
            self.log.info("asks=%s", people)
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> object:
        """Record the answer of the person that the response names; a refusal is an answer."""
        from tenure.usecases.retirement.decommissioning import decommissioning

        with explained(context, model=self.model):
            if "error" in event or event.get("timedout"):
                raise self._unanswered()
            answer = super().execute_complete(context, event)
            version = _version(context)
            outcome = decommissioning(open_platform(), self.model).confirm(
                version, agrees=answer["chosen_options"] == [CONFIRM], person=who(event)
            )
            self.log.info(outcome.note)
        return {"version": version, "note": outcome.note}

    def _unanswered(self) -> GateInconclusive:
        return GateInconclusive(
            f"Nobody answered within {self.ask_hours} hours.",
            still_safe="The request stands; the version was not touched.",
            next_step="Tell a decommissioner, then clear this task: the window opens again.",
        )


class DecommissionOperator(TenureOperator):
    """One step that needs no person; skips green when it is refused, on hold or not due yet.

    What waits for its date is taken up by `maintain_platform` when it is due.

    Args:
        step: Which one.
    """

    def __init__(
        self, *, step: Literal["notify", "archive", "delete", "record"], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.step = step

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Do the step, or end the run here."""
        from tenure.usecases.retirement.decommissioning import decommissioning

        version = _version(context)
        retirement = decommissioning(platform, cast(str, self.model))
        outcome = retirement.do(StepAction(self.step), version, run)
        self.log.info(outcome.note)
        if outcome.waiting:
            raise AirflowSkipException(outcome.note)
        return {"version": version, "note": outcome.note, "report": outcome.digest}


def _version(context: Context) -> int:
    return int(context["params"]["version"])
