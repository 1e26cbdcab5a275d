"""A value is one category however it came, and a text that means it otherwise is noticed."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.lifecycle.model_version import Kind
from tenure.lifecycle.serving.spelling import spell, spelling_of

NAIVE = datetime(2013, 7, 1)  # noqa: DTZ001 - what has no zone counts as UTC
WEST = timezone(timedelta(hours=-4))


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ((True,), "true"),
        ((False,), "false"),
        ((0, 0.0, -0.0, Decimal("0.00"), Decimal("-0")), "0"),
        ((3, 3.0, Decimal("3"), Decimal("3.000")), "3"),
        ((-3, -3.0), "-3"),
        ((100, 1e2, Decimal("1E+2")), "100"),
        ((1.5, Decimal("1.50")), "1.5"),
        ((0.1, Decimal("0.1")), "0.1"),
        ((1e-7,), "0.0000001"),
        ((2**53, float(2**53)), "9007199254740992"),
        ((10**37 + 1, Decimal(10**37 + 1)), "1" + "0" * 36 + "1"),
        (("3.0",), "3.0"),
        (("",), ""),
        ((" True",), " True"),
        ((date(2013, 7, 1),), "2013-07-01"),
        ((NAIVE, NAIVE.replace(tzinfo=UTC)), "2013-07-01T00:00:00Z"),
        ((datetime(2013, 7, 1, 9, tzinfo=WEST),), "2013-07-01T13:00:00Z"),
        ((datetime(2013, 7, 1, 9, 0, 0, 250_000, tzinfo=UTC),), "2013-07-01T09:00:00.25Z"),
        ((time(9, 30),), "09:30:00"),
    ],
)
def test_a_value_is_written_in_one_way(values: tuple[object, ...], written: str) -> None:
    assert {spell(value) for value in values} == {written}


@pytest.mark.parametrize("value", [[1], {}, b"x", None])
def test_what_is_no_single_value(value: object) -> None:
    with pytest.raises(TypeError):
        spell(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_two_floats_share_a_spelling(value: float) -> None:
    assert float(spell(value)) == value


@pytest.mark.parametrize(
    ("kind", "observed", "written"),
    [
        ("text", (), None),
        ("text", ("AA", "UA"), None),
        ("text", ("01", "02"), None),
        ("text", ("1", "2"), None),
        ("text", ("0", "1"), None),
        ("text", ("2013-07-01",), None),
        ("text", ("true", "false", "unknown"), None),
        ("text", ("true", "True"), None),
        ("text", ("Y", "N"), None),
        ("text", ("true",), "boolean"),
        ("text", ("FALSE",), "boolean"),
        ("text", ("False", "True"), "boolean"),
        ("boolean", ("false", "true"), "boolean"),
        ("boolean", (), "boolean"),
        ("number", ("0", "1"), "number"),
        ("number", ("-2", "0.5", "17"), "number"),
        ("date", ("2013-07-01",), "date"),
        ("moment", ("2013-07-01T00:00:00Z", "2013-07-01T09:00:00.5Z"), "moment"),
    ],
)
def test_kinds_of_categories(kind: Kind, observed: tuple[str, ...], written: str | None) -> None:
    found = spelling_of(kind, frozenset(observed))
    assert (found and found.kind) == written


BOOLEANS, FLAGS, NUMBERS = ("true", "false"), ("0", "1"), ("0", "1", "2.5", "-3")
DAYS, MOMENTS = ("2013-07-01",), ("2013-07-01T00:00:00Z",)
CAPITALS = ("True",)
KINDS: dict[tuple[str, ...], Kind] = {
    BOOLEANS: "boolean",
    FLAGS: "number",
    NUMBERS: "number",
    DAYS: "date",
    MOMENTS: "moment",
    CAPITALS: "text",
}


@pytest.mark.parametrize(
    ("observed", "text", "written"),
    [
        *[(BOOLEANS, t, "true") for t in ("True", "TRUE", "t", "Yes", "y", "on", "1", "1.0")],
        *[(BOOLEANS, t, "false") for t in ("False", "F", "no", "N", "off", "0", "0.0", " false")],
        *[(NUMBERS, t, "1") for t in ("1.0", "01", "+1", "1e0", " 1", "1 ", "1.", "10E-1")],
        *[(NUMBERS, t, "0") for t in ("-0", "0.0", "00", ".0")],
        (NUMBERS, "2.50", "2.5"),
        (NUMBERS, "07", "7"),
        *[(CAPITALS, t, "False") for t in ("false", "FALSE", "0", "no", " False")],
        (FLAGS, "true", "1"),
        (FLAGS, "False", "0"),
        (FLAGS, "1.0", "1"),
        (FLAGS, "02", "2"),
        (NUMBERS, "0" * 100 + "1", None),
        (DAYS, "20130701", "2013-07-01"),
        (DAYS, "2013-07-01T00:00:00Z", "2013-07-01"),
        (DAYS, "2013-07-01 00:00:00", "2013-07-01"),
        (DAYS, "2013-7-1", None),
        (DAYS, "2013-07-01T09:00:00Z", None),
        (DAYS, "2013-13-01T00", None),
        (MOMENTS, "2013-07-01", "2013-07-01T00:00:00Z"),
        (MOMENTS, "2013-07-01 00:00:00.000000Z", "2013-07-01T00:00:00Z"),
        (MOMENTS, "2013-07-01T02:00:00+02:00", "2013-07-01T00:00:00Z"),
        (MOMENTS, "0001-01-01T00:00:00+14:00", None),
    ],
)
def test_another_spelling_is_noticed(
    observed: tuple[str, ...], text: str, written: str | None
) -> None:
    spelling = spelling_of(KINDS[observed], observed)
    assert spelling is not None
    assert spelling.is_misspelled(text)
    assert spelling.respell(text) == written


@pytest.mark.parametrize(
    ("observed", "text"),
    [
        *[(BOOLEANS, t) for t in ("true", "false", "unknown", "", "2", "nobody")],
        *[(NUMBERS, t) for t in ("1", "7", "-0.5", "x", "", "1,5", "V27", "true", "٣", "0x1")],
        *[(CAPITALS, t) for t in ("True", "False", "Unknown", "2")],
        *[(FLAGS, t) for t in ("0", "1", "2", "maybe")],
        *[(DAYS, t) for t in ("2014-01-01", "", "soon", "never seen")],
        *[(MOMENTS, t) for t in ("2014-01-01T00:00:00Z", "soon")],
    ],
)
def test_a_new_category_is_none(observed: tuple[str, ...], text: str) -> None:
    spelling = spelling_of(KINDS[observed], observed)
    assert spelling is not None
    assert not spelling.is_misspelled(text)
