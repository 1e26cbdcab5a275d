"""Whatever lies in `include/`: a named problem or a config, never a traceback, never an effect."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tenure.config.loader import load_all, load_dataset
from tenure.config.problems import BrokenFile
from tenure.config.suite_arguments import CATALOG
from tenure.config.suites import load_suite, parse_suite
from tenure.lifecycle.data.sources import Column, Contract
from tenure.settings import REPOSITORY
from tenure.vocabulary import canonical_json

CONTRACT = Contract(columns={"x": Column(type="number"), "id": Column(type="string")})
FLIGHTS = (REPOSITORY / "include/configs/datasets/flights.yaml").read_bytes()
SUITE = (REPOSITORY / "include/expectations/flights.json").read_bytes()
MODEL = (REPOSITORY / "include/configs/models/flight_late.yaml").read_bytes()

QUICK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["x", "id", "mostly", "$HOME", "2013-01-01T00:00Z", "(a+)+", "<b>", "\ud800"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
ARGUMENTS = sorted({name for entry in CATALOG.values() for name in entry.arguments})
EXPECTATIONS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(sorted(CATALOG)) | JSON,
        "kwargs": st.dictionaries(
            st.sampled_from([*ARGUMENTS, "row_condition"]),
            JSON | st.floats(-2, 2) | st.sampled_from(["x", "id"]) | st.lists(JSON, max_size=3),
            max_size=5,
        )
        | JSON,
    },
    optional={
        "severity": st.sampled_from(["info", "warning", "critical"]) | JSON,
        "id": JSON,
        "notes": JSON,
        "meta": JSON,
    },
)


def refused(path: Path, error: BrokenFile) -> None:
    """Every problem names the file and a line, on one line, in characters a terminal bears."""
    assert error.problems
    for problem in error.problems:
        assert problem.path == path
        assert problem.line >= 1
        str(problem).encode()
        assert str(problem).isprintable(), problem


def read_suite(data: bytes) -> None:
    path = Path("s.json")
    try:
        suite = parse_suite(data, "s", CONTRACT, path)
    except BrokenFile as error:
        refused(path, error)
        return
    for expectation in suite.expectations:
        canonical_json(expectation.kwargs)
    suite.body.encode()


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_as_a_suite(data: bytes) -> None:
    read_suite(data)


@QUICK
@given(JSON)
def test_any_json_as_a_suite(value: Any) -> None:
    read_suite(json.dumps(value).encode())


@QUICK
@given(st.lists(EXPECTATIONS, max_size=4))
def test_any_expectations(expectations: list[Any]) -> None:
    read_suite(json.dumps({"name": "s", "expectations": expectations}).encode())


@QUICK
@given(st.data())
def test_a_spoilt_suite(data: st.DataObject) -> None:
    read_suite(spoilt(data, SUITE.replace(b'"flights"', b'"s"')))


def spoilt(data: st.DataObject, body: bytes) -> bytes:
    """The body with a piece of it replaced by something else."""
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    pieces = [
        b"!!python/object/apply:os.system [ls]",
        b"&a ",
        b"*a",
        b"- ",
        b"\t",
        b"\0",
        b"{",
        b"[",
    ]
    piece = data.draw(st.sampled_from(pieces) | st.binary(max_size=6))
    return body[:start] + piece + body[end:]


@pytest.fixture
def include(tmp_path: Path) -> Path:
    (tmp_path / "configs/datasets").mkdir(parents=True)
    (tmp_path / "configs/models").mkdir()
    (tmp_path / "configs/platform.yaml").write_text("roles: {}\n")
    return tmp_path


def read_yaml(include: Path, data: bytes) -> None:
    path = include / "configs/datasets/flights.yaml"
    path.write_bytes(data)
    before = sorted(include.rglob("*"))
    try:
        load_dataset(include, "flights")
    except BrokenFile as error:
        refused(path, error)
    load_all(include)
    assert sorted(include.rglob("*")) == before


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes_as_yaml(include: Path, data: bytes) -> None:
    read_yaml(include, data)


@QUICK
@given(JSON)
def test_any_tree_as_yaml(include: Path, value: Any) -> None:
    read_yaml(include, yaml.safe_dump(value).encode("utf-8", "surrogatepass"))


@QUICK
@given(st.data())
def test_a_spoilt_dataset(include: Path, data: st.DataObject) -> None:
    read_yaml(include, spoilt(data, FLIGHTS))


@QUICK
@given(st.data())
def test_a_spoilt_model(include: Path, data: st.DataObject) -> None:
    path = include / "configs/models/flight_late.yaml"
    path.write_bytes(spoilt(data, MODEL))
    for problem in load_all(include).problems:
        assert str(problem).isprintable()


@QUICK
@given(st.text(max_size=80))
@example("..")
@example("../../etc/passwd")
@example("a" * 300)
@example("\0")
def test_any_name(include: Path, name: str) -> None:
    for load in (lambda: load_dataset(include, name), lambda: load_suite(include, name, None)):
        with pytest.raises(BrokenFile) as error:
            load()
        assert all(p.path.is_relative_to(include) for p in error.value.problems)
