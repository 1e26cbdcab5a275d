"""`tenure ingest | train`: start a run in Airflow now, and follow it."""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.names import require_dataset, require_model
from tenure.cli.output import AsJson, print_json, say
from tenure.layout import INGEST_DATA, TRAIN_MODEL, dag_id, landing_prefix

if TYPE_CHECKING:
    from tenure.installation import Installation
    from tenure.usecases.operations.dag_runs import RunChange
    from tenure.views.tasks import TaskPage

_USER, _PASSWORD = "TENURE_AIRFLOW_USER", "TENURE_AIRFLOW_PASSWORD"
_NAMED = 3
"""Files that a line names before it counts the others."""
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
    with connected() as platform:
        require_dataset(platform, dataset)
        ended = _run(platform, dag_id(dataset, INGEST_DATA), {}, user, as_json=as_json)
    if not as_json and not any(name.startswith("ingest ") for name in ended):
        say(*_nothing_taken(platform, dataset))


def train(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the version.")],
    user: AsUser = None,
    as_json: AsJson = False,
) -> None:
    """Train a version now, and follow it through its gates; exit 1 when one fails."""
    with connected() as platform:
        require_model(platform, model)
        conf = {"reason": reason}
        _run(platform, dag_id(model, TRAIN_MODEL), conf, user, as_json=as_json)


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
    with started(platform, name, conf, login=_login(platform, user)) as run:
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


def _nothing_taken(platform: "Installation", dataset: str) -> list[str]:
    """Why a run took no file: there is none, or those that are there were written just now."""
    from tenure.config import load_dataset
    from tenure.views.landing import settling

    place = platform.settings.place(landing_prefix(dataset))
    config, _ = load_dataset(platform.settings.include, dataset)
    names = settling(config, platform.store, platform.clock)
    if not names:
        return [f"Nothing new in {place}."]
    seconds = config.source.settle_seconds
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return [
        f"Not taken yet: {', '.join(names[:_NAMED])}{more} in {place} changed within the last "
        f"{seconds} s. A file is taken when it has stood still for so long: give the command again."
    ]


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
