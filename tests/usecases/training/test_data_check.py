"""`tenure check` says of the published rows what a run would say, and where it could not ask."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure.adapters.sql import data
from tenure.adapters.training_rows import read_shard
from tenure.cli import app
from tenure.config import load_all
from tenure.errors import TenureError
from tenure.installation import Installation
from tenure.lifecycle.data.sources import Rules
from tenure.usecases.training.data_check import DataFindings, check_data
from tenure.verdicts import Verdict
from tenure.vocabulary import digest_bytes

RUNNER = CliRunner()


def check(world: Any, **how: Any) -> DataFindings:
    return check_data(world.platform, load_all(world.platform.settings.include), **how)


def respell(world: Any, old: str, new: str) -> None:
    """The model's YAML with a part that is another one."""
    path: Path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    before = path.read_text()
    assert before.count(old) == 1
    path.write_text(before.replace(old, new))


def relabel(world: Any, label: str) -> Path:
    """The model's YAML with another label."""
    path: Path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    before = path.read_text().replace("categorical: [branch]", "categorical: []")
    wanted = next(line for line in before.splitlines() if line.startswith("label: "))
    path.write_text(before.replace(wanted, f"label: {label}"))
    return path


def floats(first: float | None) -> pa.Array:
    return pa.array([first, *(n % 7 / 7 for n in range(199))], pa.float64())


FEATURES, LABEL, BIAS = "features: ", "label: ", "  attributes: "
YES = {"ok": pa.array(["yes", "no"] * 100)}
ACCIDENTS: dict[str, tuple[Mapping[str, Any], tuple[str, str], str, str]] = {
    "no value": ({"income": [None] * 200}, ("", ""), FEATURES, "income has no value in any of"),
    "no category": ({"branch": [None] * 200}, ("", ""), FEATURES, "branch has no value in any of"),
    "infinity": ({"income": floats(float("inf"))}, ("", ""), FEATURES, "income is an infinite num"),
    "minus infinity": ({"income": floats(float("-inf"))}, ("", ""), FEATURES, "'-inf' is the fir"),
    "33-bigint-feature": (
        {"income": pa.array([2**53 + 1] * 200)},
        ("", ""),
        FEATURES,
        "income is a number beyond 2^53, which a float64 would change in 200 of 200 rows",
    ),
    "a decimal beyond": (
        {"income": pa.array([-(2**53) - 1] * 200, pa.decimal128(38, 0))},
        ("", ""),
        FEATURES,
        "income is a number beyond 2^53",
    ),
    "a feature of words": ({"income": pa.array(["much"] * 200)}, ("", ""), FEATURES, "'much'"),
    "a feature is absent": ({"income": None}, ("", ""), FEATURES, "income is not in the snapshot"),
    "a category is absent": ({"branch": None}, ("", ""), FEATURES, "branch is not in the snapshot"),
    "a group is absent": ({"sex": None}, ("", ""), BIAS, "sex is not in the snapshot"),
    "the label is absent": ({"ok": None}, ("", ""), LABEL, "ok is not in the snapshot"),
    "the time is absent": ({"at": None}, ("", ""), "dataset: ", "at is not in the snapshot"),
    "a list for a category": (
        {"branch": pa.array([["n"]] * 200)},
        ("", ""),
        FEATURES,
        "branch is list",
    ),
    "a struct for a group": (
        {"sex": pa.array([{"is": "f"}] * 200)},
        ("", ""),
        BIAS,
        "sex is struct",
    ),
    "bytes for a label": (
        {"ok": pa.array([b"1", b"0"] * 100)},
        ("", ""),
        LABEL,
        "ok is binary and cannot be read as a category",
    ),
    "a time of words": ({"at": pa.array(["soon"] * 200)}, ("", ""), "dataset: ", "at is string"),
    "a time of nulls": (
        {"at": pa.array([None] * 200, pa.timestamp("us", "UTC"))},
        ("", ""),
        "dataset: ",
        "at is null, and each row needs its time in 200 of 200 rows",
    ),
    "30-label-text": (YES, ("", ""), LABEL, "ok is no label in 400 of 400 rows: 'no' (200 rows)"),
    "a word is not there": (
        YES,
        (LABEL + "{column: ok,", LABEL + "{column: ok, positive: ja, negative: nein,"),
        LABEL,
        "ok is no label in 400 of 400 rows",
    ),
    "no label at all": ({"ok": [None] * 200}, ("", ""), LABEL, "ok has no value in any row"),
    "a square that no double holds": (
        {"income": floats(1e151)},
        ("", ""),
        FEATURES,
        "income has numbers as large as 1e+151, and the estimator takes the square of numbers",
    ),
    "35-single-class": ({"ok": [True] * 200}, ("", ""), LABEL, "ok has one class only: it is true"),
    "the old rows have one class": (
        {"ok": [n > 150 for n in range(200)]},
        ("window_batches: 2, gap_hours: 1", "window_batches: 1, gap_hours: 1"),
        LABEL,
        "ok has one class only: it is false in all of the",
    ),
    "the gap is longer": (
        {},
        ("gap_hours: 1,", "gap_hours: 9000,"),
        "training: ",
        "400 rows cannot be split: with 25% held out",
    ),
    "one moment": (
        {"at": pa.array([0] * 200, pa.timestamp("us", "UTC"))},
        ("", ""),
        "training: ",
        "400 rows cannot be split",
    ),
    "few rows are held out": (
        {},
        ("min_rows: 50", "min_rows: 500"),
        "  min_rows: ",
        "100 labelled rows, allowed at least 500",
    ),
    "the new rows have one class": (
        {"ok": [n < 100 and n % 2 == 0 for n in range(200)]},
        ("", ""),
        "  gates: ",
        "roc_auc not defined on these rows",
    ),
    "one group": ({"sex": ["f"] * 200}, ("", ""), BIAS, "fewer than two groups to compare"),
    "small groups": (
        {"sex": ["f", "m", "f", "m", "f"] * 39 + ["x"] * 5},
        ("", ""),
        "  min_group_rows: ",
        "groups",
    ),
}


@pytest.mark.parametrize("case", ACCIDENTS)
def test_what_a_run_refuses_is_said_before_it(world: Any, case: str) -> None:
    """By the line of the YAML; and in the same words by the run."""
    columns, (old, new), line, said = ACCIDENTS[case]
    if old:
        respell(world, old, new)
    for month in (1, 2):
        world.publish(month, **columns)
    found = check(world)
    wrong = [one for one in found.problems if said in one.message]
    assert len(wrong) == 1, found
    assert wrong[0].path.read_text().splitlines()[wrong[0].line - 1].startswith(line)
    assert wrong[0].message.endswith(("(batches 2013-01, 2013-02 of loans)", "2013-02 of loans)"))
    assert found.unchecked == {}
    world.request()
    with pytest.raises(TenureError) as refused:
        world.life()
    assert said in refused.value.what


def test_everything_is_said_at_once(world: Any) -> None:
    for month in (1, 2):
        world.publish(
            month, income=[float("inf")] * 200, branch=None, ok=[True] * 200, sex=["f"] * 200
        )
    assert [one.message.partition(" in ")[0] for one in check(world).problems] == [
        "branch is not",
        "income is an infinite number",
        "ok has one class only: it is true",
        "evaluation will be inconclusive on the 100 rows that are held out: kpi:roc_auc not "
        "defined on these rows, allowed at least 0.6 (batches 2013-01, 2013-02 of loans)",
        "bias audit will be inconclusive on the 100 rows that are held out: sex has fewer than two "
        "groups to compare (batches 2013-01, 2013-02 of loans)",
    ]


@pytest.mark.parametrize(
    ("small_groups", "mode", "number"),
    [
        ("inconclusive", "enforce", 1),
        ("report", "enforce", 0),
        ("inconclusive", "report_only\n  reason: an old excuse\n  expires: 2001-01-01", 1),
        ("inconclusive", "report_only\n  reason: a good excuse\n  expires: 2999-01-01", 0),
    ],
)
def test_what_stops_no_run_is_no_problem(
    world: Any, small_groups: str, mode: str, number: int
) -> None:
    world.configure(excuse=f"small_groups: {small_groups}\n  mode: {mode}")
    for month in (1, 2):
        world.publish(month, sex=["f", "m", "f", "m"] * 49 + ["x"] * 4)
    assert len(check(world).problems) == number


def test_before_the_window_is_full_only_values_count(world: Any) -> None:
    """What more batches may heal is no problem; a value that no batch can heal is one."""
    world.publish(1, rows=4, ok=[True] * 4)
    waits = "1 of the 2 batches that training needs are published"
    assert check(world) == DataFindings((), ("loan_ok",), {"loan_ok": waits})
    world.publish(1, rows=4, ok=[True] * 4, income=[None] * 4, branch=None)
    assert [one.message for one in check(world).problems] == [
        "branch is not in the snapshot (batch 2013-01 of loans)",
        "income has no value in any of the 4 rows so far (batch 2013-01 of loans)",
    ]


def test_only_the_newest_batches_of_the_window_count(world: Any) -> None:
    world.publish(1, income=[float("inf")] * 200)
    for month in (2, 3):
        world.publish(month)
    assert check(world) == DataFindings((), ("loan_ok",), {})


def test_a_subject_that_only_scoring_reads(world: Any) -> None:
    respell(world, "subject_column: branch", "subject_column: income")
    for month in (1, 2):
        digest = world.publish(month, income=floats(2.0**54))
    (problem,) = check(world).problems
    said = "income is a float beyond 2^53, which may mean several numbers in 1 of 200 rows"
    assert said in problem.message
    path = world.platform.store.fetch(f"snapshots/loans/{digest}/data.parquet", digest)
    with pytest.raises(TenureError) as refused:
        read_shard(
            path, 0, 9, numeric=[], categorical=[], subject="income", time=None, keys=["income"]
        )
    assert said.replace("200", "9") in refused.value.what


OUTCOMES = """
name: arrivals
description: made up
owner: ada
steward: sam
time_column: observed_at
suite: loans
contract:
  columns:
    request_id: {type: string}
    label: {type: string}
    observed_at: {type: timestamp}
"""


@pytest.mark.parametrize(
    ("label", "declared", "said"),
    [
        (["1", "0", None], "", ""),
        (["TRUE", "false", None], "", ""),
        (["yes", "no", None], ', positive: "yes", negative: "no"', ""),
        (["yes", "no", "?"], "", "label is no label in 3 of 3 rows: '?' (1 row), 'no' (1 row), 'y"),
        (["1", " 1", "0"], "", "label is no label in 1 of 3 rows: ' 1' (1 row)"),
        (["1", "1.0", "0.0"], "", "label is no label in 2 of 3 rows: '0.0' (1 row), '1.0' (1 row)"),
        ([["1"], ["0"], None], "", "label is list"),
        ([b"1", b"0", None], "", "label is binary"),
        (None, "", "label"),
    ],
    ids=str,
)
def test_the_newest_outcomes_that_landed(world: Any, label: Any, declared: str, said: str) -> None:
    respell(
        world,
        "ok, horizon_hours: 1}",
        f"ok, horizon_hours: 1{declared}}}\noutcomes: {{dataset: arrivals}}",
    )
    configs = world.platform.settings.configs
    (configs / "datasets" / "arrivals.yaml").write_text(OUTCOMES)
    columns = {"request_id": ["a", "b", "c"], "label": label, "observed_at": [NOON] * 3}
    land(world, {name: values for name, values in columns.items() if values is not None})
    found = [one for one in check(world).problems if one.message.startswith("outcomes: ")]
    assert [said in one.message for one in found] == ([True] if said else [])
    for one in found:
        assert one.path.read_text().splitlines()[one.line - 1] == "outcomes: {dataset: arrivals}"
        assert one.message.endswith(" Newest batch of arrivals: today.")


NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def land(world: Any, columns: dict[str, Any]) -> None:
    """Publish outcomes as ingestion does."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    content = sink.getvalue().to_pybytes()
    digest = digest_bytes(content)
    world.platform.store.put(f"snapshots/arrivals/{digest}/data.parquet", content)
    with world.platform.database.begin() as connection:
        data.register_dataset(
            connection, name="arrivals", owner="ada", steward="sam", sensitivity="internal"
        )
        new = data.NewSnapshot(digest, 3, "m" * 64, NOON, NOON)
        number = data.publish(connection, "arrivals", "today", "s" * 64, new)
        judged = data.NewValidation(
            batch="today",
            source_key="landing/arrivals/today.parquet",
            source_digest=digest,
            verdict=Verdict.PASSED,
            rows_in=3,
            rows_ok=3,
            rows_quarantined=0,
            quarantine_key=None,
            report_digest="r" * 64,
            shape=None,
        )
        data.record(connection, "arrivals", Rules("s" * 64, "c" * 64), judged, snapshot_id=number)


def test_a_restricted_dataset_in_a_store_that_does_not_encrypt(world: Any) -> None:
    path = world.platform.settings.configs / "datasets" / "loans.yaml"
    path.write_text(path.read_text() + "sensitivity: restricted\n")
    (problem,) = check(world).problems
    assert problem.path == path
    assert path.read_text().splitlines()[problem.line - 1] == "sensitivity: restricted"
    assert "the object store does not encrypt" in problem.message


def test_labels_that_are_labels(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    assert check(world) == DataFindings((), ("loan_ok",), {})


def test_a_value_that_is_no_label_has_its_line_and_its_batch(world: Any) -> None:
    world.publish(1, rows=4, seed=1, branch=["f", "m", "9", "m"])
    path = relabel(world, "{column: branch}")
    (problem,) = check(world).problems
    assert (problem.path, path.read_text().splitlines()[problem.line - 1]) == (
        path,
        "label: {column: branch}",
    )
    assert "branch is no label in 4 of 4 rows: 'm' (2 rows), '9' (1 row), 'f' (1 row)" in (
        problem.message
    )
    assert problem.message.endswith("is boolean, or exactly 0 or 1 (batch 2013-01 of loans)")


@pytest.mark.parametrize(
    ("label", "values", "is_fine"),
    [
        ("{column: branch, positive: m}", ["f", "m", "f", "m"], True),
        ("{column: branch, positive: m}", ["f", "f", "f", "f"], True),
        ("{column: branch, positive: m}", ["f", "m", "9", "m"], False),
        ("{column: branch, positive: m, negative: f}", ["9", "m", "m", "m"], False),
        ("{column: branch, positive: 2, negative: 1}", ["1", "2", "2", "1"], True),
        ("{column: ok, positive: 2}", ["f", "m", "f", "m"], True),
    ],
)
def test_the_declared_label(world: Any, label: str, values: list[str], is_fine: bool) -> None:
    """One class alone is no problem: a training takes several batches."""
    world.publish(1, rows=4, branch=values)
    relabel(world, label)
    assert (check(world).problems == ()) == is_fine


def test_without_a_batch_there_is_nothing_to_compare(world: Any) -> None:
    assert check(world) == DataFindings((), (), {"loan_ok": "nothing is published yet"})


def test_a_snapshot_that_is_gone_is_said(world: Any) -> None:
    digest = world.publish(1)
    world.platform.store.delete(f"snapshots/loans/{digest}/data.parquet")
    found = check(world)
    assert found.problems == ()
    assert "The object store has no snapshots/loans/" in found.unchecked["loan_ok"]


def test_a_database_that_does_not_answer_is_no_problem_of_a_yaml(world: Any) -> None:
    nowhere = "postgresql+psycopg://postgres@/tenure?host=/nowhere"
    settings = replace(world.platform.settings, database_url=nowhere)
    path = settings.configs / "models" / "loan_ok.yaml"
    other = path.read_text().replace("name: loan_ok", "name: loan_too")
    path.with_stem("loan_too").write_text(other)
    platform = Installation(settings)
    found = check_data(platform, load_all(settings.include))
    platform.database.dispose()
    assert (found.problems, found.checked) == ((), ())
    assert "does not answer" in found.unchecked["loan_ok"]
    assert found.unchecked["loan_too"] == found.unchecked["loan_ok"]


def test_the_command_says_what_it_did_not_compare(
    world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = world.platform.settings
    settings.suites.mkdir()
    suite = {
        "name": "loans",
        "expectations": [
            {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
        ],
    }
    (settings.suites / "loans.json").write_text(json.dumps(suite))
    monkeypatch.setenv("TENURE_HOME", str(tmp_path))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    said = RUNNER.invoke(app, ["check"])
    assert said.exit_code == 0, said.output
    assert "with data, or not wholly: loan_ok (nothing is published yet)" in said.output

    world.publish(1, rows=4, branch=["f", "m", "9", "m"])
    relabel(world, "{column: branch, positive: m, horizon_hours: 1}")
    said = RUNNER.invoke(app, ["check"])
    assert said.exit_code == 1
    assert "branch is no label in 2 of 4 rows: '9' (1 row), 'f' (1 row)" in said.output

    monkeypatch.setenv("TENURE_DATABASE_URL", "postgresql+psycopg://postgres@/t?host=/nowhere")
    said = RUNNER.invoke(app, ["check", "--json"])
    assert said.exit_code == 0
    answer = json.loads(said.output)
    assert "does not answer" in answer["not_asked"]
    assert answer["data_not_checked"] == {"loan_ok": answer["not_asked"]}
    valid, *said_once = RUNNER.invoke(app, ["check"]).output.splitlines()
    assert valid.startswith("All valid: ")
    (only,) = said_once
    assert only.count("does not answer") == 1


def test_a_label_that_slipped_into_a_feature_is_said_before_the_training(world: Any) -> None:
    labels = [n * n % 7 < 3 for n in range(200)]
    slipped = [float(one) for one in (labels[-1], *labels[:-1])]
    for month in (1, 2):
        world.publish(month, ok=labels, income=slipped)
    (problem,) = check(world).problems
    assert "leak:target: income" in problem.message
    respell(world, "evaluation:\n", "evaluation:\n  accepted_leaks: {income: asked before}\n")
    assert check(world).problems == ()
