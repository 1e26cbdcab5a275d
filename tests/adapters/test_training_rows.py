"""Snapshots into frames, and the scored holdout as the reference file others rely on."""

import itertools
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.ibis_engine.confusion import confusion_cells
from tenure.adapters.training_rows import (
    ObservedValues,
    TrainingRows,
    WantedColumns,
    observed_values,
    pick,
    read_rows,
    read_scores,
    read_shard,
    reference_bytes,
)
from tenure.errors import ConfigInvalid
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.contract.rows import RowRules
from tenure.lifecycle.serving import ServingPolicy, Signature
from tenure.lifecycle.training.labels import LabelRule

COLUMNS: dict[str, Any] = {
    "hour": pa.array([5, 6, None, 8], pa.int64()),
    "carrier": pa.array(["AA", None, "UA", "AA"]),
    "at": pa.array([3_000_000, 1_000_000, 2_000_000, 4_000_000], pa.timestamp("us", "UTC")),
    "late": pa.array([True, False, None, True]),
    "sex": pa.array(["f", "m", "f", None]),
}


def write(path: Path, **other: Any) -> Path:
    pq.write_table(pa.table({**COLUMNS, **other}), path)
    return path


def read(*paths: Path, **other: Any) -> TrainingRows:
    columns: dict[str, Any] = {
        "numeric": ["hour"],
        "categorical": ["carrier"],
        "label": "late",
        "time": "at",
        "protected": ["sex", "carrier"],
    }
    return read_rows(paths, WantedColumns(**{**columns, **other}))


def test_rows_without_a_label_are_counted_not_used(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "a"), write(tmp_path / "b"))
    assert rows.unlabelled == 2
    assert rows.labels.tolist() == [True, False, True] * 2
    assert rows.times.tolist() == [3_000_000, 1_000_000, 4_000_000] * 2
    assert rows.features["hour"].tolist() == [5.0, 6.0, 8.0] * 2
    assert rows.features["carrier"].tolist() == ["AA", None, "AA"] * 2
    assert rows.features.dtypes.astype(str).tolist() == ["float64", "object"]
    assert rows.protected["sex"].tolist() == ["f", "m", None] * 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", None, "America/New_York"])
def test_any_timestamp_becomes_microseconds(tmp_path: Path, unit: str, zone: str | None) -> None:
    moments = pa.array([7, 8, 9, 10], pa.int64()).cast(pa.timestamp("s", zone))
    rows = read(write(tmp_path / "a", at=moments.cast(pa.timestamp(unit, zone))))
    assert rows.times.tolist() == [7_000_000, 8_000_000, 10_000_000]


def test_labels_of_numbers(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a", late=pa.array([0, 1, None, 1]))).labels.sum() == 2


@pytest.mark.parametrize(
    ("case", "other", "says"),
    [
        ("absent column", {"numeric": ["speed"]}, "speed"),
        ("text where a number must be", {"numeric": ["sex"]}, "sex|parse|convert|f"),
        ("text as a label", {"label": "carrier"}, "AA|parse|bool"),
    ],
)
def test_columns_that_do_not_fit(
    tmp_path: Path, case: str, other: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        read(write(tmp_path / "a"), **other)


def reference(tmp_path: Path) -> Path:
    rows = read(write(tmp_path / "a"))
    data = reference_bytes(
        rows,
        np.array([0.9, 0.5, 0.49]),
        threshold=0.5,
        numeric=["hour"],
        categorical=["carrier"],
    )
    path = tmp_path / "reference.parquet"
    path.write_bytes(data)
    return path


def test_the_reference_file_has_the_agreed_columns(tmp_path: Path) -> None:
    table = pq.read_table(reference(tmp_path))
    assert {field.name: str(field.type) for field in table.schema} == {
        "f_hour": "double",
        "f_carrier": "string",
        "g_sex": "string",
        "g_carrier": "string",
        "event_time": "timestamp[us, tz=UTC]",
        "score": "double",
        "decision": "bool",
        "label": "bool",
    }
    assert table["decision"].to_pylist() == [True, True, False]
    assert table["f_carrier"].to_pylist() == ["AA", None, "AA"]
    assert reference(tmp_path).read_bytes() == reference(tmp_path).read_bytes()


def test_scores_read_back(tmp_path: Path) -> None:
    scores, labels = read_scores(reference(tmp_path))
    assert scores.tolist() == [0.9, 0.5, 0.49]
    assert labels.tolist() == [True, False, True]


def test_cells_are_counted_in_one_scan(tmp_path: Path) -> None:
    """Null is a group of its own, and every row is in one cell."""
    found = confusion_cells([reference(tmp_path)], ["sex", "carrier"])
    assert {group: cell.counts for group, cell in found.items()} == {
        ("f", "AA"): (1, 0, 0, 0),
        ("m", None): (0, 1, 0, 0),
        (None, "AA"): (0, 0, 1, 0),
    }
    assert found["f", "AA"].errors == pytest.approx((-0.1, 0.01))
    assert found["m", None].errors == pytest.approx((0.5, 0.25))


def test_cells_equal_a_count_by_hand_on_many_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    n = 5000
    group = rng.choice(["a", "b", "c"], n)
    decision, label = rng.random(n) < 0.4, rng.random(n) < 0.3
    path = tmp_path / "many.parquet"
    columns = {"g_x": group, "decision": decision, "label": label, "score": decision * 0.5}
    pq.write_table(pa.table(columns), path)
    expected = {
        (g,): tuple(
            int(((group == g) & (decision == d) & (label == y)).sum())
            for d, y in ((True, True), (True, False), (False, True), (False, False))
        )
        for g in "abc"
    }
    found = confusion_cells([path], ["x"])
    assert {group: cell.counts for group, cell in found.items()} == expected


def test_seen_values(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "a"))
    assert observed_values(rows, ["hour"], ["carrier"]) == ObservedValues(
        categories={"carrier": ("AA",)}, ranges={"hour": (5.0, 8.0)}
    )
    assert pick(rows, np.array([2])).protected["sex"].tolist() == [None]


# ---------------------------------------------------------------- labels


def case(value: object) -> str:
    """A short name of a parameter, on one line."""
    return (
        " ".join(f"{value.type} {value}".split())[:40]
        if isinstance(value, pa.Array)
        else str(value)
    )


LABELLED: dict[str, Any] = {"numeric": ["x"], "categorical": [], "label": "y", "protected": []}


def snapshot(path: Path, y: Any = None, **columns: Any) -> Path:
    """One row a label, an hour apart."""
    first = next(iter(columns.values())) if y is None else y
    rows = len(first)
    made: dict[str, Any] = {
        "x": pa.array([0.5] * rows),
        "at": pa.array([3_600_000_000 * n for n in range(rows)], pa.timestamp("us", "UTC")),
        "y": pa.array([n % 2 == 0 for n in range(rows)]) if y is None else y,
    }
    pq.write_table(pa.table(made | columns), path)
    return path


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (pa.array([True, False, None]), LabelRule()),
        (pa.array([1, 0, None], pa.int8()), LabelRule()),
        (pa.array([1, 0, None], pa.uint64()), LabelRule()),
        (pa.array([1.0, -0.0, None]), LabelRule()),
        (pa.array([1.0, 0.0, float("nan")]), LabelRule()),
        (pa.array([1, 0, None], pa.decimal128(38, 0)), LabelRule()),
        (pa.array([1, 0, None], pa.decimal128(9, 2)), LabelRule()),
        pytest.param(pa.array(["1", "0", None]), LabelRule(), id="30-label-text01"),
        (pa.array(["True", "false", None]), LabelRule()),
        (pa.array(["1", "0", None]).dictionary_encode(), LabelRule()),
        (pa.array([2, 1, None]), LabelRule("2")),
        (pa.array([1, -1, None]), LabelRule("1", "-1")),
        (pa.array([0, 1, None]), LabelRule("0")),
        (pa.array(["yes", "no", None]), LabelRule("yes", "no")),
        (pa.array([2.5, 1.0, None]), LabelRule("2.5")),
    ],
    ids=case,
)
def test_labels_are_read_by_the_rule(tmp_path: Path, values: Any, rule: LabelRule) -> None:
    rows = read(snapshot(tmp_path / "a", values), **LABELLED, rule=rule)
    assert rows.labels.tolist() == [True, False]
    assert rows.unlabelled == 1


@pytest.mark.parametrize(
    ("values", "says"),
    [
        pytest.param(
            pa.array([1, 2] * 5),
            r"y is no label in 5 of 10 rows: '2' \(5 rows\)",
            id="30-label-one-two",
        ),
        (pa.array([1, -1] * 5), r"'-1' \(5 rows\)"),
        pytest.param(
            pa.array([0, 1, 9, None]),
            r"y is no label in 1 of 3 rows: '9' \(1 row\)",
            id="30-label-sentinel",
        ),
        (pa.array([0.0, 0.37]), r"'0.37' \(1 row\)"),
        (pa.array([0.0, 0.37], pa.float32()), r"'0.37' \(1 row\)"),
        (pa.array([0.0, float("inf")]), "y is a float beyond 2.53.* in 1 of 2 rows"),
        (pa.array([0, 7], pa.decimal128(38, 0)), r"'7' \(1 row\)"),
        pytest.param(
            pa.array(["yes", "no"]), r"'no' \(1 row\), 'yes' \(1 row\)", id="30-label-text"
        ),
        (pa.array(["1.0", "0"]), r"'1.0' \(1 row\)"),
        pytest.param(
            pa.array([7, 8], pa.timestamp("us", "UTC")),
            "'1970-01-01T00:00:00.000007Z'",
            id="30-label-timestamp",
        ),
        (pa.array([7, 8], pa.date32()), r"'1970-01-08' \(1 row\)"),
        (pa.array([[True], [False]]), "y is list.* and cannot be read as a category"),
        (pa.array([b"1", b"0"]), "y is binary and cannot be read as a category"),
    ],
    ids=case,
)
def test_anything_else_is_no_label(tmp_path: Path, values: Any, says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        read(snapshot(tmp_path / "a", values), **LABELLED)


def test_labels_of_several_files_are_one_column(tmp_path: Path) -> None:
    """Each file may hold them in a type of its own; a third value in any of them is found."""
    kinds = [pa.array([True, False]), pa.array([1.0, 0.0]), pa.array(["0", "1"])]
    paths = [snapshot(tmp_path / str(n), y) for n, y in enumerate(kinds)]
    assert read(*paths, **LABELLED).labels.tolist() == [True, False, True, False, False, True]
    words = [snapshot(tmp_path / y, pa.array(["yes", y])) for y in ("no", "unknown")]
    read(words[0], **LABELLED, rule=LabelRule("yes"))
    with pytest.raises(ConfigInvalid, match=r"'no' \(1 row\), 'unknown' \(1 row\)"):
        read(*words, **LABELLED, rule=LabelRule("yes"))


# ---------------------------------------------------------------- numbers


def test_two_to_the_53_at_and_above(tmp_path: Path) -> None:
    near = 2**53
    for number, kind in itertools.product(
        (near - 1, near, -near), (pa.int64(), pa.decimal128(38, 0), pa.decimal128(38, 6))
    ):
        x = pa.array([number, None], kind)
        values = read(snapshot(tmp_path / "a", x=x), **LABELLED).features["x"]
        assert (values[0], bool(np.isnan(values[1]))) == (number, True)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(pa.array([1, 2**53 + 1, None]), id="33-bigint-feature"),
        pa.array([1, -(2**53) - 1, None]),
        pa.array([1, 2**64 - 1, None], pa.uint64()),
        pa.array([1, 10**18 + 1, None], pa.decimal128(38, 0)),
        pa.array([1, 2**53 + 1, None], pa.decimal128(38, 4)),
        pa.array(["1", "9007199254740993", None]),
    ],
    ids=case,
)
def test_a_number_that_would_change_is_refused(tmp_path: Path, values: Any) -> None:
    path = snapshot(tmp_path / "a", x=values)
    says = r"x is a number beyond 2\^53, .* in 1 of 3 rows \('.*' is the first\)"
    with pytest.raises(ConfigInvalid, match=says):
        read(path, **LABELLED)
    with pytest.raises(ConfigInvalid, match=says) as refused:
        shard(path)
    assert refused.value.still_safe.startswith("Nothing of this shard was stored")


def shard(path: Path, **other: Any) -> Any:
    rest: dict[str, Any] = {"subject": "y", "time": "at", "keys": ["y"]}
    columns: dict[str, Any] = {"numeric": ["x"], "categorical": []} | other
    return read_shard(path, 0, 10, **rest, **columns)


@pytest.mark.parametrize("value", [1e300, 2.0**60, -1e17, 5e-324])
def test_a_float_is_what_it_is(tmp_path: Path, value: float) -> None:
    path = snapshot(tmp_path / "a", x=pa.array([value, 0.0]))
    assert read(path, **LABELLED).features["x"][0] == shard(path).features["x"][0] == value


def test_an_infinite_number_is_refused_in_training_and_row_by_row_in_a_batch(
    tmp_path: Path,
) -> None:
    path = snapshot(tmp_path / "a", x=pa.array([1.0, float("inf"), float("-inf"), None]))
    with pytest.raises(ConfigInvalid, match=r"x is an infinite number in 2 of 4 rows \('inf' is"):
        read(path, **LABELLED)
    assert np.isinf(shard(path).features["x"]).sum() == 2  # the serving policy refuses these rows


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"x": pa.array(["1.5", "nan"])}, r"x is no number in 1 of 2 rows \('nan' is the first\)"),
        ({"x": pa.array(["1.5", "one"])}, "x is string and cannot be read as a number .*'one'"),
        ({"x": pa.array([1, 2], pa.timestamp("us"))}, "x is timestamp.us. and cannot be read as a"),
        ({"at": pa.array([1, None], pa.timestamp("us"))}, "at is null, .* in 1 of 2 rows"),
        ({"at": pa.array(["soon", "late"])}, "at is string and cannot be read as a time"),
    ],
)
def test_a_column_that_does_not_fit_is_named(
    tmp_path: Path, columns: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        read(snapshot(tmp_path / "a", **columns), **LABELLED)


# ---------------------------------------------------------------- categories


MOMENT = datetime(2013, 7, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("values", "written", "sent"),
    [
        pytest.param(
            pa.array([True, False, None]),
            ["true", "false", None],
            [True, "True", "1"],
            id="31-bool-cat",
        ),
        pytest.param(
            pa.array([0, 3, None]), ["0", "3", None], [3, 3.0, "3.0", "03"], id="31-int-cat"
        ),
        (pa.array([0, 1, None]), ["0", "1", None], [True, 1, 1.0, "1.0", "true"]),
        (pa.array([0.0, 3.0, None]), ["0", "3", None], [3, 3.0, "3.0"]),
        (pa.array([0.1, 1e-7], pa.float64()), ["0.1", "0.0000001"], [0.1, 1e-7, "1e-7"]),
        (pa.array([0.1, 2.5], pa.float32()), ["0.1", "2.5"], [0.1, "0.10"]),
        (pa.array([1, 2], pa.decimal128(9, 2)), ["1", "2"], [1, "1.00"]),
        (pa.array([10**37 + 1], pa.decimal128(38, 0)), ["1" + "0" * 36 + "1"], [1]),
        (pa.array([2**62 + 1]), [str(2**62 + 1)], [1]),
        (pa.array([MOMENT.date()]), ["2013-07-01"], ["2013-07-01T00:00:00Z", "20130701"]),
        (pa.array([MOMENT]), ["2013-07-01T09:00:00Z"], ["2013-07-01 09:00:00Z", "2013-07-01"]),
        (pa.array([MOMENT], pa.timestamp("ns", "UTC")), ["2013-07-01T09:00:00Z"], []),
        (pa.array(["1", "x"]).dictionary_encode(), ["1", "x"], [1, 1.0, True]),
        (pa.array([float("nan"), 1.0]), [None, "1"], [1.0]),
        (pa.array([None, None]), [None, None], []),
    ],
    ids=case,
)
def test_a_category_is_written_as_the_gateway_wants_it(
    tmp_path: Path, values: Any, written: list[str | None], sent: list[Any]
) -> None:
    """The gateway takes the text of training; another spelling it refuses and names the right."""
    path = snapshot(tmp_path / "a", c=values)
    only_c: dict[str, Any] = {"numeric": [], "categorical": ["c"], "protected": ["c"]}
    rows = read(path, **LABELLED | only_c)
    assert rows.features["c"].tolist() == written
    assert rows.protected["c"].tolist() == written
    assert shard(path, numeric=[], categorical=["c"]).features["c"].tolist() == written
    seen = observed_values(rows, [], ["c"])
    signature = Signature((), ("c",), {"c": frozenset(seen.categories["c"])}, kinds=rows.kinds)
    door = RowRules(signature, ("c",), ServingPolicy())
    assert door.checked({"c": written}, len(written), 100, place="in").categorical["c"] == written
    for value in sent:
        with pytest.raises(Refusal) as refused:
            door.checked({"c": [value]}, 1, 100, place="in")
        assert refused.value.code in {"misspelled_category", "not_a_text"}
        assert "is written '" in refused.value.message


@pytest.mark.parametrize(
    ("first", "second", "written"),
    [
        pytest.param(pa.array([0, 3]), pa.array([0.0, 3.0]), ["0", "3"], id="32-int-then-double"),
        (pa.array([0, 3], pa.int8()), pa.array([0, 3], pa.decimal128(9, 2)), ["0", "3"]),
        (pa.array([10**15]), pa.array([1e15]), ["1000000000000000"]),
        (pa.array(["a"]), pa.array(["a"]).dictionary_encode(), ["a"]),
        (pa.array(["a"]), pa.array([None]), ["a"]),
        (pa.array([MOMENT]), pa.array([MOMENT], pa.timestamp("ms", "UTC")), None),
    ],
    ids=case,
)
def test_one_set_of_categories_over_files(
    tmp_path: Path, first: Any, second: Any, written: list[str] | None
) -> None:
    paths = [snapshot(tmp_path / n, c=c) for n, c in (("jan", first), ("feb", second))]
    rows = read(*paths, **LABELLED | {"numeric": [], "categorical": ["c"]})
    found = observed_values(rows, [], ["c"]).categories["c"]
    assert list(found) == (written or ["2013-07-01T09:00:00Z"])


@pytest.mark.parametrize(
    ("second", "says"),
    [
        (pa.array([0, 1]), "c is not of one kind in the 2 snapshots: boolean in 1 and number in 1"),
        (pa.array(["true"]), "boolean in 1 and text in 1"),
        (pa.array([MOMENT]), "boolean in 1 and moment in 1"),
    ],
)
def test_two_kinds_of_one_category(tmp_path: Path, second: Any, says: str) -> None:
    paths = [
        snapshot(tmp_path / "a", c=pa.array([True, False])),
        snapshot(tmp_path / "b", c=second),
    ]
    with pytest.raises(ConfigInvalid, match=says):
        read(*paths, **LABELLED | {"numeric": [], "categorical": ["c"]})


@pytest.mark.parametrize(
    ("trained", "values", "says"),
    [
        ("number", pa.array([0.0, 3.0]), ""),
        ("number", pa.array([0, 3], pa.decimal128(9, 2)), ""),
        ("number", pa.nulls(2), ""),
        ("text", pa.array(["a", "b"]).dictionary_encode(), ""),
        (
            "number",
            pa.array([True, False]),
            "c is boolean in the snapshot, and was number in train",
        ),
        ("boolean", pa.array([1, 0]), "c is number in the snapshot, and was boolean in training"),
        ("text", pa.array([1, 7]), "c is number in the snapshot, and was text in training"),
        ("number", pa.array(["1", "07"]), "c is text in the snapshot, and was number in training"),
        ("moment", pa.array([MOMENT.date()]), "c is date in the snapshot, and was moment in train"),
    ],
)
def test_a_batch_of_another_kind_than_in_training(
    tmp_path: Path, trained: str, values: Any, says: str
) -> None:
    """Its values would be written as categories that training never saw."""
    path = snapshot(tmp_path / "a", c=values)
    how: dict[str, Any] = {"numeric": [], "categorical": ["c"], "kinds": {"c": trained}}
    if says:
        with pytest.raises(ConfigInvalid, match=says):
            shard(path, **how)
    else:
        assert len(shard(path, **how).subjects) == len(values)


def test_a_float_that_may_be_several_whole_numbers_is_no_category(tmp_path: Path) -> None:
    c = pa.array([2.0**53, 2.0**53 + 2])
    with pytest.raises(ConfigInvalid, match=r"c is a float beyond 2\^53, .* in 1 of 2 rows"):
        read(snapshot(tmp_path / "a", c=c), **LABELLED | {"numeric": [], "categorical": ["c"]})


def test_an_empty_group_and_a_missing_one_are_two(tmp_path: Path) -> None:
    """The case 34-group-empty-and-null."""
    rows = read(
        snapshot(tmp_path / "a", c=pa.array(["", None, "a"])), **LABELLED | {"protected": ["c"]}
    )
    assert rows.protected["c"].tolist() == ["", None, "a"]
