"""Personal columns leave the landing zone as pseudonyms only; restricted data need encryption."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.adapters.sql.tables import metadata
from tenure.errors import ConfigInvalid, DataRejected, SchemaBroken
from tenure.installation import Installation
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.training import planning
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

SECRETS = ["ada@example.org", "eve@example.org", "4711001", "4711002", "4711003", "SECRET-NOTE"]
DATASET = """
name: loans
description: made up
owner: ada
steward: sam
sensitivity: {sensitivity}
time_column: at
suite: loans
quality: {{max_quarantined: 0.9}}
contract:
  key: [mail]
  columns:
    mail: {{type: string, nullable: false, sensitivity: personal}}
    at: {{type: timestamp, nullable: false}}
    income: {{type: integer, sensitivity: personal}}
    age: {{type: integer}}
    ok: {{type: boolean}}
"""
MODEL = """
name: {name}
purpose: tests
owner: ada
dataset: loans
label: {{column: ok}}
subject_column: mail
features: {{{features}}}
{more}
training: {{window_batches: 1}}
evaluation: {{min_rows: 1, gates: [{{metric: roc_auc, minimum: 0.1}}]}}
bias: {{attributes: [{group}], max_difference: 0.5}}
canary: {{metrics: [{{event: error, margin: 1.5}}]}}
"""
REASON = "personal: {income: decides on the loan by law}"
SUITE = [
    ("expect_column_values_to_match_regex", {"column": "mail", "regex": "@example"}, "warning"),
    ("expect_column_values_to_be_between", {"column": "income", "max_value": 5e6}, "warning"),
    ("expect_column_max_to_be_between", {"column": "income", "max_value": 1}, "info"),
    ("expect_column_values_to_be_in_set", {"column": "mail", "value_set": ["x"]}, "info"),
]


@dataclass
class World:
    platform: Installation

    def configure(self, sensitivity: str = "internal") -> None:
        self._write("configs/datasets/loans.yaml", DATASET.format(sensitivity=sensitivity))
        expectations = [{"type": t, "kwargs": k, "severity": s} for t, k, s in SUITE]
        suite = {"name": "loans", "expectations": expectations}
        self._write("expectations/loans.json", json.dumps(suite))

    def model(self, name: str, features: str, more: str = "", group: str = "mail") -> None:
        body = MODEL.format(name=name, features=features, more=more, group=group)
        self._write(f"configs/models/{name}.yaml", body)

    def _write(self, name: str, body: str) -> None:
        path = self.platform.settings.include / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)

    def landing(self, name: str) -> Path:
        path = self.platform.settings.home / "store/landing/loans" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def drop(self, mails: list[str], **more: Any) -> str:
        rows = len(mails)
        columns: dict[str, Any] = {
            "mail": mails,
            "at": pa.array([10**15 + i for i in range(rows)], pa.timestamp("us", "UTC")),
            "income": [4_711_001 + i for i in range(rows)],
            "age": [40] * rows,
            "ok": [True] * rows,
        }
        pq.write_table(pa.table(columns | more), self.landing("a.parquet"))
        return "landing/loans/a.parquet"

    def ingest(self, key: str) -> Any:
        return ingestion(self.platform, "loans").ingest(key, RunRef("d", "r", "t"))

    def plan(self, model: str) -> Any:
        run = RunRef(f"{model}__train_model", "r", "plan", user="ada")
        return planning.plan(self.platform, model, run, by_hand=True)

    def snapshot(self, digest: str) -> pa.Table:
        key = f"snapshots/loans/{digest}/data.parquet"
        return pq.read_table(self.platform.store.fetch(key, digest))

    def leaks(self) -> list[tuple[str, str]]:
        """Where outside the landing zone a secret can be read."""
        places = {}
        home = self.platform.settings.home
        for path in sorted(p for p in home.rglob("*") if p.is_file()):
            if "landing" not in path.parts:
                places[str(path.relative_to(home))] = _content(path)
        with self.platform.database.begin() as connection:
            for table in metadata.sorted_tables:
                rows = connection.execute(text(f'SELECT t::text FROM "{table.name}" t'))
                places[table.name] = "\n".join(row[0] for row in rows)
        return [(name, s) for name, body in places.items() for s in SECRETS if s in body]


def _content(path: Path) -> str:
    if path.read_bytes()[:4] == b"PAR1":
        try:
            return str(pq.read_table(path).to_pylist())
        except pa.ArrowException:
            pass
    return path.read_bytes().decode("utf-8", "replace")


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> Iterator[World]:
    platform = Installation(replace(settings, include=tmp_path / "include"))
    found = World(platform)
    found.configure()
    yield found
    platform.database.dispose()


MAILS = ["ada@example.org", "eve@example.org", "ada@example.org", "SECRET-NOTE"]


def test_nothing_but_the_landing_zone_has_them_in_clear(world: World) -> None:
    done = world.ingest(world.drop(MAILS, SECRET=["SECRET-NOTE"] * 4))

    table = world.snapshot(done.snapshot)
    assert table.column_names == ["mail", "at", "income", "age", "ok"]
    assert [str(t) for t in table.schema.types][::2] == ["string", "string", "bool"]
    assert all(re.fullmatch("[0-9a-f]{32}", v) for v in table["mail"].to_pylist())
    assert table.num_rows == 2, "judged in clear: a repeated key, and no address"
    (key,) = world.platform.store.list("quarantine/")
    aside = pq.read_table(world.platform.store.fetch(key)).to_pylist()
    assert [row["_row"] for row in aside] == [3, 4]
    assert aside[0]["mail"] == table["mail"][0].as_py(), "the same person, the same pseudonym"
    assert re.fullmatch("[0-9a-f]{32}", aside[0]["SECRET"])
    assert world.leaks() == []


def test_the_search_for_leaks_finds_them(world: World) -> None:
    world.platform.store.put("reports/x", b"what SECRET-NOTE says")
    assert world.leaks() == [("store/reports/x", "SECRET-NOTE")]


def test_nulls_stay_null(world: World) -> None:
    done = world.ingest(world.drop(MAILS[:2], income=pa.array([None, 4_711_002])))
    assert world.snapshot(done.snapshot)["income"].null_count == 1


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"], ids=["cannot be read", "another suffix"])
def test_a_refused_file_is_not_copied(world: World, name: str) -> None:
    world.landing(name).write_bytes(b"SECRET-NOTE,no parquet")
    with pytest.raises(DataRejected):
        world.ingest(f"landing/loans/{name}")
    assert list(world.platform.store.list("quarantine/")) == []
    assert world.leaks() == []


def test_a_failed_batch_leaks_nothing(world: World) -> None:
    huge = pa.array([2**63, 4_711_002], pa.uint64())
    with pytest.raises(DataRejected) as error:
        world.ingest(world.drop(["SECRET-NOTE"] * 2, at=["SECRET-NOTE"] * 2, income=huge))
    assert not [s for s in [*SECRETS, str(2**63)] if s in str(error.value)]
    assert world.leaks() == []


def test_a_model_with_a_reason_reads_in_clear_and_nobody_else(world: World) -> None:
    tokens = world.ingest(world.drop(MAILS[:2]))
    world.model("with_reason", "numeric: [income]", REASON)
    world.model("by_group", "numeric: [age]", group="income")
    with pytest.raises(SchemaBroken, match="income holds pseudonyms, not values in batch a"):
        world.plan("with_reason")

    clear = world.ingest("landing/loans/a.parquet")  # another rule: it is judged again

    assert clear.snapshot != tokens.snapshot
    table = world.snapshot(clear.snapshot)
    assert table["income"].to_pylist() == [4_711_001, 4_711_002]
    assert not {*MAILS} & {*table["mail"].to_pylist()}
    assert world.plan("with_reason") is not None
    with pytest.raises(SchemaBroken, match="income holds values in clear, not pseudonyms"):
        world.plan("by_group")
    with world.platform.database.begin() as connection:
        bodies = connection.execute(text("SELECT body FROM config_revision WHERE kind='dataset'"))
        assert "# in clear: income for with_reason: decides on the loan by law" in "".join(
            row[0] for row in bodies
        )


def test_a_feature_needs_a_reason(world: World) -> None:
    world.ingest(world.drop(MAILS[:2]))
    world.model("greedy", "numeric: [income]")
    with pytest.raises(SchemaBroken, match="income is personal and the model gives no reason"):
        world.plan("greedy")


def test_while_a_models_yaml_is_broken_nothing_is_published(world: World) -> None:
    key = world.drop(MAILS)
    world.model("with_reason", "numeric: [income]", "personal: {income: why}")
    with pytest.raises(ConfigInvalid, match="say in a few words why 'income' is read in clear"):
        world.ingest(key)
    assert list(world.platform.store.list("snapshots/")) == []


def test_a_new_key_publishes_again_under_new_pseudonyms(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.model("by_group", "numeric: [age]", group="income")
    first = world.ingest(world.drop(MAILS[:2]))
    key_file = world.platform.settings.home / "keys/pseudonym.key"
    assert key_file.stat().st_mode & 0o077 == 0
    assert world.ingest("landing/loans/a.parquet") == first
    assert world.plan("by_group") is not None

    monkeypatch.setenv("TENURE_PSEUDONYM_KEY", "ab" * 32)
    with pytest.raises(SchemaBroken, match="income holds pseudonyms of another key"):
        planning.plan(
            world.platform,
            "by_group",
            RunRef("by_group__train_model", "r2", "plan", user="ada"),
            by_hand=True,
        )
    second = world.ingest("landing/loans/a.parquet")
    assert first.snapshot != second.snapshot
    shared = {*world.snapshot(first.snapshot)["mail"].to_pylist()} & {
        *world.snapshot(second.snapshot)["mail"].to_pylist()
    }
    assert shared == set()


@pytest.mark.parametrize("key", ["", "ab" * 31, "ab" * 33, "zz" * 32])
def test_a_key_that_is_none_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("TENURE_PSEUDONYM_KEY", key)
    landed = world.drop(MAILS)
    if not key:  # an empty variable is none
        world.ingest(landed)
        return
    with pytest.raises(ConfigInvalid, match="not 32 bytes in hexadecimal"):
        world.ingest(landed)
    assert list(world.platform.store.list("snapshots/")) == []


def test_restricted_data_are_refused_by_a_store_without_encryption(world: World) -> None:
    key = world.drop(MAILS)
    world.configure("restricted")
    with pytest.raises(ConfigInvalid, match="loans is restricted, and the object store does not"):
        world.ingest(key)
    stored = list(world.platform.store.list(""))
    assert stored == [key]

    url = f"{world.platform.settings.store_url}?encrypted=LUKS+volume+of+this+host"
    encrypted = World(Installation(replace(world.platform.settings, store_url=url)))
    done = encrypted.ingest(key)
    assert done.rows_ok == 2
    world.model("by_age", "numeric: [age]")
    with pytest.raises(ConfigInvalid, match="the object store does not encrypt"):
        world.plan("by_age")
    assert encrypted.plan("by_age") is not None
    encrypted.platform.database.dispose()


def test_the_committed_codeowners_is_the_one_that_the_yaml_asks_for() -> None:
    from tenure.views.judgements import code_owners

    assert (REPOSITORY / "CODEOWNERS").read_text() == code_owners(REPOSITORY / "include")


def test_snapshots_are_opened_in_one_place_only() -> None:
    plugins = REPOSITORY / "plugins/tenure"
    fetched = re.compile(r"\.(fetch|get)\(\s*snapshot_key\(")
    named = {
        path.relative_to(plugins).as_posix(): path.read_text(encoding="utf-8")
        for path in plugins.rglob("*.py")
    }
    assert [name for name, code in named.items() if '"data.parquet"' in code] == ["layout.py"]
    assert [name for name, code in named.items() if fetched.search(code)] == [
        "usecases/data/snapshots.py"
    ], "who reads goes through usecases/data/snapshots.py, which records it"
