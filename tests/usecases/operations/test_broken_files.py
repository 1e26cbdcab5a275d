"""A broken config and a DAG file without an import are incidents, each until it is right again."""

import shutil
from pathlib import Path

import pytest

from tenure.adapters.sql import data
from tenure.adapters.sql.incidents import Incident, concerned, owner_of, unclosed
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.operations.broken_files import FileCounts, report_configs, report_imports
from tenure.vocabulary import Role

pytestmark = pytest.mark.service


def standing(platform: Installation) -> list[Incident]:
    with platform.database.begin() as connection:
        return unclosed(connection)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Configs that may be written."""
    include = tmp_path / "include"
    shutil.copytree(settings.include, include)
    return Settings(**(vars(settings) | {"include": include}))


def test_a_config_is_an_incident_until_it_is_right(platform: Installation) -> None:
    path = platform.settings.configs / "models" / "flight_late.yaml"
    right = path.read_text(encoding="utf-8")
    assert report_configs(platform) == FileCounts(0)
    path.write_text(right + "nonsense: 1\n", encoding="utf-8")
    for _ in range(2):
        assert report_configs(platform) == FileCounts(1)
    (one,) = standing(platform)
    assert (one.kind, one.subject, one.seen) == (
        "ConfigInvalid",
        "configs/models/flight_late.yaml",
        2,
    )
    assert "nonsense" in one.summary
    assert one.still_safe == "Other DAGs go on; those of this file keep its last valid form."
    path.write_text(right, encoding="utf-8")
    report_configs(platform)
    assert standing(platform) == []


def share(platform: Installation, **stewards: str) -> Path:
    """Datasets of these names, which one suite judges that is called otherwise; its file."""
    configs, suites = platform.settings.configs, platform.settings.include / "expectations"
    text = (configs / "datasets" / "flights.yaml").read_text(encoding="utf-8")
    suite = (suites / "flights.json").read_text(encoding="utf-8")
    for name, steward in stewards.items():
        changed = text.replace("name: flights", f"name: {name}")
        changed = changed.replace("steward: sam", f"steward: {steward}")
        changed = changed.replace("suite: flights", "suite: departures")
        (configs / "datasets" / f"{name}.yaml").write_text(changed, encoding="utf-8")
    path = suites / "departures.json"
    path.write_text(suite.replace('"name": "flights"', '"name": "departures"'), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("stewards", "owner", "datasets"),
    [
        ({"flights": "sam"}, "sam", ["flights"]),
        ({"flights": "sam", "charter": "kim"}, "kim, sam", ["charter", "flights"]),
        ({"flights": "sam", "charter": "sam"}, "sam", ["charter", "flights"]),
    ],
)
def test_who_is_asked_about_a_suite_is_found_by_the_datasets_that_name_it(
    platform: Installation, stewards: dict[str, str], owner: str, datasets: list[str]
) -> None:
    path = share(platform, **stewards)
    (path.parent / "flights.json").unlink()
    with platform.database.begin() as connection:
        for name in stewards:
            data.register_dataset(
                connection, name=name, owner="x", steward="y", sensitivity="public"
            )
    assert report_configs(platform) == FileCounts(0)
    path.write_text("{", encoding="utf-8")
    report_configs(platform)
    (one,) = standing(platform)
    assert one.subject == "expectations/departures.json"
    with platform.database.begin() as connection:
        assert owner_of(connection, one) == owner
        assert concerned(connection, one) == ([], datasets)
    assert Role.STEWARD in one.roles


def test_a_suite_that_nobody_uses_has_no_owner(platform: Installation) -> None:
    path = platform.settings.include / "expectations" / "lost.json"
    path.write_text("{", encoding="utf-8")
    report_configs(platform)
    (one,) = standing(platform)
    with platform.database.begin() as connection:
        assert owner_of(connection, one) is None


class Airflow:
    def __init__(self, *broken: str) -> None:
        self.broken = broken

    def import_errors(self) -> dict[str, str]:
        return dict.fromkeys(self.broken, "Traceback\n" * 200 + "KeyError: 'x'")


def test_a_dag_file_is_an_incident_until_airflow_imports_it(platform: Installation) -> None:
    both = Airflow("dags/a.py", "dags/check_configs.py")  # the second says that of configs
    assert report_imports(platform, both) == FileCounts(1)
    (one,) = standing(platform)
    assert (one.kind, one.subject) == ("dag_import_error", "dags/a.py")
    assert one.summary.endswith("KeyError: 'x'")
    assert len(one.summary) < 1_010
    assert report_imports(platform, Airflow("dags/b.py")) == FileCounts(1)
    assert [one.subject for one in standing(platform)] == ["dags/b.py"]
