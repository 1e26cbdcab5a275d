"""Columns that come and go: a break stops only the models that read that column, and names them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.adapters import training_rows
from tenure.adapters.sql import reports
from tenure.config import load_all
from tenure.errors import DataRejected, SchemaBroken
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.data.compatibility import other_names
from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.data.snapshots import open_snapshot
from tenure.usecases.training import planning
from tenure.usecases.training.data_check import check_data
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

TODAY = date(2026, 6, 15)
DATASET = """
name: loans
description: made up
owner: ada
steward: sam
time_column: at
suite: loans
contract:
  key: [id]
  columns:
    id: {{type: string, nullable: false}}
    at: {{type: timestamp, nullable: false}}
    {income}: {{type: number, nullable: false}}
    age: {{type: integer}}
    ok: {{type: boolean}}
{more}
"""
MODEL = """
name: {name}
purpose: tests
owner: ada
dataset: loans
label: {{column: ok}}
subject_column: id
features: {{numeric: [{feature}]}}
training: {{window_batches: {window}}}
evaluation: {{min_rows: 1, gates: [{{metric: roc_auc, minimum: 0.1}}]}}
bias: {{attributes: [age], max_difference: 0.5}}
canary: {{metrics: [{{event: error, margin: 1.5}}]}}
"""
SUITE = [
    ("expect_column_values_to_not_be_null", {"column": "INCOME", "mostly": 0.98}, "critical"),
    ("expect_column_values_to_be_between", {"column": "age", "min_value": 0}, "warning"),
]


class Fixed:
    """A clock that stands still."""

    def __init__(self, day: date) -> None:
        self.moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@dataclass
class World:
    """One dataset, two models: `by_income` reads the column that changes, `by_age` does not."""

    platform: Installation

    def at(self, day: date) -> None:
        self.platform.__dict__["clock"] = Fixed(day)

    def configure(
        self, income: str = "income", more: str = "", suite: Any = SUITE, **models: str
    ) -> None:
        include = self.platform.settings.include
        for folder in ("configs/datasets", "configs/models", "expectations"):
            (include / folder).mkdir(parents=True, exist_ok=True)
        config = DATASET.format(income=income, more=more)
        (include / "configs/datasets/loans.yaml").write_text(config)
        expectations = [
            {
                "type": kind,
                "kwargs": {k: income if v == "INCOME" else v for k, v in kwargs.items()},
                "severity": severity,
            }
            for kind, kwargs, severity in suite
        ]
        whole = {"name": "loans", "expectations": expectations}
        (include / "expectations/loans.json").write_text(json.dumps(whole))
        for name, feature in ({"by_income": "income", "by_age": "age"} | models).items():
            path = include / f"configs/models/{name}.yaml"
            path.write_text(MODEL.format(name=name, feature=feature, window=1))

    def window(self, batches: int) -> None:
        for path in (self.platform.settings.include / "configs/models").glob("*.yaml"):
            path.write_text(path.read_text().replace("batches: 1", f"batches: {batches}"))

    def drop(self, month: int, *, without: tuple[str, ...] = (), **columns: Any) -> str:
        rows = 100
        first = datetime(2026, month, 1, tzinfo=UTC)
        rng = np.random.default_rng(month)
        table = {
            "id": [f"{month}-{i}" for i in range(rows)],
            "at": pa.array([first + timedelta(hours=i) for i in range(rows)]).cast(
                pa.timestamp("us", "UTC")
            ),
            "income": rng.normal(size=rows),
            "age": rng.integers(18, 90, rows),
            "ok": rng.random(rows) > 0.5,
        }
        for old, new in columns.items():
            table[new if isinstance(new, str) else old] = (
                table.pop(old) if isinstance(new, str) else new
            )
        for name in without:
            del table[name]
        path = self.platform.settings.home / f"store/landing/loans/2026-{month:02d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), path)
        return f"landing/loans/{path.name}"

    def ingest(self, key: str) -> Any:
        return ingestion(self.platform, "loans").ingest(key, RunRef("loans__ingest_data", "r", "i"))

    def plan(self, model: str, run_id: str = "r") -> Any:
        run = RunRef(f"{model}__train_model", run_id, "plan", user="ada")
        return planning.plan(self.platform, model, run, by_hand=True)

    def report(self, digest: str) -> Report:
        with self.platform.database.begin() as connection:
            found = reports.by_digest(connection, digest)
        assert found is not None
        return found.report


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> Iterator[World]:
    platform = Installation(replace(settings, include=tmp_path / "include"))
    found = World(platform)
    found.at(TODAY)
    found.configure()
    yield found
    platform.database.dispose()


def columns_of(world: World, digest: str) -> list[str]:
    run = RunRef("test", "r", "t", user="ada")
    return pq.read_schema(
        open_snapshot(world.platform, "loans", digest, purpose="show", run=run)
    ).names


def test_a_renamed_column_stops_only_the_model_that_reads_it(world: World) -> None:
    done = world.ingest(world.drop(3, income="incomes"))

    assert columns_of(world, done.snapshot) == ["id", "at", "age", "ok"]
    report = world.report(done.report)
    assert report.summary.startswith(
        "loans batch 2026-03: all 1 expectations hold; income: found no such column but the new "
        "'incomes', perhaps its new name; it is not published, by_income cannot train on this "
        "batch, expected number; "
    )
    assert world.plan("by_age") is not None
    with pytest.raises(SchemaBroken) as error:
        world.plan("by_income")
    assert error.value.what == (
        "by_income cannot train on loans: income is not there in batch 2026-03 (breaking)."
    )
    assert error.value.next_step.startswith("Ask sam, the steward of loans.")
    card = world.report(error.value.evidence or "")
    assert (card.subject, card.verdict) == ("by_income", Verdict.FAILED)
    assert card.summary == error.value.what


def test_a_batch_that_a_model_cannot_use_is_one_incident_of_the_steward(world: World) -> None:
    """A cleared task and the next such batch repeat it; a whole batch closes it."""

    def found() -> list[tuple[str, str]]:
        with world.platform.database.begin() as connection:
            rows = connection.execute(
                text("SELECT state, facts->>'owner' FROM incident WHERE kind = 'partly_usable'")
            )
            return [(row[0], row[1]) for row in rows]

    world.ingest(world.drop(2))
    assert found() == []
    third = world.drop(3, income="incomes")
    for key in (third, third, world.drop(4, income="incomes")):
        world.ingest(key)
        assert found() == [("open", "sam")]
    whole = world.drop(5)
    world.ingest(whole)
    assert found() == [("closed", "sam")]
    world.ingest(third)  # an older batch says nothing of the newest
    assert found() == [("closed", "sam")]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"income": "incomes"}, "income is not there in batch 2026-03 (breaking)"),
        ({"income": ["much"] * 100}, "income is not there in batch 2026-03 (breaking)"),
    ],
)
def test_what_stops_a_model_is_said_by_tenure_check(
    world: World, columns: dict[str, Any], said: str
) -> None:
    """Once a column, though the snapshot does not have it either; and only of its readers."""
    world.ingest(world.drop(3, **columns))
    include = world.platform.settings.include
    found = check_data(world.platform, load_all(include))
    (problem,) = [one for one in found.problems if "income" in one.message]
    assert problem.path == include / "configs/models/by_income.yaml"
    assert problem.message == f"{said} (batch 2026-03 of loans)"
    assert found.unchecked == {}
    with pytest.raises(SchemaBroken) as error:
        world.plan("by_income")
    assert said in error.value.what


def test_with_a_mapping_both_models_run(world: World) -> None:
    old = world.ingest(world.drop(3))
    mapped = "  renames: {income: {to: incomes, until: 2026-06-30}}"
    world.configure(income="incomes", more=mapped)
    world.window(2)
    new = world.ingest(world.drop(4, income="incomes"))
    late = world.ingest(world.drop(5))  # a source that did not hear of it yet

    assert columns_of(world, old.snapshot) == ["id", "at", "income", "age", "ok"]
    for done in (new, late):
        assert columns_of(world, done.snapshot) == ["id", "at", "incomes", "age", "ok"]
        assert "income" not in world.report(done.report).summary
    assert world.plan("by_age") is not None
    assert world.plan("by_income") is not None, "it still names the old column"
    world.configure(income="incomes", more=mapped, by_income="incomes")
    assert world.plan("by_income", "r2") is not None, "and may name the new one"


@pytest.mark.parametrize("named", ["income", "incomes"])
def test_rows_of_before_and_after_a_rename_are_read_together(world: World, named: str) -> None:
    from tenure.config import load_dataset, load_model

    digests = [world.ingest(world.drop(3)).snapshot]
    mapped = "  renames: {income: {to: incomes, until: 2026-06-30}}"
    world.configure(income="incomes", more=mapped, by_income=named)
    digests.append(world.ingest(world.drop(4, income="incomes")).snapshot)
    include = world.platform.settings.include
    model, _ = load_model(include, "by_income")
    dataset, _ = load_dataset(include, "loans")
    run = RunRef("test", "r", "t", user="ada")

    rows = training_rows.read_rows(
        [open_snapshot(world.platform, "loans", d, purpose="show", run=run) for d in digests],
        training_rows.WantedColumns(
            numeric=model.features.numeric,
            categorical=(),
            label="ok",
            time="at",
            protected=(),
            names=other_names(model, dataset),
        ),
    )

    assert list(rows.features) == [named]
    assert len(rows.features) == 200
    assert not rows.features[named].isna().any()


@pytest.mark.parametrize(
    ("day", "is_taken"),
    [(date(2026, 6, 29), True), (date(2026, 6, 30), True), (date(2026, 7, 1), False)],
)
def test_the_window_closes_after_its_last_day(world: World, day: date, is_taken: bool) -> None:
    mapped = "  renames: {income: {to: incomes, until: 2026-06-30}}"
    world.configure(income="incomes", more=mapped)
    world.at(day)
    done = world.ingest(world.drop(4))

    assert ("incomes" in columns_of(world, done.snapshot)) is is_taken
    if is_taken:
        assert world.plan("by_income") is not None
        return
    summary = world.report(done.report).summary
    assert "no such column but 'income', its old name, whose window has closed" in summary
    with pytest.raises(SchemaBroken) as error:
        world.plan("by_income")
    assert error.value.what == (
        "by_income cannot train on loans: income is called incomes, and the old name ended on "
        "2026-06-30 (breaking)."
    )
    assert world.plan("by_age") is not None


def test_a_contract_renamed_without_a_mapping_asks_for_one(world: World) -> None:
    world.ingest(world.drop(3))
    world.configure(income="incomes")

    with pytest.raises(SchemaBroken) as error:
        world.plan("by_income")

    assert error.value.what == (
        "by_income cannot train on loans: income is not in the contract of loans (needs_mapping)."
    )
    assert world.plan("by_age") is not None


def test_a_column_of_another_type_is_left_out(world: World) -> None:
    done = world.ingest(world.drop(3, income=pa.array(["1"] * 100)))

    assert "income" not in columns_of(world, done.snapshot)
    assert "income: found the type string" in world.report(done.report).summary
    with pytest.raises(SchemaBroken, match="by_income cannot train on loans: income is not there"):
        world.plan("by_income")
    assert world.plan("by_age") is not None


def test_without_its_time_or_its_key_a_batch_fails(world: World) -> None:
    for month, column in ((3, "at"), (4, "id")):
        with pytest.raises(DataRejected, match=f"{column}: found no such column"):
            world.ingest(world.drop(month, without=(column,)))


def test_a_critical_rule_about_two_columns_fails_without_one_of_them(world: World) -> None:
    pair = {"column_A": "INCOME", "column_B": "age"}
    kind = "expect_column_pair_values_a_to_be_greater_than_b"
    world.configure(suite=[(kind, pair, "critical")])
    with pytest.raises(DataRejected, match="a rule that cannot be judged without income"):
        world.ingest(world.drop(3, without=("income",)))

    world.configure(suite=[(kind, pair, "warning")])
    done = world.ingest(world.drop(4, without=("income",)))
    assert done.rows_ok == 100


def test_a_new_column_is_left_out_and_stops_nobody(world: World) -> None:
    done = world.ingest(world.drop(3, extra=list(range(100))))

    assert columns_of(world, done.snapshot) == ["id", "at", "income", "age", "ok"]
    assert (
        "extra: found a column that the contract does not know" in world.report(done.report).summary
    )
    assert world.plan("by_income") is not None
    assert world.plan("by_age") is not None


def test_an_older_type_of_the_contract_stops_who_reads_it_as_text(world: World) -> None:
    """`age` is a group of the bias audit of both models: text, not a number."""
    world.ingest(world.drop(3))
    path = world.platform.settings.include / "configs/datasets/loans.yaml"
    path.write_text(path.read_text().replace("age: {type: integer}", "age: {type: number}"))

    with pytest.raises(SchemaBroken, match=r"age is integer, not number in batch 2026-03"):
        world.plan("by_income")


def test_every_opening_is_recorded_for_good(world: World) -> None:
    done = world.ingest(world.drop(3))
    columns_of(world, done.snapshot)
    with world.platform.database.begin() as connection:
        (row,) = connection.execute(text("SELECT * FROM snapshot_read")).mappings()
    assert (row["dataset"], row["digest"]) == ("loans", done.snapshot)
    assert (row["reader"], row["purpose"], row["run_id"]) == ("ada", "show", "r")
    for change in ("UPDATE snapshot_read SET reader = 'eve'", "DELETE FROM snapshot_read"):
        with (
            pytest.raises(Exception, match="snapshot_read is append-only"),
            world.platform.database.begin() as connection,
        ):
            connection.execute(text(change))
