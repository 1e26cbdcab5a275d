"""The actions on an incident: what each would change, by the state as it is, and its deed."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.lifecycle.audit.reconciliation import TaskProgress
from tenure.lifecycle.incidents.actions import (
    ASK,
    CLEAR,
    CONFIG,
    RELOAD,
    RETRY,
    ROLL_BACK,
    IncidentAction,
    version_of,
)
from tenure.lifecycle.incidents.alert_text import ALERT, alert_body
from tenure.lifecycle.incidents.webhook import FROM_ENVIRONMENT
from tenure.usecases.incidents.alerts import enqueue_alert, facts_of
from tenure.usecases.incidents.close_incident import in_utc
from tenure.usecases.incidents.outbox import deliver_at, waiting_at
from tenure.usecases.operations.broken_files import problems_of, report_configs, report_imports
from tenure.usecases.promotion.rollback import Intent, intend, roll_back
from tenure.vocabulary import RunRef, digest_json, op_key

if TYPE_CHECKING:
    from tenure.adapters.sql.incidents import Incident

MOST_RUNS = 50
"""Runs that are cleared by one press."""


class AirflowHands(Protocol):
    """Airflow, in the name of the person who acts."""

    def clear(
        self, dag_id: str, run_id: str, tasks: Sequence[tuple[str, int]], *, dry_run: bool
    ) -> list[TaskProgress]:
        """Clear failed tasks of a run and what failed after them; returns those that were."""
        ...

    def import_errors(self) -> dict[str, str]:
        """Why DAG files cannot be imported, by file."""
        ...


@dataclass(frozen=True)
class ActionCall:
    """A person at an incident.

    Args:
        platform: The installation.
        found: The incident, open.
        user: Who acts.
        airflow: In her name.
        note: What she adds to a message; may be empty.
    """

    platform: Installation
    found: "Incident"
    user: str
    airflow: AirflowHands
    note: str = ""


@dataclass(frozen=True)
class PlannedAction:
    """What an action would do.

    Args:
        sentence: For the person, with numbers.
        state: What it rests on: another state is another deed.
        do: Does it; returns what was done. None when nothing would change.
    """

    sentence: str
    state: Mapping[str, object] = field(default_factory=dict)
    do: Callable[[], str] | None = None

    @property
    def changes(self) -> bool:
        """Whether anything would change."""
        return self.do is not None

    @property
    def seen(self) -> str:
        """By which the deed knows that the person saw this very plan."""
        return digest_json([dict(self.state), self.changes])[:16]


def plan_clear(call: ActionCall) -> PlannedAction:
    """Run the failed tasks again: of each task only the newest run, for it repairs the earlier."""
    from tenure.adapters.sql import incident_members

    with call.platform.database.begin() as connection:
        red = incident_members.red_tasks(connection, call.found.id)
    runs = runs_to_clear(red)
    some = dict(list(runs.items())[:MOST_RUNS])
    would, unknown = _clear(call, some, dry_run=True)
    if not would:
        gone = f" {unknown} runs are unknown to Airflow." if unknown else ""
        return PlannedAction(
            f"None of the {_n(len(red), 'red member')} is failed in Airflow now: they run again "
            f"already, or were cleared.{gone} Nothing would change."
        )
    tasks = sorted({name for _, name, _ in would})
    more = f" That is the first {MOST_RUNS} of {len(runs)} runs." if len(runs) > MOST_RUNS else ""
    more += f" {unknown} runs are unknown to Airflow and left alone." if unknown else ""
    sentence = (
        f"Airflow would run {_n(len(would), 'task instance')} again ({', '.join(tasks)}) in "
        f"{_n(len({run for run, _, _ in would}), 'run')}; a green run repairs "
        f"{_n(len(red), 'red member')} of this incident.{more}"
    )

    def do() -> str:
        done, _ = _clear(call, some, dry_run=False)
        return f"{_n(len(done), 'task instance')} cleared: {', '.join(tasks)}."

    state = {"cleared": [f"{run} {name} {tries}" for run, name, tries in would]}
    return PlannedAction(sentence, state, do)


def runs_to_clear(
    red: Sequence[tuple[RunRef, str]],
) -> dict[tuple[str, str], list[tuple[str, int]]]:
    """Which tasks of which runs repair all members, by DAG and run; see `of_task`.

    A green run of a task without copies repairs its earlier runs, one of a copy those at its item.

    Args:
        red: Members, the newest first, each with what it was at.
    """
    seen: set[tuple[str, ...]] = set()
    runs: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for run, item in red:
        alone = not item and run.map_index >= 0
        same = (run.dag_id, run.task_id, item, *((run.run_id, str(run.map_index)) * alone))
        if same not in seen:
            seen.add(same)
            runs.setdefault((run.dag_id, run.run_id), []).append((run.task_id, run.map_index))
    return runs


def _clear(
    call: ActionCall, runs: Mapping[tuple[str, str], Sequence[tuple[str, int]]], *, dry_run: bool
) -> tuple[list[tuple[str, str, int]], int]:
    """Run, name and tries of each task instance that is cleared; and runs that Airflow has not."""
    cleared: list[tuple[str, str, int]] = []
    unknown = 0
    for (dag_id, run_id), tasks in runs.items():
        try:
            found = call.airflow.clear(dag_id, run_id, tasks, dry_run=dry_run)
        except StateConflict:
            unknown += 1
            continue
        cleared += [(f"{dag_id} {run_id}", one.name, one.tries) for one in found]
    return sorted(cleared), unknown


def plan_rollback(call: ActionCall) -> PlannedAction:
    """Take the version out of traffic; what takes over is loaded on trial by this already.

    Raises:
        StateConflict: It has no traffic, or nothing can take its place.
    """
    named = version_of(call.found.subject)
    assert named is not None
    intent = intend(call.platform, named[0], named[1], actor=call.user)
    if intent.done:
        return PlannedAction(f"{intent.describe()} Nothing would change.")
    reason = f"Incident {call.found.id}: {call.found.summary}"
    reason = reason if len(reason) <= 500 else f"{reason[:499]}…"
    return planned_rollback(call.platform, intent, user=call.user, reason=reason)


def planned_rollback(
    platform: Installation, intent: Intent, *, user: str, reason: str
) -> PlannedAction:
    """What a rollback would do that is not done yet."""
    passed = "".join(f" Passed over {name}: {why}." for name, why in intent.refused)
    state = {
        "remove": intent.remove.id,
        "generation": intent.remove.generation,
        "successor": intent.successor.id,
        "cancels": intent.cancels and intent.cancels.id,
    }

    def do() -> str:
        plan = roll_back(platform, intent, reason=reason, actor=user)
        return f"{intent.describe()} Plan generation {plan.generation}."

    return PlannedAction(f"{intent.describe()}{passed}", state, do)


def plan_reload(call: ActionCall) -> PlannedAction:
    """Look whether the file is right now."""
    if not call.found.dedupe_key.startswith(CONFIG):
        return _plan_import(call)
    name = call.found.subject
    wrong = problems_of(call.platform, name)
    if wrong:
        return PlannedAction(
            f"{name} still has {_n(len(wrong), 'problem')}: {wrong[0]} Nothing would change."
        )

    def do() -> str:
        report_configs(call.platform)
        return f"{name} is right: the incident is over."

    return PlannedAction(f"{name} has 0 problems now: this incident closes.", {"right": name}, do)


def _plan_import(call: ActionCall) -> PlannedAction:
    name = call.found.subject
    if name in call.airflow.import_errors():
        return PlannedAction(f"Airflow still cannot import {name}. Nothing would change.")

    def do() -> str:
        report_imports(call.platform, call.airflow)
        return f"Airflow imports {name}: the incident is over."

    return PlannedAction(f"Airflow imports {name} now: this incident closes.", {"right": name}, do)


def plan_retry(call: ActionCall) -> PlannedAction:
    """Send what waits for the receiver once more."""
    waiting = waiting_at(call.platform, call.found.dedupe_key)
    if not waiting:
        return PlannedAction("0 messages wait for this receiver. Nothing would change.")
    for one in waiting:
        address = str(one.body.get("webhook"))
        name = address.removeprefix(FROM_ENVIRONMENT)
        if address.startswith(FROM_ENVIRONMENT) and not os.environ.get(name):
            return PlannedAction(
                f"{_n(len(waiting), 'message')} would be sent to the address in {name}, which is "
                "not set for Airflow's API server. Maintenance, which may have it, sends within "
                "five minutes. Nothing would change here."
            )

    def do() -> str:
        done = deliver_at(call.platform, call.found.dedupe_key)
        return f"{done.delivered} of {_n(len(waiting), 'message')} taken by the receiver."

    tries = max(one.attempts for one in waiting)
    sentence = (
        f"{_n(len(waiting), 'message')} would be sent again, the oldest of "
        f"{in_utc(waiting[0].created_at)}, tried {_n(tries, 'time')} so far; each keeps its id, "
        "by which a receiver that has it drops the repetition."
    )
    return PlannedAction(sentence, {str(one.id): one.attempts for one in waiting}, do)


def plan_ask(call: ActionCall) -> PlannedAction:
    """Send one message to who answers for it."""
    from tenure.adapters.sql import incidents, outbox

    with call.platform.database.begin() as connection:
        owner = incidents.owner_of(connection, call.found)
    assert owner is not None
    question = call.note or "Please do what the next step says, or tell me who does."
    state = {"owner": owner, "question": question}
    key = op_key(ALERT, f"incident:{call.found.id}", {"asked": state})
    with call.platform.database.begin() as connection:
        at = outbox.promised_at(connection, key)
    if at is not None:
        return PlannedAction(
            f"{owner} was asked this at {in_utc(at)}. Nothing would change; another question is "
            "another message."
        )

    def do() -> str:
        with call.platform.database.begin() as connection:
            note = f"{call.user} asks: {question}"
            about = facts_of(call.platform, connection, call.found, note=note, owner=owner)
            body = alert_body("asked", about)
            enqueue_alert(call.platform, connection, body, op_key=key)
        return f"{owner} is asked: {question}"

    sentence = (
        f"1 message to {owner} through the receiver of alerts: “{question}”, with cause, what is "
        "safe, next step and the link to this page."
    )
    return PlannedAction(sentence, state, do)


def _n(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


PLANS: dict[IncidentAction, Callable[[ActionCall], PlannedAction]] = {
    CLEAR: plan_clear,
    ROLL_BACK: plan_rollback,
    RELOAD: plan_reload,
    RETRY: plan_retry,
    ASK: plan_ask,
}
