"""Parsing is cheap, a task builds its own DAG only, and a broken YAML takes nobody down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flight_configs import flight_configs

pytestmark = pytest.mark.airflow

Parse = Callable[..., dict[str, Any]]
MODEL = Path("configs") / "models" / "flight_late.yaml"


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """A copy of the configs that a test may break."""
    return flight_configs(tmp_path / "include")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def spoil(include: Path, model: str = "flight_late") -> None:
    with (include / MODEL).with_stem(model).open("a", encoding="utf-8") as file:
        file.write("risk_teir: high\n")


def second_model(include: Path) -> None:
    text = (include / MODEL).read_text(encoding="utf-8").replace("name: flight_late", "name: other")
    (include / MODEL).with_stem("other").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def lived_in(parse: Parse, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Home and configs of two models that were parsed once; then the other one was broken."""
    folder = tmp_path_factory.mktemp("lived-in")
    home = folder / "home"
    include = flight_configs(folder / "include")
    second_model(include)
    parse(home=home, include=include)
    spoil(include, "other")
    return home, include


@pytest.mark.parametrize(
    ("file", "dag_id", "opened"),
    [
        ("train_model.py", "flight_late__train_model", MODEL),
        pytest.param(
            "promote_model.py", "flight_late__promote_model", MODEL, marks=pytest.mark.exhaustive
        ),
        pytest.param(
            "monitor_model.py", "flight_late__monitor_model", MODEL, marks=pytest.mark.exhaustive
        ),
        pytest.param(
            "batch_score.py", "flight_late__batch_score", MODEL, marks=pytest.mark.exhaustive
        ),
        pytest.param(
            "decommission_model.py",
            "flight_late__decommission_model",
            MODEL,
            marks=pytest.mark.exhaustive,
        ),
        ("ingest_data.py", "flights__ingest_data", Path("configs/datasets/flights.yaml")),
    ],
)
def test_a_task_builds_its_own_dag_from_its_own_yaml_without_the_heavy_libraries(
    parse: Parse, lived_in: tuple[Path, Path], file: str, dag_id: str, opened: Path
) -> None:
    home, include = lived_in
    found = parse(home=home, include=include, file=file, dag_id=dag_id)
    assert list(found["dags"]) == [dag_id]
    assert found["heavy"] == []
    assert (found["errors"], found["opened"]) == ({}, [str(opened)])


@pytest.mark.exhaustive
def test_the_controllers_task_opens_no_yaml_so_none_can_break_it(
    parse: Parse, include: Path, home: Path
) -> None:
    spoil(include)
    found = parse(home=home, include=include, file="retrain_models.py", dag_id="retrain_models")
    assert list(found["dags"]) == ["retrain_models"]
    assert (found["errors"], found["opened"]) == ({}, [])


def test_the_dag_processor_builds_all(parse: Parse, include: Path, home: Path) -> None:
    second_model(include)
    found = parse(home=home, include=include, file="train_model.py")
    assert sorted(found["dags"]) == ["flight_late__train_model", "other__train_model"]


def test_a_broken_yaml_keeps_its_last_valid_dags_and_says_so(
    parse: Parse, include: Path, home: Path
) -> None:
    whole = parse(home=home, include=include)
    spoil(include)
    found = parse(home=home, include=include)
    assert list(found["dags"]) == list(whole["dags"])
    assert [Path(path).name for path in found["errors"]] == ["check_configs.py"]
    (banner,) = found["errors"].values()
    line = len((include / MODEL).read_text(encoding="utf-8").splitlines())
    assert f"{include / MODEL}:{line}: unknown key 'risk_teir'; did you mean 'risk_tier'?" in banner


@pytest.mark.exhaustive
def test_a_yaml_that_was_never_valid_hides_only_its_own_dags(
    parse: Parse, include: Path, home: Path
) -> None:
    second_model(include)
    spoil(include)
    found = parse(home=home, include=include, file="train_model.py")
    assert list(found["dags"]) == ["other__train_model"]
    assert found["errors"] == {}
