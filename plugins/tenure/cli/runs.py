"""`tenure ingest | train`: start a run in Airflow now, and follow it."""

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.names import require_dataset, require_model
from tenure.cli.next_steps import after_batch, after_training
from tenure.cli.not_taken import nothing_taken
from tenure.cli.output import AsJson, print_json, say
from tenure.layout import INGEST_DATA, TRAIN_MODEL, dag_id

if TYPE_CHECKING:
    from tenure.installation import Installation
    from tenure.usecases.operations.dag_runs import RunChange
    from tenure.views.tasks import TaskPage

_USER, _PASSWORD = "TENURE_AIRFLOW_USER", "TENURE_AIRFLOW_PASSWORD"
_PATIENCE = 60
"""Seconds that a command waits for a file to stand still."""
_QUIET = frozenset({"scheduled", "restarting"})
"""States of a task that a person need not read."""

AsUser = Annotated[
    str | None,
    typer.Option(
        "--as",
        help="Airflow user who starts it; by default the login name. "
        f"With an Airflow of your own: {_USER} and {_PASSWORD}.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (ingest, train):
        app.command()(command)


def ingest(
    dataset: Annotated[str, typer.Argument(help="Name of the dataset.")],
    user: AsUser = None,
    as_json: AsJson = False,
) -> None:
    """Take what landed now, and follow the run; exit 1 when a batch is refused."""
    from tenure.stack.readiness import await_airflow

    with connected() as platform:
        require_dataset(platform, dataset)
    await_airflow(_tell(as_json=as_json))
    with connected() as platform:
        if not as_json and (seconds := _settling_seconds(platform, dataset)):
            say(f"What lies there was just written: waiting {seconds} s until it has stood still.")
            time.sleep(seconds)
        began = platform.clock.now()
        ended = _run(platform, dag_id(dataset, INGEST_DATA), {}, user, as_json=as_json)
        if as_json:
            return
        if not _has_taken(ended):
            found = nothing_taken(platform, dataset, began)
            say(*found.lines)
            if not found.is_well:
                raise typer.Exit(1)
        if not _is_read(platform, dataset):
            say(f"No model reads {dataset} yet. Next:", after_batch(dataset))


def train(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the version.")],
    user: AsUser = None,
    as_json: AsJson = False,
) -> None:
    """Train a version now, and follow it through its gates; exit 1 when one fails."""
    from tenure.stack.readiness import await_airflow

    with connected() as platform:
        require_model(platform, model)
    await_airflow(_tell(as_json=as_json))
    with connected() as platform:
        conf = {"reason": reason}
        _run(platform, dag_id(model, TRAIN_MODEL), conf, user, as_json=as_json)
        if not as_json:
            trainer, _ = _login(platform, user)
            say(*after_training(platform, model, trainer))


def _run(
    platform: "Installation",
    name: str,
    conf: Mapping[str, object],
    user: str | None,
    *,
    as_json: bool,
) -> "dict[str, RunChange]":
    """What became of each task, by its name. Raises typer.Exit(1) when the run failed."""
    from tenure.usecases.operations.dag_runs import started

    began = time.monotonic()
    ended: dict[str, RunChange] = {}
    state = ""
    tell = _tell(as_json=as_json)
    with started(platform, name, conf, login=_login(platform, user), tell=tell) as run:
        if not as_json:
            say(f"{name} started: {run.url}")
        try:
            for change in run.follow():
                if change.task is None:
                    state = change.state
                else:
                    ended[change.what] = change
                if not as_json:
                    _show(platform, change, time.monotonic() - began)
        except KeyboardInterrupt:
            say(f"No longer followed; the run goes on: {run.url}")
            raise typer.Exit(130) from None
    if as_json:
        print_json(_answer(platform, run.run_id, run.url, state, ended))
    else:
        say(f"{state} after {time.monotonic() - began:.0f} s: {run.url}")
    if state != "success":
        raise typer.Exit(1)
    return ended


def _has_taken(ended: "Mapping[str, RunChange]") -> bool:
    return any(name.startswith("ingest ") for name in ended)


def _settling_seconds(platform: "Installation", dataset: str) -> int:
    """How long to wait for files that were just written; 0: there are none, or it is too long."""
    from tenure.config import load_dataset
    from tenure.views.landing import settling

    config, _ = load_dataset(platform.settings.include, dataset)
    seconds = 1 + config.source.settle_seconds
    is_worth = seconds <= _PATIENCE and settling(config, platform.store, platform.clock)
    return int(seconds) if is_worth else 0


def _is_read(platform: "Installation", dataset: str) -> bool:
    """Whether a model is trained on the dataset, or takes its outcomes from it."""
    from tenure.config import load_all

    models = load_all(platform.settings.include).models.values()
    return any(
        dataset in {model.dataset, model.outcomes.dataset if model.outcomes else None}
        for model in models
    )


def _tell(*, as_json: bool) -> Callable[[str], None]:
    """What takes a line for people; a program reads none."""
    return (lambda _: None) if as_json else say


def _login(platform: "Installation", user: str | None) -> tuple[str, str]:
    """Name and password of a user of Airflow. Raises BadParameter."""
    from tenure.stack.logins import airflow_passwords

    user = user or os.environ.get(_USER) or login_name()
    if (password := os.environ.get(_PASSWORD)) is not None:
        return user, password
    known = airflow_passwords(platform.settings.home)
    if user not in known:
        there = f"; --as takes one of {', '.join(sorted(known))}" if known else ""
        raise typer.BadParameter(
            f"no password is known of Airflow's user {user!r}{there}. "
            f"With an Airflow of your own, set {_USER} and {_PASSWORD}."
        )
    return user, known[user]


def _show(platform: "Installation", change: "RunChange", seconds: float) -> None:
    if change.task is None:
        if change.state == "queued":
            say("queued: a DAG has one run at a time, and Airflow starts it when there is room")
        return
    if change.state in _QUIET:
        return
    say(f"[{seconds:4.0f} s] {change.what}: {change.state.replace('_', ' ')}")
    if change.state in {"success", "failed", "up_for_retry"}:
        page = _page(platform, change)
        lines = page.card.lines() if page.card else [r.report.summary for r in page.reports[:1]]
        say(*(f"         {line}" for line in lines))


def _page(platform: "Installation", change: "RunChange") -> "TaskPage":
    from tenure.views.tasks import TaskStatus, task_page

    assert change.task
    seen = TaskStatus(change.state, try_number=change.tries, max_tries=change.max_tries)
    return task_page(platform, change.task, seen)


def _answer(
    platform: "Installation", run_id: str, url: str, state: str, ended: "Mapping[str, RunChange]"
) -> dict[str, object]:
    tasks = []
    for name, change in ended.items():
        page = _page(platform, change)
        tasks.append(
            {
                "task": name,
                "state": change.state,
                "summary": page.reports[0].report.summary if page.reports else None,
                "failure": page.card.lines() if page.card else None,
            }
        )
    return {"run_id": run_id, "url": url, "state": state, "tasks": tasks}
