"""Columns that tell each other: planted pairs of every kind, and columns that do not."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from tenure.adapters.arrow_tables.likeness import like_pairs
from tenure.adapters.arrow_tables.profile import profile_table
from tenure.lifecycle.data.profiling.remarks import LikePair, likenesses, remarks

ROWS = 400
RNG = np.random.default_rng(5)
FLAG = RNG.random(ROWS) < 0.3
MEASURE = RNG.normal(size=ROWS)
KINDS = {"int64": "integer", "double": "number", "bool": "boolean", "string": "string"}


def pairs(**columns: object) -> list[LikePair]:
    table = pa.table(columns)
    types = {field.name: KINDS[str(field.type)] for field in table.schema}
    return like_pairs(table, profile_table("file", table, types))  # type: ignore[arg-type]


def texts(flag: np.ndarray, yes: str, no: str) -> list[str]:
    return [yes if one else no for one in flag]


PLANTED: dict[str, tuple[Callable[[], list[LikePair]], tuple[str, str, str]]] = {
    "equal": (lambda: pairs(a=MEASURE, b=MEASURE), ("equal", "a", "b")),
    "equal texts without a repeat": (
        lambda: pairs(a=[f"r{n}" for n in range(ROWS)], b=[f"r{n}" for n in range(ROWS)]),
        ("equal", "a", "b"),
    ),
    "other words": (lambda: pairs(a=FLAG, b=texts(FLAG, "late", "no")), ("one to one", "a", "b")),
    "another scale": (
        lambda: pairs(a=MEASURE, b=MEASURE * 1.8 + 32 + RNG.normal(0, 1e-3, ROWS)),
        ("nearly equal", "a", "b"),
    ),
    "threshold": (lambda: pairs(a=MEASURE, b=MEASURE > 0.5), ("decides", "a", "b")),
    "there or not": (
        lambda: pairs(a=FLAG, b=[float(n) if one else None for n, one in enumerate(FLAG)]),
        ("decides", "b", "a"),
    ),
    "more words": (
        lambda: pairs(
            a=FLAG,
            b=[f"{'late' if one else 'fine'}{n % 3}" for n, one in enumerate(FLAG)],
        ),
        ("decides", "b", "a"),
    ),
}


@pytest.mark.parametrize(("make", "said"), PLANTED.values(), ids=PLANTED.keys())
def test_planted(make: Callable[[], list[LikePair]], said: tuple[str, str, str]) -> None:
    assert [(p.kind, p.first, p.second) for p in make()] == [said]


def test_independent_columns_tell_nothing() -> None:
    found = pairs(
        id=np.arange(ROWS),
        name=[f"r{n}" for n in range(ROWS)],
        flag=FLAG,
        other=RNG.random(ROWS) < 0.5,
        a=MEASURE,
        b=MEASURE + RNG.normal(size=ROWS),
        c=RNG.choice(["x", "y", "z"], ROWS),
        constant=np.ones(ROWS),
        nothing=pa.nulls(ROWS, pa.string()),
        also=pa.nulls(ROWS, pa.string()),
    )

    assert found == []


def test_a_few_rows_say_nothing() -> None:
    assert pairs(a=[1, 2, 3], b=[1, 2, 3]) == []


def test_all_pairs_are_counted() -> None:
    said = likenesses([LikePair("equal", "a", str(n)) for n in range(25)])

    assert len(said) == 21
    assert said[-1] == "and 5 more pairs of columns of which one tells the other"


def test_what_is_said_of_single_columns() -> None:
    table = pa.table(
        {
            "key": [f"k{n}" for n in range(ROWS)],
            "nothing": pa.nulls(ROWS, pa.string()),
            "one": np.ones(ROWS, np.int64),
            "words": [f"w{n}" for n in range(ROWS)],
            "kind": ["a", "b"] * (ROWS // 2),
        }
    )
    types = {field.name: KINDS[str(field.type)] for field in table.schema}
    profile = profile_table("file", table, types)  # type: ignore[arg-type]

    assert remarks(profile, ("key",)) == (
        "nothing: no value at all; its type is a guess and no model can use it",
        "one: one value in all rows that have any: no model can learn from it",
        "words: so many different texts that a model learns rows by heart rather than a rule",
    )
