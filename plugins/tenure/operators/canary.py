"""Watches a version on probation until it is promoted, rolled back or held."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from tenure.links.evidence import CanaryLink
from tenure.operators.approval import found_work
from tenure.operators.base import TenureOperator, explained, open_platform, run_ref
from tenure.operators.people import assignable, who
from tenure.vocabulary import Role

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.lifecycle.promotion.canary import CanaryJudgement
    from tenure.usecases.promotion.canary import Probation
    from tenure.vocabulary import RunRef

PROLONG, GIVE_UP = "Keep observing", "Roll back"
IN_PROCESS_SECONDS = 60
"""Shorter pauses are slept in the task; longer ones are left to the triggerer."""


class CanaryOperator(TenureOperator):
    """Judges the canary at each analysis and renews its lease.

    Green: promoted (or first champion, or nothing to do). Red: rolled back. Held: waits for a
    person. Whoever judges renews the lease, so when this task dies the canary's share ends by
    itself. Every try takes over with a higher fence.

    Args:
        ask_hours: How long a held canary waits for a person.
    """

    operator_extra_links = (*TenureOperator.operator_extra_links, CanaryLink())

    def __init__(self, *, ask_hours: int = 72, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ask_hours = ask_hours

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Start the probation, or take it over, and watch it."""
        from tenure.usecases.promotion import canary

        version = found_work(platform, cast(str, self.model), run, context)
        entered = canary.enter(platform, version, run)
        self.log.info(entered.summary)
        if entered.probation is None:
            return {"version": version.version, "summary": entered.summary}
        return self._watch(entered.probation, context)

    def resume(self, context: Context, version_id: int, fence: int, event: Any = None) -> object:
        """Go on after a pause, with the same fence."""
        del event  # the moment at which the pause ended
        from tenure.usecases.promotion import canary

        with explained(context, model=self.model):
            platform, run = self._connect(context)
            return self._watch(canary.resume(platform, version_id, fence, run), context)

    def answered(self, context: Context, version_id: int, event: dict[str, Any]) -> object:
        """Go on, or end it, as a person decided about a held canary."""
        from tenure.usecases.promotion import canary

        with explained(context, model=self.model):
            platform, run = self._connect(context)
            if "error" not in event and event["chosen_options"] == [PROLONG]:
                canary.prolong(platform, version_id, user=who(event))
            elif "error" not in event:
                canary.give_up(platform, version_id, user=who(event))
            # Without an answer it is judged anew, and held again when there is still no verdict.
            return self.work(platform, run, context)

    def _connect(self, context: Context) -> tuple[Installation, RunRef]:
        self.connected = (open_platform(), run_ref(context))
        return self.connected

    def _watch(self, probation: Probation, context: Context) -> object:
        from tenure.lifecycle.promotion.canary import CanaryAction

        pause = probation.config.canary.analysis_seconds
        while True:
            started = time.monotonic()
            judgement = probation.analyse()
            if judgement.is_final:
                return self._finish(probation, judgement)
            if judgement.action is CanaryAction.HOLD:
                self._ask(probation, judgement, context)
            if pause >= IN_PROCESS_SECONDS:
                self.defer(
                    trigger=TimeDeltaTrigger(timedelta(seconds=pause)),
                    method_name="resume",
                    kwargs={"version_id": probation.version.id, "fence": probation.plan.fence},
                )
            time.sleep(max(0.0, pause - (time.monotonic() - started)))

    def _finish(self, probation: Probation, judgement: CanaryJudgement) -> object:
        from tenure.lifecycle.promotion.canary import CanaryAction
        from tenure.usecases.promotion import canary

        if judgement.action is CanaryAction.ROLL_BACK:
            raise canary.rolled_back(probation.platform, probation.version)
        self.log.info("%s is champion, plan %s", probation.version.name, probation.plan.generation)
        return {"version": probation.version.version, "plan": probation.plan.generation}

    def _ask(self, probation: Probation, judgement: CanaryJudgement, context: Context) -> None:
        name = probation.version.name
        self.log.warning("%s is held: %s", name, judgement.explanation)
        upsert_hitl_detail(
            ti_id=context["ti"].id,
            options=[PROLONG, GIVE_UP],
            params={},
            subject=f"No verdict about canary {name}: keep observing or roll back?",
            body=f"{judgement.explanation}\n\nIts lease ends now and the champion serves 100%. "
            f"{_what_prolongs(judgement, probation.config.canary.max_analyses)} "
            "An operator must answer.",
            assigned_users=assignable(probation.platform.config.roles.get(Role.OPERATOR, ())),
        )
        raise TaskAwaitingInput(
            method_name="answered",
            kwargs={"version_id": probation.version.id},
            timeout=timedelta(hours=self.ask_hours),
        )


def _what_prolongs(judgement: CanaryJudgement, analyses: int) -> str:
    if judgement.split is not None and judgement.split.wrong:
        return (
            "What was counted says nothing about the version: look for gateways that do not log, "
            f"or do not follow the plan. *{PROLONG}* judges the same counts again and holds again; "
            f"after *{GIVE_UP}* a new training can begin a canary of its own."
        )
    again = f"*{PROLONG}* starts another {analyses} analyses at the same share."
    if judgement.groups and judgement.groups.holding:
        return (
            f"{again} Groups that stay too small hold it again, unless `canary.groups` of the "
            "model's YAML says `small_groups: report`."
        )
    return again
