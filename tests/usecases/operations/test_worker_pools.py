"""A pool that Airflow does not have, or that is too small, is an incident until tasks can start."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from tenure.adapters.sql.incidents import Incident, unclosed
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.operations.worker_pools import PoolCounts, report_pools

pytestmark = pytest.mark.service

HEAVY = "workers: {training: {pool: heavy, slots: 2}, batch_scoring: {pool: heavy}}\n"


@dataclass
class Airflow:
    slots: dict[str, int]

    def pools(self) -> dict[str, int]:
        return {"default_pool": 128, **self.slots}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Configs that may be written; a model asks for two slots of `heavy`."""
    include = Path(shutil.copytree(settings.include, tmp_path / "include"))
    with (include / "configs" / "models" / "flight_late.yaml").open("a") as file:
        file.write(HEAVY)
    return Settings(**(vars(settings) | {"include": include}))


def standing(platform: Installation) -> list[Incident]:
    with platform.database.begin() as connection:
        return unclosed(connection)


def members(platform: Installation) -> list[str]:
    with platform.database.begin() as connection:
        return sorted(connection.execute(text("SELECT item FROM incident_member")).scalars())


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        ({}, "The pool heavy is absent in Airflow; tasks of flight_late take 2 each and"),
        ({"heavy": 1}, "The pool heavy has 1 slots in Airflow; tasks of flight_late take 2 each"),
        ({"heavy": 0}, "The pool heavy has 0 slots in Airflow; tasks of flight_late take 2 each"),
        ({"heavy": 2}, None),
        ({"heavy": -1}, None),  # as many as there are workers
    ],
)
def test_a_pool_that_starts_nothing(
    platform: Installation, slots: dict[str, int], said: str | None
) -> None:
    assert report_pools(platform, Airflow(slots)) == PoolCounts(1, int(said is not None))
    found = standing(platform)
    assert [(one.kind, one.subject) for one in found] == (said is not None) * [
        ("pool_absent", "heavy")
    ]
    assert all(str(said) in one.summary and "never start" in one.summary for one in found)
    report_pools(platform, Airflow({"heavy": 2}))  # made meanwhile
    assert standing(platform) == []


def test_only_models_whose_tasks_cannot_start_are_named(platform: Installation) -> None:
    path = platform.settings.configs / "models" / "flight_late.yaml"
    other = path.read_text().replace("name: flight_late", "name: flight_early")
    path.with_name("flight_early.yaml").write_text(other.replace(", slots: 2", ""))
    report_pools(platform, Airflow({"heavy": 1}))
    assert members(platform) == ["flight_late"]
    report_pools(platform, Airflow({}))
    assert members(platform) == ["flight_early", "flight_late"]
    assert len(standing(platform)) == 1


def test_nothing_is_asked_of_airflow_where_no_model_names_a_pool(platform: Installation) -> None:
    path = platform.settings.configs / "models" / "flight_late.yaml"
    report_pools(platform, Airflow({}))
    path.write_text(path.read_text().replace(HEAVY, ""))

    class Silent:
        def pools(self) -> dict[str, int]:
            raise AssertionError

    assert report_pools(platform, Silent()) == PoolCounts(0, 0)
    assert standing(platform) == []  # nobody asks for it any more
