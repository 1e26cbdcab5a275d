"""A version that may retire, a mirror that forgets, and people."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from version_rows import facts

from tenure.adapters.sql import versions
from tenure.installation import Installation
from tenure.layout import artifact_key, reference_key
from tenure.usecases.retirement.decommissioning import Decommissioning, decommissioning
from tenure.vocabulary import RunRef, State, VersionRef, digest_bytes, op_key

MODEL = "flight_late"


@dataclass
class Forgetful:
    """The port to MLflow: remembers which versions it was told to forget."""

    gone: list[str] = field(default_factory=list)

    def tombstone(self, model: str, version: int, *, run_id: str | None, reason: str) -> list[str]:
        self.gone.append(f"{model}@{version}")
        return [f"models:/{model}/{version}"]


@dataclass
class Ahead:
    """The machine's clock, some time ahead."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + self.ahead


@pytest.fixture
def clock() -> Ahead:
    return Ahead()


@pytest.fixture
def mirror() -> Forgetful:
    return Forgetful()


@pytest.fixture
def run() -> RunRef:
    return RunRef(f"{MODEL}__decommission_model", "manual__1", "plan", user="olga")


@pytest.fixture(autouse=True)
def _no_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TENURE_DEMO_WEBHOOK", raising=False)


@pytest.fixture
def retire(platform: Installation, mirror: Forgetful) -> Decommissioning:
    return decommissioning(platform, MODEL, mirror)


@pytest.fixture
def make_version(platform: Installation) -> Callable[..., VersionRef]:
    """Makes rejected versions with an artifact, a reference and evidence in the store."""

    def make(number: int = 1, artifact: bytes | None = None, **changes: object) -> VersionRef:
        data = artifact or f"model {number}".encode()
        digest = platform.store.put(artifact_key(digest_bytes(data)), data)
        table = pa.table(
            {"f_hour": [float(number), None], "f_dest": ["BOS", None], "score": [0.2, 0.4]}
        )
        scratch = platform.settings.home / "scratch.parquet"
        scratch.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, scratch)
        platform.store.put_file(reference_key(MODEL, number), scratch)
        evidence = {}
        for name in ("evaluation", "bias"):
            body = json.dumps({"report": name, "of": number}).encode()
            one = digest_bytes(body)
            platform.store.put(f"reports/{one[:2]}/{one}.json", body)
            evidence[f"{name}_report"] = one
        with platform.database.begin() as c:
            versions.register_model(
                c, name=MODEL, owner="ada", risk_tier="limited", purpose="tests"
            )
            versions.remember_config(c, digest="c" * 64, kind="model", name=MODEL, body="name: x\n")
            ref = versions.create_draft(
                c, model_name=MODEL, trained_by="ada", training_key=f"{number:064}"
            )
            described = {"config_digest": "c" * 64, "facts": facts(**changes)}
            versions.set_columns(c, ref.id, **described, **evidence)
        for state, columns in (
            (State.TRAINED, {"artifact_digest": digest, "signature": "signed"}),
            (State.REJECTED, {}),
        ):
            with platform.database.begin() as c:
                ref = versions.get_by_id(c, ref.id)
                key = op_key("test", ref.name, {"to": state})
                platform.ledger.move(
                    c, ref, state, actor="test", body={}, op_key=key, columns=columns
                )
        return replace(ref, state=State.REJECTED)

    return make


@pytest.fixture
def include_with(
    platform: Installation, tmp_path: Path
) -> Iterator[Callable[[str, str], Installation]]:
    """An installation like `platform` whose model YAML has one text replaced."""
    made: list[Installation] = []

    def change(old: str, new: str) -> Installation:
        folder = tmp_path / "include"
        shutil.copytree(platform.settings.include, folder)
        path = folder / "configs" / "models" / f"{MODEL}.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        made.append(Installation(replace(platform.settings, include=folder)))
        return made[-1]

    yield change
    for one in made:
        one.database.dispose()
