"""Typed rows: exactly the columns of the query, and enums where the field names one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import pytest
from sqlalchemy import RowMapping

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import model_version
from tenure.lifecycle.model_version import VersionRow
from tenure.verdicts import Verdict
from tenure.vocabulary import State

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class JudgedRow:
    """A row of this test."""

    batch: str
    verdict: Verdict
    before: Verdict | None
    names: tuple[str, ...]
    created_at: datetime


def row(**changes: object) -> RowMapping:
    values = {
        "batch": "2013-01",
        "verdict": "failed",
        "before": None,
        "names": ["a", "b"],
        "created_at": NOON,
    }
    return cast("RowMapping", values | changes)


def test_text_becomes_an_enum_and_a_list_a_tuple():
    found = as_row(JudgedRow, row(before="passed"))
    assert found == JudgedRow("2013-01", Verdict.FAILED, Verdict.PASSED, ("a", "b"), NOON)
    assert type(found.verdict) is Verdict


def test_an_enum_may_be_missing_where_the_field_allows_it():
    assert as_row(JudgedRow, row()).before is None


@pytest.mark.parametrize("missing", ["batch", "created_at"])
def test_a_column_that_the_query_does_not_give_is_named(missing):
    given = {name: value for name, value in row().items() if name != missing}
    with pytest.raises(TypeError, match=f"JudgedRow and its query differ in {missing}"):
        as_row(JudgedRow, given)


def test_a_column_without_a_field_is_named():
    with pytest.raises(TypeError, match="JudgedRow and its query differ in extra"):
        as_row(JudgedRow, row(extra=1))


def test_a_word_that_is_no_verdict_is_refused():
    with pytest.raises(ValueError, match="'perhaps' is not a valid Verdict"):
        as_row(JudgedRow, row(verdict="perhaps"))


@dataclass(frozen=True)
class MisnamedRow:
    """Names a column that no table has."""

    stage: State


def test_columns_of_a_class_are_those_of_its_table() -> None:
    with pytest.raises(KeyError, match="stage"):
        columns_of(MisnamedRow, model_version)


def test_a_column_of_another_class_is_skipped() -> None:
    assert as_row(JudgedRow, row(extra=1), skip="extra").batch == "2013-01"


def test_a_version_row_has_every_column() -> None:
    names = {name.removesuffix("_json") for name in VersionRow.__dataclass_fields__}
    assert names == set(model_version.c.keys())
