"""Asks approvers through Airflow's required actions; the lifecycle database decides what counts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.version_compat import AIRFLOW_V_3_3_PLUS
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput

from tenure.errors import GateInconclusive
from tenure.lifecycle.promotion.approval import Choice, quorum_of
from tenure.links.evidence import MlflowRunLink, ReportLink
from tenure.notifications.alerts import tell
from tenure.operators.base import TenureOperator, explained, open_platform, run_ref
from tenure.operators.people import assignable, who

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef, VersionRef

assert AIRFLOW_V_3_3_PLUS, "the window parks in awaiting_input, which Airflow 3.3 brought"

REASON = "reason"
"""Name of the field that a person writes into."""
OPTIONS = {"Approve": Choice.APPROVE, "Reject": Choice.REJECT}


class ReviewOperator(HITLOperator):
    """One seat of the quorum: shows the evidence, waits for one person, records the answer.

    The person comes from the response itself, never from XCom. A wrong person makes the task red;
    clearing it asks again. An answer that lacks its reason is a failed try: the next one opens a
    new window, which says so (Airflow's form can ask for a text with every option or with none).
    When nobody needs to be asked any more it is green at once.

    Args:
        model: The model whose newest waiting version is asked about.
        seat: Number of the seat, from 1; each is filled by another person.
        ask_hours: How long the window stays open.
    """

    operator_extra_links = (ReportLink(), MlflowRunLink())
    connected: tuple[Installation, RunRef] | None = None

    def __init__(self, *, model: str, seat: int = 1, ask_hours: int = 72, **kwargs: Any) -> None:
        super().__init__(
            subject=f"May the new version of {model} serve?",
            options=list(OPTIONS),
            response_timeout=timedelta(hours=ask_hours),
            **kwargs,
        )
        self.params = _reason(is_compulsory=False)
        self.model = model
        self.seat = seat
        self.ask_hours = ask_hours

    def execute(self, context: Context) -> object:
        """Open the window, or finish when the question is answered."""
        from tenure.usecases.promotion import approval, authorization
        from tenure.views.approvals import asked_again

        with explained(context, model=self.model):
            platform, run = self._connect(context)
            version = found_work(platform, self.model, run, context)
            renews = approval.renews(platform, self.model, run)
            ask = authorization.ask_renewal if renews else approval.ask
            asked = ask(platform, version)
            if asked is None:
                self.log.info("seat=%s version=%s answer=not_needed", self.seat, version.name)
                return {"version": version.version, "state": str(version.state)}
            self.subject, self.body = asked.subject, asked_again(platform, run) + asked.body
            self.assigned_users = assignable(asked.approvers)
            self.params = _reason(is_compulsory=asked.needs_reason)
            self.log.info("seat=%s version=%s asks=%s", self.seat, version.name, asked.approvers)
            if approval.announce(platform, asked, run, hours=self.ask_hours):
                tell(platform)
        try:
            super().execute(context)
        except TaskAwaitingInput as waiting:
            # What was shown travels with the task, so the answer is bound to exactly that.
            waiting.kwargs = {"asked": [version.id, asked.artifact, asked.evidence]}
            raise
        return None

    def execute_complete(
        self, context: Context, event: dict[str, Any], asked: list[Any] | None = None
    ) -> object:
        """Record the answer of the person that the response names."""
        from tenure.usecases.promotion import approval

        with explained(context, model=self.model):
            if "error" in event or asked is None:
                raise self._unanswered(event)
            platform, run = self._connect(context)
            given = super().execute_complete(context, event)
            choice = OPTIONS[given["chosen_options"][0]]
            note = str(given["params_input"].get(REASON) or "").strip()
            if approval.renews(platform, self.model, run):
                version = found_work(platform, self.model, run, context)
                return self._renewed(platform, version, asked, (who(event), choice, note))
            outcome = approval.answer(
                platform,
                (int(asked[0]), str(asked[1]), str(asked[2])),
                user=who(event),
                choice=choice,
                run=run,
                note=note,
            )
            self.log.info("seat=%s %s", self.seat, outcome.summary)
            return {"version": outcome.version.version, "report": outcome.report}

    def _renewed(
        self,
        platform: Installation,
        version: VersionRef,
        asked: list[Any],
        answer: tuple[str, Choice, str],
    ) -> object:
        from tenure.usecases.promotion.authorization import decline, renew

        user, choice, note = answer
        if choice is Choice.REJECT:
            self.log.info("seat=%s %s", self.seat, decline(platform, version, user=user, note=note))
            return {"version": version.version, "renewed": False}
        shown = (str(asked[1]), str(asked[2]))
        renew(platform, version.model, version.version, user=user, shown=shown)
        self.log.info("seat=%s version=%s renewed_by=%s", self.seat, version.name, user)
        return {"version": version.version, "renewed": True}

    def _connect(self, context: Context) -> tuple[Installation, RunRef]:
        self.connected = (open_platform(), run_ref(context))
        return self.connected

    def _unanswered(self, event: dict[str, Any]) -> GateInconclusive:
        return GateInconclusive(
            f"Seat {self.seat}: nobody answered within {self.ask_hours} hours "
            f"({event.get('error_type', 'no answer')}).",
            still_safe="The version waits without traffic; the champion keeps serving.",
            next_step="Tell an approver, then clear this task: the window opens again.",
        )


class ApproveOperator(TenureOperator):
    """Closes the question: green when approved, skips what follows when rejected."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Take all answers from the database and say where the version stands."""
        from tenure.usecases.promotion import approval

        version = found_work(platform, cast(str, self.model), run, context)
        outcome = approval.conclude(platform, version, run)
        self.log.info(outcome.summary)
        if outcome.standing.rejected_by:
            raise AirflowSkipException(outcome.summary)
        return {"version": version.version, "report": outcome.report}


def _reason(*, is_compulsory: bool) -> ParamsDict:
    """The field of the window; Airflow itself asks for it only where every answer needs it."""
    if is_compulsory:
        said = "A gate asks less than before: write why it may serve, or why not."
        field = Param(None, type="string", minLength=1, format="multiline", description_md=said)
    else:
        said = "Compulsory when you reject; kept with your answer."
        kinds = ["null", "string"]
        field = Param(None, type=kinds, format="multiline", description_md=said)
    field.schema["title"], field.source = "Reason", "task"
    return ParamsDict({REASON: field})


def seats(risk_tier: str) -> list[int]:
    """Numbers of the seats that a tier's quorum has, from 1: one mapped review task each."""
    return list(range(1, quorum_of(risk_tier) + 1))


def found_work(platform: Installation, model: str, run: RunRef, context: Context) -> VersionRef:
    """The version that this run promotes; skips the task when there is none."""
    from tenure.usecases.promotion import approval

    wanted = context["params"].get("version")
    version = approval.find_work(platform, model, run, int(wanted) if wanted else None)
    if version is None:
        raise AirflowSkipException(f"No version of {model} waits for promotion")
    return version
