"""Runs the story on a stack of its own and shows what happened: table, links, `summary.json`."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tenure.demo.airflow_api import AirflowUser
from tenure.demo.receiver import receiving
from tenure.demo.story import MODEL, Stage, Story
from tenure.settings import Settings
from tenure.stack import Stack
from tenure.wiring import maintenance, serving

FIRST_CLICKS = (
    "Click *Tenure* in Airflow's left bar: every model with its state, champion and verdicts.",
    "Open flights__ingest_data, its red task `ingest`, there the tab *Tenure*: the failure card.",
    "Open flight_late__promote_model, its task `canary`, the tab *Tenure*: how it was judged.",
)


def run(stack: Stack, *, folder: Path, console: Console) -> bool:
    """Live the life on a started or fresh stack; True when nothing is wrong at the end.

    Args:
        stack: Not yet started.
        folder: Where `summary.json`, credentials and logs of the demo go.
        console: Where progress is shown.
    """
    begin = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        url = closing.enter_context(receiving(folder / "notices.jsonl"))
        os.environ["TENURE_DEMO_WEBHOOK"] = f"{url}/notices"
        os.environ["TENURE_ALERTS_URL"] = f"{url}/alerts"

        def say(line: str) -> None:
            console.print(
                f"[{time.monotonic() - begin:5.0f} s] {line}", markup=False, highlight=False
            )

        stack.start()
        stack.wait_healthy(say)
        started = Stage("start the stack", "healthy", round(time.monotonic() - begin, 1), "")
        story = _prepare(stack.settings, folder, say)
        story.stages.append(started)
        story.tell()
        summary = _summary(story, round(time.monotonic() - begin, 1))
        (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        show(console, story, summary)
    return bool(summary["ledger_ok"]) and summary["invariant_violations"] == 0


def _prepare(settings: Settings, folder: Path, say: Any) -> Story:
    passwords = stack_passwords(settings.home)
    people = {
        name: AirflowUser(settings.airflow_url, name, password)
        for name, password in passwords.items()
    }
    story = Story(settings, folder, people, "", say)
    key = serving.create_key(story.platform, name="passenger_app", scopes=("score", "outcome"))
    story.gateway_key = key
    credentials = folder / "credentials.json"
    credentials.touch(mode=0o600)
    credentials.write_text(json.dumps({"gateway_key": key, "users": passwords}, indent=2) + "\n")
    return story


def stack_passwords(home: Path) -> Mapping[str, str]:
    """Airflow's users and their passwords, as the stack made them."""
    path = home / "airflow" / "simple_auth_manager_passwords.json"
    passwords: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return passwords


def _summary(story: Story, seconds: float) -> dict[str, Any]:
    begin = time.monotonic()
    verdict = maintenance.verify_ledger(story.platform, invariants=True)
    answered, logged, different = story.decisions_match()
    violations = sum(row["rows"] for row in verdict["invariants"]) + different
    story.say(f"client answered {answered:,}, decision log {logged:,}, different {different}")
    ok = "ok" if verdict["ok"] and not violations else "broken"
    took = round(time.monotonic() - begin, 1)
    story.stages.append(Stage("verify the ledger", ok, took, "tenure ledger verify --invariants"))
    requests = story.facts.requests(MODEL)
    return {
        "stages": [asdict(stage) for stage in story.stages],
        "versions": [
            {"model": v["model"], "version": v["version"], "state": v["state"]}
            for v in story.facts.versions()
        ],
        "quarantined_rows": sum(b["rows_quarantined"] for b in story.facts.batches("flights")),
        "decisions": logged,
        "outcomes": story.facts.outcome_count(MODEL),
        "retrain_reason": requests[-1]["reason"],
        "canary": story.canary,
        "invariant_violations": violations,
        "ledger_events": verdict["events"],
        "ledger_ok": verdict["ok"],
        "seconds_total": seconds + took,
    }


def show(console: Console, story: Story, summary: Mapping[str, Any]) -> None:
    """The closing table, where to look, and who may log in."""
    table = Table(title=f"The life of {MODEL}: {summary['seconds_total']:.0f} s")
    for column in ("stage", "verdict", "evidence", "seconds"):
        table.add_column(
            column, justify="right" if column == "seconds" else "left", overflow="fold"
        )
    for stage in story.stages:
        table.add_row(stage.name, stage.verdict, stage.evidence, f"{stage.seconds:.1f}")
    console.print(table)
    settings = story.settings
    console.print(f"Airflow  {settings.airflow_url}   (users and passwords below)")
    console.print(f"MLflow   {settings.mlflow_url}")
    console.print(f"Gateway  {settings.gateway_url}   (key: {story.folder / 'credentials.json'})")
    for name, user in story.people.items():
        console.print(f"  {name:6} {user.password}", markup=False, highlight=False)
    for number, sentence in enumerate(FIRST_CLICKS, 1):
        console.print(f"{number}. {sentence}", markup=False)
