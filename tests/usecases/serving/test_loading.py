"""What decides together with the artifact is signed: a row that was changed is not loaded."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest
from served import Life
from version_rows import onnx

from tenure.adapters.sql import serving, versions
from tenure.errors import ArtifactRefused
from tenure.gateway.follow.worker import Workers
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionFacts, VersionRecord
from tenure.lifecycle.serving import ServingPolicy
from tenure.usecases.serving.loading import VerifiedLoader
from tenure.vocabulary import VersionRef

SIGNED_COLUMNS = {
    "trained_by": "eve",
    "mlflow_run_id": "other",
    "artifact_digest": "f" * 64,
    "data_digest": "f" * 64,
    "suite_digest": "f" * 64,
    "code_digest": "f" * 64,
    "config_digest": "f" * 64,
    "lock_digest": "f" * 64,
}
INSTEAD_OF_NOTHING = {
    "metrics": {"auc": 0.5},
    "intervals": {"auc": [0.4, 0.6]},
    "names": {"a": ["b"]},
    "classes": {"a": 1},
}
"""What is empty in the test's version has no value that could be another one."""
OTHERS = {
    "kinds": {"carrier": "number"},
    "conformal_least": 0.2,
    "class_costs": [],
    "interval": {"coverage": 0.9, "margin": 1.0, "trivial": [0.0, 1.0]},
    "search": {"chosen": {}, "ended_by": "budget", "trials": []},
    "mitigation": {
        "method": "reweighing",
        "attributes": ["carrier"],
        "constraint": None,
        "values": {},
        "notes": [],
        "unmitigated_threshold": 0.5,
    },
}
"""Where only certain words are facts."""


@pytest.fixture
def version(platform: Installation) -> VersionRef:
    """An approved version with a real artifact and a real signature."""
    return Life(platform).approved(1)


@pytest.fixture
def loader(platform: Installation) -> Iterator[VerifiedLoader]:
    made = VerifiedLoader(platform, platform.settings.home / "gw", lambda _: ServingPolicy())
    yield made
    made.close()


def another(value: Any) -> Any:
    """A value of the same kind that is not this one; a kind of fact that comes needs a line."""
    if value is None:
        return onnx()
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else (value + 1.0) / 4
    if isinstance(value, Mapping):
        return {k: another(v) for k, v in value.items()}
    return [*(another(one) for one in value), *(() if value else ("new",))]


def past_the_guards(
    platform: Installation, version: VersionRef, **columns: object
) -> VersionRecord:
    """The row after its columns were set by somebody who owns the database."""
    with platform.database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        versions.set_columns(connection, version.id, **columns)
    with platform.database.begin() as connection:
        return serving.version_rows(connection, [version.id])[version.id]


def test_an_untouched_row_is_loaded(
    platform: Installation, version: VersionRef, loader: VerifiedLoader
) -> None:
    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, version.id)
    assert loader.facts(row) == row.facts
    loader.load(row).close()


def test_a_changed_fact_is_refused_by_its_name(
    platform: Installation, version: VersionRef, loader: VerifiedLoader
) -> None:
    with platform.database.begin() as connection:
        stated = dict(versions.row_by_id(connection, version.id).facts_json)
    names = [one.name for one in fields(VersionFacts)]
    assert stated.keys() == set(names)
    for name in [one for one in names if one != "task"]:  # another task has other facts beside it
        nothing = INSTEAD_OF_NOTHING.get(name, stated[name])
        other = OTHERS[name] if name in OTHERS else another(nothing)
        changed = {**stated, name: other}
        row = past_the_guards(platform, version, facts=changed)
        assert row.facts, "the change is one that only the signature can find"
        says = rf"flight_late@1: the signature does not fit its {name}: the trainer signed another"
        with pytest.raises(ArtifactRefused, match=says):
            loader.load(row)
        with pytest.raises(ArtifactRefused, match=says):
            loader.facts(row)


def test_a_changed_column_is_refused_by_its_name(
    platform: Installation, version: VersionRef, loader: VerifiedLoader
) -> None:
    with platform.database.begin() as connection:
        before = versions.row_by_id(connection, version.id)
    for name, value in SIGNED_COLUMNS.items():
        row = past_the_guards(platform, version, **{name: value})
        with pytest.raises(ArtifactRefused, match=f"does not fit its {name}: the trainer signed"):
            loader.facts(row)
        past_the_guards(platform, version, **{name: getattr(before, name)})


class Untold:
    """Reports of versions that nobody reads."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def test_no_rule_decides_by_a_threshold_that_nobody_signed(
    platform: Installation, version: VersionRef, loader: VerifiedLoader
) -> None:
    """A rule answers for a version that is refused; its score is held against the threshold."""
    workers = Workers(loader, reports=Untold(), monotonic=lambda: 0.0)  # type: ignore[arg-type]
    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, version.id)
    bent = past_the_guards(platform, version, facts={**row.facts_json, "threshold": 0.0})
    seen = workers.version(bent)
    assert (seen.is_alive, seen.threshold, seen.decides(1.0)) == (False, None, False)
    workers.close()
