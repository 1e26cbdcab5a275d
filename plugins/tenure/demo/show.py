"""Runs the story on a stack of its own and shows what happened: table, links, `summary.json`."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tenure.demo.airflow_api import AirflowUser
from tenure.demo.story import MODEL, Stage, Story
from tenure.errors import StateConflict
from tenure.settings import Settings
from tenure.stack import state
from tenure.stack.embedded import Stack
from tenure.stack.environment import WATCHDOG, write_private
from tenure.stack.logins import airflow_passwords
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.serving import api_keys

FIRST_CLICKS = (
    "Click *Tenure* in Airflow's left bar: every model with its state, champion and verdicts.",
    "Open flights__ingest_data, its red task `ingest`, there the tab *Tenure*: the failure card.",
    "Open flight_late__promote_model, its task `canary`, the tab *Tenure*: how it was judged.",
)
_MARK = "lived-by-the-demo"


def make_room(home: Path) -> None:
    """Remove the life that an earlier demo lived here, so that this one starts from nothing.

    Raises:
        StateConflict: The folder holds a lifecycle database that no demo made, or one that runs.
    """
    running = state.read(home)
    if running and running.owner_lives:
        raise StateConflict(
            f"A stack of {home} runs already; process {running.owner} owns it.",
            still_safe="It was not touched.",
            next_step="End it with `tenure down`, or give the demo a folder: TENURE_HOME=…",
        )
    if (home / "postgres").exists() and not (home / _MARK).exists():
        raise StateConflict(
            f"{home} holds an installation that is not the demo's.",
            still_safe="It was not touched.",
            next_step="Give the demo a folder of its own: TENURE_HOME=… make demo.",
        )
    if (home / _MARK).exists():
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    (home / _MARK).touch()


def run(stack: Stack, *, console: Console, kind: type[Story] = Story) -> bool:
    """Live the story on a stack that is not started yet; True when nothing is wrong at the end.

    `summary.json`, the credentials and the client's log go to `<home>/demo`.
    """
    begin = time.monotonic()

    def say(line: str) -> None:
        passed = time.monotonic() - begin
        console.print(f"[{passed:4.0f} s] {line}", markup=False, highlight=False)

    say("── start PostgreSQL, MLflow, the gateway and Airflow")
    stack.start()
    stack.wait_healthy(lambda name, _: say(f"   {name} is healthy"))
    with closing(prepare(stack.settings, stack.home / "demo", say, kind)) as story:
        summary = _live(story, begin)
        show(console, story, summary)
    return bool(summary["ledger_ok"]) and summary["invariant_violations"] == 0


def doors(console: Console, settings: Settings) -> None:
    """Where to look, and who may log in."""
    for name in ("airflow", "mlflow", "gateway"):
        url = getattr(settings, f"{name}_url")
        console.print(f"{name.capitalize():8} {url}", highlight=False)
    for name, password in airflow_passwords(settings.home).items():
        if name != WATCHDOG:
            console.print(f"  {name:6} {password}", markup=False, highlight=False)


def _credentials(settings: Settings) -> Path:
    return settings.home / "demo" / "credentials.json"


def _live(story: Story, begin: float) -> dict[str, Any]:
    seconds = round(time.monotonic() - begin, 1)
    story.stages.append(Stage("start the stack", "healthy", seconds, "tenure status"))
    story.run()
    summary = conclude(story, begin)
    text = json.dumps(summary, indent=2)
    (story.folder / "summary.json").write_text(f"{text}\n", encoding="utf-8")
    return summary


def people_around(url: str) -> dict[str, str]:
    """Environment that tells the stack where the consumer and the on-call listen."""
    alerts = {"conn_type": "generic", "extra": {"url": f"{url}/alerts"}}
    return {
        "TENURE_DEMO_WEBHOOK": f"{url}/notices",
        "AIRFLOW_CONN_TENURE_ALERTS": json.dumps(alerts),
    }


def prepare(
    settings: Settings, folder: Path, say: Callable[[str], None], kind: type[Story] = Story
) -> Story:
    """The story with its people logged in and the client's key made."""
    passwords = airflow_passwords(settings.home)
    people = {
        name: AirflowUser(settings.airflow_url, name, password)
        for name, password in passwords.items()
        if name != WATCHDOG
    }
    story = kind(settings, folder, people, say)
    story.gateway_key = api_keys.create_key(
        story.platform, name="passenger_app", scopes=("score", "outcome", "feedback", "metrics")
    )
    secrets = {"gateway_key": story.gateway_key, "users": dict(passwords)}
    write_private(_credentials(settings), json.dumps(secrets, indent=2))
    return story


def conclude(story: Story, since: float) -> dict[str, Any]:
    """Verify the ledger and the decision log, and put everything in numbers.

    `since` is the monotonic moment at which the demo began.
    """
    begin = time.monotonic()
    verdict = verify_ledger(story.platform, invariants=True)
    answered, logged, different = story.decisions_match()
    violations = verdict.violations + different
    story.say(f"client answered {answered:,}, decision log {logged:,}, different {different}")
    ok = "ok" if verdict.ok and not violations else "broken"
    took = round(time.monotonic() - begin, 1)
    evidence = "tenure ledger verify --invariants"
    story.stages.append(Stage("verify the ledger", ok, took, evidence))
    return {
        "stages": [asdict(stage) for stage in story.stages],
        "versions": [
            {"model": v.model, "version": v.version, "state": v.state}
            for v in story.facts.versions()
        ],
        "quarantined_rows": sum(b.rows_quarantined for b in story.facts.batches("flights")),
        "decisions": logged,
        "outcomes": story.facts.outcome_count(MODEL),
        "retrain_reason": story.facts.requests(MODEL)[-1].reason,
        "canary": story.canary,
        "invariant_violations": violations,
        "ledger_events": verdict.events,
        "ledger_ok": verdict.ok,
        "seconds_total": round(time.monotonic() - since, 1),
    }


def show(console: Console, story: Story, summary: Mapping[str, Any]) -> None:
    """The closing table, where to look, and who may log in."""
    table = Table(title=f"The life of {MODEL}: {summary['seconds_total']:.0f} s")
    for column in ("stage", "verdict", "evidence", "seconds"):
        right = column == "seconds"
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for stage in story.stages:
        table.add_row(stage.name, stage.verdict, stage.evidence, f"{stage.seconds:.1f}")
    console.print(table)
    doors(console, story.settings)
    console.print(f"The gateway's key is in {_credentials(story.settings)}", highlight=False)
    for number, sentence in enumerate(FIRST_CLICKS, 1):
        console.print(f"{number}. {sentence}", markup=False, highlight=False)
