"""One whole life through a real scheduler, PostgreSQL, MLflow and gateway; then what must hold.

The life is the demo's, on a slice: fewer requests and a wider margin, so that the canary is short.
In the middle of the canary every Airflow process is killed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from flight_configs import flight_configs
from rich.console import Console

from tenure.adapters.airflow_rest import AirflowAs
from tenure.adapters.sql.summary import VersionState
from tenure.demo import show
from tenure.demo.receiver import receiving
from tenure.demo.story import DATASET, FIRST_MONTHS, MODEL, Story
from tenure.errors import NotPermitted, StateConflict
from tenure.settings import REPOSITORY
from tenure.stack import processes, state
from tenure.stack.embedded import AIRFLOW, Stack
from tenure.stack.endpoints import StackEndpoints
from tenure.usecases.decisions import replay
from tenure.vocabulary import State

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive, pytest.mark.timeout(4000)]

LEASE_SECONDS = 15
SETTINGS = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}
"""Airflow's own pace of reading files; and so many seconds a task that was killed with its
scheduler counts as alive, where the stack says a minute."""


@dataclass
class Life:
    """A finished life on a stack that still runs."""

    stack: Stack
    story: Story
    summary: dict[str, Any]
    notices: Path
    fallback_seconds: float


class InterruptedStory(Story):
    """Kills every Airflow process in the middle of the canary, and starts them again.

    What is published first is found by the schedule; later an operator does not wait for it.
    """

    stack: Stack
    fallback_seconds = float("nan")

    def upstream(self, month: int, damage: str = "none") -> None:
        super().upstream(month, damage)
        if month not in FIRST_MONTHS:
            self.people["olga"].trigger(f"{DATASET}__ingest_data", {})

    def _canary_ended(self) -> VersionState | None:
        ended = super()._canary_ended()
        if ended is None and self.fallback_seconds != self.fallback_seconds:
            version = self._version(2)
            if version and self.facts.analyses(version.id) and self._plan()["share_bp"] > 0:
                self._interrupt()
        return ended

    def _interrupt(self) -> None:
        # Whatever runs at this moment is killed with Airflow, and said to have failed.
        killed = {(task.dag_id, task.task_id) for task in self.people["olga"].unfinished_tasks()}
        InterruptedStory.expected_failures = Story.expected_failures | killed
        kill_airflow(self.stack)
        began = time.monotonic()
        while self._plan()["share_bp"] > 0 and time.monotonic() - began < LEASE_SECONDS * 4:
            time.sleep(0.2)
        self.fallback_seconds = time.monotonic() - began
        self.say(f"all of Airflow killed; champion alone after {self.fallback_seconds:.1f} s")
        assert self.stack._services
        self.stack._services.start(*AIRFLOW)

    def _plan(self) -> dict[str, Any]:
        answer = httpx.get(
            f"{self.settings.gateway_url}/v2/models/{MODEL}/plan",
            headers={"Authorization": f"Bearer {self.gateway_key}"},
            timeout=10,
        )
        plan: dict[str, Any] = answer.raise_for_status().json()
        return plan


def kill_airflow(stack: Stack) -> None:
    """SIGKILL to Airflow's processes and to every task of theirs."""
    found = state.read(stack.home)
    assert found
    leaders = [psutil.Process(found.pids[name]) for name in AIRFLOW]
    everyone = [*leaders, *(child for one in leaders for child in one.children(recursive=True))]
    for process in everyone:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(everyone, timeout=10)


def slice_of_configs(folder: Path) -> Path:
    """The project's configs with a canary that a small slice can decide, in few requests.

    The landing zone is looked at once a minute: what comes in the middle is ingested by hand.
    """
    include = flight_configs(folder / "include")
    model = include / "configs" / "models" / f"{MODEL}.yaml"
    rewrite(model, r"(event: wrong_label, margin: )[0-9.]+", r"\g<1>1.5")
    rewrite(model, r"shares_bp: \[500, ", "shares_bp: [2000, ")
    rewrite(model, r"lease_seconds: \d+", f"lease_seconds: {LEASE_SECONDS}")
    dataset = include / "configs" / "datasets" / f"{DATASET}.yaml"
    rewrite(dataset, r'schedule: "[^"]*"', 'schedule: "* * * * *"')
    return include


def rewrite(path: Path, pattern: str, replacement: str) -> None:
    """Change the one place of the file that the pattern finds."""
    text, changed = re.subn(pattern, replacement, path.read_text(encoding="utf-8"))
    assert changed == 1, pattern
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def life(one_stack: None) -> Iterator[Life]:
    # A short path: the name of a Unix socket must stay below 108 bytes.
    with tempfile.TemporaryDirectory(prefix="tenure-") as name:
        folder = Path(name)
        home = folder / "home"
        notices = folder / "notices.jsonl"
        with receiving(notices) as url:
            stack = Stack(
                home,
                StackEndpoints.free(),
                include=slice_of_configs(folder),
                extra=show.people_around(url) | SETTINGS,
            )
            try:
                life = lived(stack, notices)
                yield life
                life.story.close()
            finally:
                stack.stop()
                leaders: dict[int, float] = {}
                assert processes.of_stack(home, leaders) == []


def lived(stack: Stack, notices: Path) -> Life:
    console = Console(width=140)
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[{time.monotonic() - began:4.0f} s] {line}", markup=False, highlight=False)

    stack.start()
    stack.wait_healthy()
    plain = show.prepare(stack.settings, stack.home / "demo", say)
    story = InterruptedStory(
        plain.settings,
        plain.folder,
        plain.people,
        say,
        gateway_key=plain.gateway_key,
        live_share=0.06,
        canary_pace=120.0,
    )
    story.stack = stack
    try:
        story.run()
        summary = show.conclude(story, began)
    finally:
        plain.platform.database.dispose()
    return Life(stack, story, summary, notices, story.fallback_seconds)


def test_every_stage_was_lived(life: Life) -> None:
    stages = {stage["name"]: stage["verdict"] for stage in life.summary["stages"]}
    assert stages["ingest"] == "passed"
    assert stages["refuse a broken batch"] == "refused"
    assert stages["train"] == "validated"
    assert stages["approve"] == "champion"
    assert stages["retrain"] == "validated"
    assert stages["decommission"] == "deleted with record"
    assert stages["verify the ledger"] == "ok"


def test_the_summary_counts_what_happened(life: Life) -> None:
    summary = life.summary
    assert summary["quarantined_rows"] > 1_000
    assert summary["retrain_reason"]
    assert summary["canary"]["analyses"] > 2
    assert summary["canary"]["outcome"] in {"promoted", "rolled back"}
    assert sorted(v["state"] for v in summary["versions"])[1] == "deleted"
    assert summary["ledger_ok"] is True
    assert summary["invariant_violations"] == 0
    json.dumps(summary)


def test_the_decision_log_equals_what_the_client_was_answered(life: Life) -> None:
    answered, logged, different = life.story.decisions_match()
    assert different == 0
    assert answered == logged > 3_000


def test_with_airflow_dead_the_champion_serves_alone_within_the_lease(life: Life) -> None:
    assert life.fallback_seconds <= LEASE_SECONDS + 1


def test_the_consumer_was_told_and_the_on_call_was_paged(life: Life) -> None:
    notices = [json.loads(line) for line in life.notices.read_text().splitlines()]
    assert any(n["path"] == "/notices" and "flight_late" in n["body"] for n in notices)
    alerts = [json.loads(n["body"]) for n in notices if n["path"] == "/alerts"]
    refused = [one for one in alerts if one["kind"] == "DataRejected" and one["event"] == "opened"]
    assert any(one["subject"].startswith("flights") for one in refused)


@pytest.mark.parametrize("path", ["", "card", f"model/{MODEL}", "report/0"])
def test_no_page_without_a_login(life: Life, path: str) -> None:
    answer = httpx.get(life.story.page(path), follow_redirects=True)
    assert answer.status_code in {401, 403}


def test_no_answer_without_a_key(life: Life) -> None:
    url = f"{life.story.settings.gateway_url}/v2/models/{MODEL}"
    assert httpx.get(url).status_code == 401
    assert httpx.post(f"{url}/infer", json={}).status_code == 401


def test_the_retired_version_is_gone(life: Life) -> None:
    gone = next(v for v in life.summary["versions"] if v["state"] == "deleted")
    answer = httpx.post(
        f"{life.story.settings.gateway_url}/v2/models/{MODEL}/versions/{gone['version']}/infer",
        headers={"Authorization": f"Bearer {life.story.gateway_key}"},
        json={},
    )
    assert answer.status_code == 410


def test_the_card_of_the_broken_batch_tells_what_to_do(life: Life) -> None:
    rows = life.story.facts.reports()
    card = next(r for r in rows if r.stage == "failure" and "ingest" in (r.dag_id or ""))
    assert "temp" in str(card.facts["what"])
    assert re.search(r"\d[\d,]* of [\d,]+", str(card.facts["what"]))
    assert card.facts["still_safe"]
    assert card.facts["next_step"]


def test_clearing_finished_tasks_again_changes_nothing(life: Life) -> None:
    before = life.story.facts.versions(), life.story.facts.ledger_length()
    olga = life.story.people["olga"]
    for dag_id in (f"{MODEL}__train_model", f"{MODEL}__decommission_model"):
        run = olga.runs(dag_id)[0]["dag_run_id"]
        olga.call(
            "POST",
            f"/dags/{dag_id}/clearTaskInstances",
            json={"dry_run": False, "dag_run_id": run, "only_failed": False},
        )
        wait_for_end(life, dag_id, run)
    assert (life.story.facts.versions(), life.story.facts.ledger_length()) == before


def test_what_failed_is_offered_again_in_the_name_of_who_is_logged_in(life: Life) -> None:
    """As the button of an incident does: the run goes on only if she may, and means it."""
    olga = life.story.people["olga"]
    dag_id = f"{DATASET}__ingest_data"
    failed = olga.call("GET", f"/dags/{dag_id}/dagRuns/~/taskInstances", state="failed")
    task = next(one for one in failed["task_instances"] if one["task_id"] == "ingest")
    login = {"username": olga.name, "password": olga.password}
    url = life.story.settings.airflow_url
    token = httpx.post(f"{url}/auth/token", json=login).json()["access_token"]
    hers = AirflowAs(url, olga.name, token)
    place = (task["task_id"], task["map_index"])
    found = hers.clear(dag_id, task["dag_run_id"], [place], dry_run=True)
    assert place in {(one.task_id, one.map_index) for one in found}
    with pytest.raises(StateConflict, match="no such run"):
        hers.clear(dag_id, "manual__nothing", [place], dry_run=True)
    with pytest.raises(NotPermitted):
        AirflowAs(url, olga.name, "no token").clear(
            dag_id, task["dag_run_id"], [place], dry_run=True
        )
    assert hers.import_errors() == {}


def test_a_thousand_decisions_score_the_same_again(life: Life) -> None:
    """Those of the deleted version as well: its artifact comes out of the archive."""
    platform = life.story.facts.platform
    chosen = replay.chosen(platform, rows=1000, seed=7, model=MODEL)
    found = replay.replay(platform, chosen)
    scored = [one for one in found if one.found is not replay.ReplayVerdict.NO_MODEL]
    assert len(scored) > 900  # a rule answers a few on a busy machine
    assert {one.found for one in scored} == {replay.ReplayVerdict.IDENTICAL}
    assert {one.version for one in scored} == {f"{MODEL}@1", f"{MODEL}@2"}


def test_a_snapshot_is_scored_in_shards_into_the_same_log(life: Life) -> None:
    before = len(life.story.facts.decided_requests(MODEL))
    run = life.story.people["olga"].trigger(f"{MODEL}__batch_score", {"shard_rows": 20_000})
    wait_for_end(life, f"{MODEL}__batch_score", run)
    tasks = life.story.people["olga"].tasks(f"{MODEL}__batch_score", run)
    assert len([t for t in tasks if t["task_id"] == "score"]) >= 2
    report = next(r for r in life.story.facts.reports() if r.stage == "batch_scoring")
    assert report.verdict == "passed"
    added = len(life.story.facts.decided_requests(MODEL)) - before
    assert added == report.facts["rows"] > 20_000


def wait_for_end(life: Life, dag_id: str, run_id: str) -> None:
    """Until the run has ended again; a question that is asked again is answered again."""
    grace, olga = life.story.people["grace"], life.story.people["olga"]
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        for question in grace.open_questions():
            grace.answer(question, question["options"][0])
        found = next(r for r in olga.runs(dag_id) if r["dag_run_id"] == run_id)
        if found["state"] in {"success", "failed"}:
            assert found["state"] == "success"
            return
        time.sleep(1)
    pytest.fail(f"{dag_id} {run_id} did not end")


def command(life: Life, *words: str) -> "subprocess.CompletedProcess[str]":
    """`tenure …` as a person in another terminal runs it, who knows only the home."""
    environment = os.environ | {"TENURE_HOME": str(life.stack.home)}
    program = [sys.executable, "-c", "from tenure.cli import main; main()", *words]
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


def test_a_broken_yaml_shows_in_the_banner_and_hides_nothing(life: Life) -> None:
    models = life.stack.layout.include / "configs" / "models"
    broken = models / "other.yaml"
    broken.write_text("name: other\npurpos: none\n", encoding="utf-8")
    olga = life.story.people["olga"]
    deadline = time.monotonic() + 300
    while not (errors := olga.import_errors()) and time.monotonic() < deadline:
        time.sleep(1)
    broken.unlink()
    assert any("other.yaml:2: unknown key 'purpos'" in error for error in errors)
    dags = {row["dag_id"] for row in olga.call("GET", "/dags", limit=50)["dags"]}
    assert {f"{MODEL}__train_model", f"{DATASET}__ingest_data"} <= dags


def test_training_by_hand_goes_by_the_form_and_names_its_person(life: Life) -> None:
    life.story.people["ada"].trigger(f"{MODEL}__train_model", {"reason": "A new season."})
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        asked = life.story.facts.requests(MODEL)[-1]
        if asked.reason_code == "manual" and asked.state not in {"open", "running"}:
            break
        time.sleep(1)
    assert "A new season." in asked.reason
    assert asked.state == "done"
    assert life.story.facts.versions(MODEL)[-1].state in {"validated", "approved", "canary"}


def test_a_run_is_started_and_followed_from_the_command_line(life: Life) -> None:
    nothing = command(life, "ingest", DATASET, "--as", "olga")
    assert nothing.returncode == 0, nothing.stderr
    assert "discover: success" in nothing.stdout
    said = r"Nothing new in \S+/landing/flights/\.\nThe newest batch:\n  20"
    assert re.search(said, nothing.stdout), nothing.stdout

    trained = command(life, "train", MODEL, "--reason", "by hand", "--as", "ada", "--json")
    answer = json.loads(trained.stdout)
    assert (trained.returncode == 0) == (answer["state"] == "success"), trained.stderr
    ended = {task["task"]: task for task in answer["tasks"]}
    assert ended["train"]["state"] == "success"
    assert ended["evaluate"]["summary"]

    assert command(life, "ingest", DATASET, "--as", "nobody").returncode == 2
    assert command(life, "train", MODEL, "--reason", "x", "--as", "vera").returncode == 1


def test_the_document_about_rest_is_true(life: Life) -> None:
    """The last test: what it approves begins another canary."""
    text = (REPOSITORY / "docs" / "rest.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))
    settings, people = life.story.settings, life.story.people
    environment = os.environ | {
        "AIRFLOW": settings.airflow_url,
        "GATEWAY": settings.gateway_url,
        "ADA": people["ada"].password,
        "GRACE": people["grace"].password,
        "KEY": life.story.gateway_key,
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    trained, *_, decided, told, given = done.stdout.splitlines()
    assert json.loads(trained)["state"] == "success"
    assert "['Approve']" in done.stdout
    assert decided.startswith("['")
    assert told
    assert "'accepted': 1, 'feedback_ids'" in given
    newest = max(v.version for v in life.story.facts.versions(MODEL))
    states = {v.version: v.state for v in life.story.facts.versions(MODEL)}
    assert states[newest] in {State.VALIDATED, State.APPROVED, State.CANARY}
