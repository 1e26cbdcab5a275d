"""Rows of snapshots as frames for an estimator, and the scored holdout as a reference file."""

import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tenure.errors import ConfigInvalid
from tenure.lifecycle.class_answers import ClassCosts
from tenure.lifecycle.model_version import Kind
from tenure.lifecycle.serving.spelling import EXACT, spell
from tenure.lifecycle.training.classes import ClassRule
from tenure.lifecycle.training.evaluation.classes import answered_classes
from tenure.lifecycle.training.fitness import RowFault, UnfitRows
from tenure.lifecycle.training.labels import LabelRule
from tenure.lifecycle.training.numbers import NumberRule, OutcomeRule

_INSTANT = pa.timestamp("us", tz="UTC")
_NO_VERSION = "No version was made; whatever serves now keeps serving."
_NO_SHARD = "Nothing of this shard was stored; other shards stand."
_WIDTH = 40
_COMPARE = (
    "Compare features, label and bias.attributes in the model's YAML with the contract of its "
    "dataset"
)

Read = TypeVar("Read")
Labels = NDArray[Any]
"""Booleans, classes (texts of a fixed width), or float64 of a regression."""
Meaning = bool | str


@dataclass(frozen=True)
class TrainingRows:
    """Labelled rows, in the order of the files.

    Args:
        features: A frame with numeric (float64) then categorical (text or None) columns.
        labels: Booleans, texts where there are several classes, of a regression float64; shape
            (n,).
        times: Microseconds since 1970, shape (n,); None of data without time.
        groups: Values of the group column as texts, null is the empty text; None without one.
        weights: What each row counts, from 0; None where all count the same.
        protected: Values of the protected attributes as texts; null is None.
        unlabelled: Rows that were left out because they have no label.
        classes: What each value of the label column means, and how many rows have it; empty of a
            regression.
        kinds: What the values of each categorical feature were before they were texts.
    """

    features: Any
    labels: Labels
    times: NDArray[np.int64] | None
    groups: NDArray[np.object_] | None
    weights: NDArray[np.float64] | None
    protected: Mapping[str, NDArray[np.object_]]
    unlabelled: int
    classes: Mapping[str, tuple[Meaning, int]]
    kinds: Mapping[str, Kind]

    @property
    def meanings(self) -> dict[str, Meaning]:
        """What each value of the label column means."""
        return {value: meaning for value, (meaning, _) in self.classes.items()}

    @property
    def order(self) -> NDArray[np.int64]:
        """What the rows are sorted by: their time, else their place in the files."""
        return np.arange(len(self.labels)) if self.times is None else self.times

    def values(self) -> dict[str, int]:
        """How many rows have a value, by feature."""
        return {str(name): int(number) for name, number in self.features.notna().sum().items()}

    def magnitudes(self) -> dict[str, float]:
        """The largest absolute value of each numeric feature that has any."""
        largest = self.features.select_dtypes("float64").abs().max().dropna()
        return {str(name): float(value) for name, value in largest.items()}


@dataclass(frozen=True)
class WantedColumns:
    """What a model reads of the rows of its dataset.

    Args:
        numeric: Features that are numbers.
        categorical: Features that are texts; other values are written as `spell` does.
        label: What is predicted.
        time: When it happened; None of data without time.
        group: Rows with one value of it are on one side of the split; None without groups.
        protected: Groups that are compared.
        weight: What a row counts; None where all count the same.
        names: Names that a column may have in a file, the first that is there counts.
        rule: Which labels are true, or that they are numbers.
        of_a_part: Whether more files will come: then the positive label need not occur.
        others: Columns that are read as texts elsewhere: they are looked at, and not kept.
    """

    numeric: Sequence[str]
    categorical: Sequence[str]
    label: str
    time: str | None
    protected: Sequence[str]
    group: str | None = None
    weight: str | None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rule: OutcomeRule = field(default_factory=LabelRule)
    of_a_part: bool = False
    others: Sequence[str] = ()

    @property
    def texts(self) -> list[str]:
        """Columns of which each value is one text."""
        group = [] if self.group is None else [self.group]
        return [*self.categorical, *self.protected, *group, *self.others]

    @property
    def all(self) -> list[str]:
        """Each column once."""
        one = [name for name in (self.weight, self.time) if name is not None]
        return list(dict.fromkeys([*self.numeric, *self.texts, self.label, *one]))


@dataclass(frozen=True)
class ExaminedRows:
    """What files hold, as far as it can be read, and all that does not fit.

    Args:
        rows: Without the columns that cannot be read; None where that is the label or the time.
        faults: One of a column.
    """

    rows: TrainingRows | None
    faults: tuple[RowFault, ...]


def read_rows(paths: Sequence[Path], wanted: WantedColumns) -> TrainingRows:
    """Read only the wanted columns of the files, one after the other.

    Raises:
        UnfitRows: It names each column that is absent, has a type that its part cannot take, or
            holds a value that would be changed: no label, an infinite number, a whole one beyond
            2^53.
    """
    found = examine_rows(paths, wanted)
    if found.rows is None or found.faults:
        raise UnfitRows(found.faults, still_safe=_NO_VERSION)
    return found.rows


def examine_rows(paths: Sequence[Path], wanted: WantedColumns) -> ExaminedRows:
    """As `read_rows`, but what does not fit is an answer, and the rest is read all the same."""
    reading = _Reading()
    tables = [_read_columns(path, wanted.all, wanted.names, reading) for path in paths]
    for name in wanted.texts:
        reading.of(name, _check_kind, tables, name)
    written = reading.of(wanted.label, _each_label, tables, wanted)
    known = [np.ones(len(t), dtype=bool) for t in tables] if written is None else _known(written)
    parts = [t.filter(pa.array(k)) for t, k in zip(tables, known, strict=True)]
    columns: dict[str, Any] = {
        **{n: reading.of(n, _each, parts, n, _finite_numbers) for n in wanted.numeric},
        **{n: reading.of(n, _each, parts, n, _texts, None) for n in wanted.categorical},
    }
    protected = {n: reading.of(n, _each, parts, n, _texts, None) for n in wanted.protected}
    times = groups = weights = None
    if wanted.weight is not None:
        weights = reading.of(wanted.weight, _each, parts, wanted.weight, _weights)
    if wanted.time is not None:
        times = reading.of(wanted.time, _each, parts, wanted.time, _moments)
    if wanted.group is not None:
        groups = reading.of(wanted.group, _each, parts, wanted.group, _texts, "")
    for name in wanted.others:
        reading.of(name, _each, tables, name, _texts, "")
    labels = None if written is None else np.concatenate(written)[np.concatenate(known)]
    classes = None if labels is None else reading.of(wanted.label, _classes, labels, wanted)
    rows = None
    is_split = times is not None or wanted.time is None
    if labels is not None and classes is not None and is_split:
        read = {n: values for n, values in columns.items() if values is not None}
        rows = TrainingRows(
            features=pd.DataFrame(read, range(len(labels))),
            labels=_meant(labels, classes, wanted.rule),
            times=times,
            groups=groups,
            weights=weights,
            protected={n: values for n, values in protected.items() if values is not None},
            unlabelled=sum(int((~one).sum()) for one in known),
            classes=classes,
            kinds={n: _kind_of_all(tables, n) for n in wanted.categorical if n in read},
        )
    return ExaminedRows(rows, tuple(reading.faults.values()))


class _Reading:
    """Reads column by column; what does not fit is kept, one fault a column."""

    def __init__(self) -> None:
        self.faults: dict[str, RowFault] = {}

    def of(self, column: str, read: Callable[..., Read], *how: Any) -> Read | None:
        """What the column gives; None when it does not fit, now or before."""
        if column in self.faults:
            return None
        try:
            return read(*how)
        except ConfigInvalid as error:
            self.faults[column] = RowFault(
                error.what.rstrip("."), column, error.next_step.rstrip(".")
            )
        except _MISFITS as error:
            self.add(column, str(error).splitlines()[0])
        return None

    def add(self, column: str, said: str) -> None:
        """Something that does not fit, unless something of the column was found before."""
        self.faults.setdefault(column, RowFault(said.rstrip("."), column, _COMPARE))


def _each_label(tables: Sequence[pa.Table], wanted: WantedColumns) -> list[NDArray[Any]]:
    """Texts; float64 of a regression, where true and false are no numbers. Raises _Misfit."""
    name = wanted.label
    if not isinstance(wanted.rule, NumberRule):
        return [_texts(table, name, None) for table in tables]
    for table in tables:
        if _kind(table[name].type) == "boolean":
            raise _Misfit(f"{name} is boolean, and the label of a regression is a number")
    return [_finite_numbers(table, name) for table in tables]


def _known(written: Sequence[NDArray[Any]]) -> list[NDArray[np.bool_]]:
    return [pd.notna(one) for one in written]


def _classes(labels: NDArray[Any], wanted: WantedColumns) -> dict[str, tuple[Meaning, int]]:
    """What each value means; nothing more than it says where the labels are numbers.

    Raises:
        ConfigInvalid: A value is no label, or there is none.
    """
    if not len(labels):
        raise _Misfit(f"{wanted.label} has no value in any row")
    if isinstance(wanted.rule, NumberRule):
        return {}
    counts = Counter(labels.tolist())
    meanings = wanted.rule.meanings(
        counts, column=wanted.label, still_safe=_NO_VERSION, of_a_part=wanted.of_a_part
    )
    return {value: (meanings[value], rows) for value, rows in sorted(counts.items())}


def _meant(
    labels: NDArray[Any], classes: Mapping[str, tuple[Meaning, int]], rule: OutcomeRule
) -> Labels:
    """Labels as booleans or classes; numbers, which have no classes, as they are."""
    if not classes:
        return labels.astype(np.float64)
    kind = np.str_ if isinstance(rule, ClassRule) else np.bool_
    return np.array([classes[text][0] for text in labels], dtype=kind)


def _each(parts: Sequence[pa.Table], name: str, read: Any, *how: object) -> Any:
    """A column of all files, one after the other."""
    return np.concatenate([read(part, name, *how) for part in parts])


def _check_kind(tables: Sequence[pa.Table], name: str) -> None:
    """The same value is written in one way only where it is of one kind in every file."""
    kinds = _kinds(tables, name)
    if len(kinds) > 1:
        said = " and ".join(f"{kind} in {n}" for kind, n in sorted(kinds.items()))
        raise _Misfit(f"{name} is not of one kind in the {len(tables)} snapshots: {said}")


def _check_kind_of_training(table: pa.Table, name: str, trained: Kind) -> None:
    """The same value is written in one way only where it is of the kind that training saw."""
    now = _kind(table[name].type)
    if now not in ("null", trained) and now in get_args(Kind):
        raise _Misfit(f"{name} is {now} in the snapshot, and was {trained} in training")


def _kinds(tables: Sequence[pa.Table], name: str) -> Counter[str]:
    kinds = Counter(_kind(table[name].type) for table in tables)
    del kinds["null"]
    return kinds


def _kind_of_all(tables: Sequence[pa.Table], name: str) -> Kind:
    """How the values of the column came to be texts."""
    found = next(iter(_kinds(tables, name)), "text")
    return found if found in get_args(Kind) else "text"  # type: ignore[return-value]


def _read_columns(
    path: Path, wanted: Sequence[str], names: Mapping[str, Sequence[str]], reading: _Reading
) -> pa.Table:
    """The columns that are there, under the names that the model has for them, in its order."""
    there = pq.read_schema(path).names
    stored = dict(zip(wanted, _stored(there, wanted, names), strict=True))
    for name in wanted:
        if there.count(stored[name]) != 1:
            reading.add(name, f"{name} is not in the snapshot")
    found = {name: column for name, column in stored.items() if there.count(column) == 1}
    table = pq.read_table(path, columns=list(dict.fromkeys(found.values())))
    return pa.table([table.column(column) for column in found.values()], names=list(found))


def _stored(
    there: Sequence[str], wanted: Sequence[str], names: Mapping[str, Sequence[str]]
) -> list[str]:
    """What the wanted columns are called in a file."""
    return [next((n for n in names.get(w, ()) if n in there), w) for w in wanted]


@dataclass(frozen=True)
class ShardRows:
    """Some rows of one snapshot, to be scored.

    Args:
        features: A frame as in `TrainingRows`.
        subjects: Who each row is about, as text; null is the empty text, and so is every one where
            no column says it.
        times: Microseconds since 1970, shape (n,); None without a time column.
        keys: The columns that a row is found again by: `row`, its number, where nothing names it.
    """

    features: Any
    subjects: Sequence[str]
    times: NDArray[np.int64] | None
    keys: pa.Table

    def only(self, kept: NDArray[np.bool_]) -> "ShardRows":
        """The marked rows, in their order."""
        return ShardRows(
            features=self.features[kept].reset_index(drop=True),
            subjects=[one for one, is_kept in zip(self.subjects, kept, strict=True) if is_kept],
            times=None if self.times is None else self.times[kept],
            keys=self.keys.filter(pa.array(kept)),
        )


def read_shard(
    path: Path,
    start: int,
    stop: int,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    subject: str | None,
    time: str | None,
    keys: Sequence[str],
    names: Mapping[str, Sequence[str]] | None = None,
    kinds: Mapping[str, Kind] | None = None,
) -> ShardRows:
    """Read rows `start` up to `stop` of a file: only the row groups that hold them.

    `names` are the names that a column may have in the file; the first that is there counts.
    `kinds` is what the categories were in training.

    Raises:
        UnfitRows: A column is absent, has a type that its part cannot take, is of another kind
            than in training, or holds a whole number beyond 2^53, which would be changed.
    """
    others = [name for name in (subject, time) if name is not None]
    wanted = dict.fromkeys([*numeric, *categorical, *others, *keys])
    with _misfits(_NO_SHARD):
        file = pq.ParquetFile(path)
        stored = _stored(file.schema_arrow.names, list(wanted), names or {})
        table = _slice(file, start, stop, list(dict.fromkeys(stored)))
        table = pa.table([table.column(name) for name in stored], names=list(wanted))
        for name, kind in (kinds or {}).items():
            _check_kind_of_training(table, name, kind)
        columns: dict[str, Any] = {n: _numbers(table, n) for n in numeric}
        columns |= {name: _texts(table, name, None) for name in categorical}
        return ShardRows(
            features=pd.DataFrame(columns, columns=[*numeric, *categorical]),
            subjects=[""] * len(table) if subject is None else list(_texts(table, subject, "")),
            times=_moments(table, time) if time else None,
            keys=table.select(list(dict.fromkeys(keys)))
            if keys
            else pa.table({"row": range(start, start + len(table))}),
        )


def _slice(file: pq.ParquetFile, start: int, stop: int, names: list[str]) -> pa.Table:
    groups: list[int] = []
    first = at = 0
    for number in range(file.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if at < stop and at + rows > start:
            first = first if groups else at
            groups.append(number)
        at += rows
    table = file.read_row_groups(groups, columns=names)
    return table.select(names).slice(start - first, stop - start)


def pick(rows: TrainingRows, index: NDArray[np.intp]) -> TrainingRows:
    """The rows with these numbers, in their order."""
    return TrainingRows(
        features=rows.features.iloc[index].reset_index(drop=True),
        labels=rows.labels[index],
        times=None if rows.times is None else rows.times[index],
        groups=None if rows.groups is None else rows.groups[index],
        weights=None if rows.weights is None else rows.weights[index],
        protected={name: values[index] for name, values in rows.protected.items()},
        unlabelled=0,
        classes=rows.classes,
        kinds=rows.kinds,
    )


def evenly(rows: TrainingRows, most: int) -> TrainingRows:
    """At most so many of the rows, evenly over them; all of them where there are no more."""
    number = len(rows.labels)
    if number <= most:
        return rows
    return pick(rows, np.unique(np.linspace(0, number - 1, most, dtype=int)))


@dataclass(frozen=True)
class ObservedValues:
    """Values of categorical features, sorted, and (smallest, largest) of numeric ones."""

    categories: dict[str, tuple[str, ...]]
    ranges: dict[str, tuple[float, float]]


def observed_values(
    rows: TrainingRows, numeric: Sequence[str], categorical: Sequence[str]
) -> ObservedValues:
    """What the rows hold; a numeric feature without any value has no range."""
    ranges = {}
    for name in numeric:
        column = rows.features[name].dropna()
        if len(column):
            ranges[name] = (float(column.min()), float(column.max()))
    categories = {
        name: tuple(sorted(rows.features[name].dropna().unique())) for name in categorical
    }
    return ObservedValues(categories, ranges)


def reference_bytes(
    rows: TrainingRows,
    scores: NDArray[np.float64],
    *,
    threshold: float | None,
    numeric: Sequence[str],
    categorical: Sequence[str],
    classes: Sequence[str] = (),
    class_costs: ClassCosts | None = None,
    unmitigated: tuple[NDArray[np.float64], float] | None = None,
    interval: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> bytes:
    """The scored holdout as Parquet: f_ and g_ columns, event_time, score, decision, label.

    Of a regression (without threshold) decisions are null, and labels numbers; where its answers
    have an `interval`, its ends stand in `lower` and `upper`. Of several classes
    labels are texts, `answer` is the class that is answered, `score` its probability, and
    `probabilities` has those of all classes in the order of `classes`. Scores and threshold
    of the same training without its mitigation add unmitigated_score and unmitigated_decision.
    """
    columns: dict[str, Any] = {
        f"f_{n}": pa.array(rows.features[n], pa.float64(), from_pandas=True) for n in numeric
    }
    columns |= {
        f"f_{n}": pa.array(rows.features[n], pa.string(), from_pandas=True) for n in categorical
    }
    columns |= {f"g_{n}": pa.array(values, pa.string()) for n, values in rows.protected.items()}
    columns |= {
        "event_time": pa.nulls(len(scores), _INSTANT)
        if rows.times is None
        else pa.array(rows.times, pa.int64()).cast(_INSTANT),
        **_answers(scores, threshold, classes, class_costs),
        "label": pa.array(rows.labels),
    }
    if unmitigated is not None:
        before, at = unmitigated
        columns["unmitigated_score"] = pa.array(before, pa.float64())
        columns["unmitigated_decision"] = pa.array(before >= at, pa.bool_())
    if interval is not None:
        columns |= dict(zip(("lower", "upper"), interval, strict=True))
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def _answers(
    scores: NDArray[np.float64],
    threshold: float | None,
    classes: Sequence[str],
    costs: ClassCosts | None,
) -> dict[str, Any]:
    decisions = pa.nulls(len(scores), pa.bool_())
    if threshold is not None:
        decisions = pa.array(scores >= threshold, pa.bool_())
    if not classes:
        return {"score": pa.array(scores, pa.float64()), "decision": decisions}
    answers = answered_classes(scores, costs)
    return {
        "score": pa.array(scores[np.arange(len(scores)), answers], pa.float64()),
        "decision": decisions,
        "answer": pa.array(np.asarray(classes, dtype=object)[answers], pa.string()),
        "probabilities": pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(scores).reshape(-1), pa.float64()), len(classes)
        ),
    }


def read_unmitigated(path: Path | io.BytesIO) -> NDArray[np.float64]:
    """Scores of the holdout without the mitigation, from a reference file that has them."""
    scores: NDArray[np.float64] = pq.read_table(path, columns=["unmitigated_score"])[0].to_numpy()
    return scores


def read_scores(path: Path | io.BytesIO) -> tuple[NDArray[np.float64], Labels]:
    """Scores and labels of a reference file, labels as in `TrainingRows`.

    Of several classes the scores are the probabilities of each, shape (n, classes).
    """
    table = pq.read_table(path)
    return _stored_scores(table), _stored_labels(table)


def _stored_scores(table: pa.Table) -> NDArray[np.float64]:
    if "probabilities" not in table.column_names:
        return np.asarray(table["score"].to_numpy(), dtype=np.float64)
    column = table["probabilities"].combine_chunks()
    flat = column.flatten().to_numpy()
    return np.asarray(flat, dtype=np.float64).reshape(-1, column.type.list_size)


def _stored_labels(table: pa.Table) -> Labels:
    values: Labels = table["label"].to_numpy(zero_copy_only=False)
    return values.astype(np.str_) if values.dtype == object else values


@dataclass(frozen=True)
class ReferenceRows:
    """The scored holdout of a version, as another version can score it.

    Args:
        features: A frame as in `TrainingRows`, of the features that were asked for.
        scores: The version's own, shape (n,), or (n, classes).
        labels: Shape (n,).
        times: Microseconds since 1970, shape (n,).
        protected: Groups by attribute, of all attributes that are in the file.
        interval: Lower and upper ends, shape (n,) each; None where answers have no interval.
    """

    features: Any
    scores: NDArray[np.float64]
    labels: Labels
    times: NDArray[np.int64]
    protected: Mapping[str, NDArray[np.object_]]
    interval: tuple[NDArray[np.float64], NDArray[np.float64]] | None


def read_reference(path: Path, numeric: Sequence[str], categorical: Sequence[str]) -> ReferenceRows:
    """Features and scores of a reference file.

    Raises:
        KeyError: A feature is not in the file; the argument is its name.
    """
    names = pq.read_schema(path).names
    for name in (*numeric, *categorical):
        if f"f_{name}" not in names:
            raise KeyError(name)
    table = pq.read_table(path)
    columns: dict[str, Any] = {n: _numbers(table, f"f_{n}") for n in numeric}
    columns |= {n: _texts(table, f"f_{n}", None) for n in categorical}
    return ReferenceRows(
        features=pd.DataFrame(columns, range(table.num_rows)),
        scores=_stored_scores(table),
        labels=_stored_labels(table),
        times=table["event_time"].cast(pa.int64()).fill_null(0).to_numpy(),
        protected={n[2:]: _texts(table, n, "") for n in names if n.startswith("g_")},
        interval=(table["lower"].to_numpy(), table["upper"].to_numpy())
        if "lower" in names
        else None,
    )


def time_span(path: Path) -> tuple[int, int] | None:
    """First and last moment of a reference file, in microseconds since 1970; None without time."""
    found = pq.read_table(path, columns=["event_time"])["event_time"].cast(pa.int64())
    bounds = pc.min_max(found).as_py()
    return None if bounds["min"] is None else (int(bounds["min"]), int(bounds["max"]))


class _Misfit(ValueError):
    """What does not fit, in words."""


_MISFITS = (_Misfit, pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError)


@contextmanager
def _misfits(still_safe: str) -> Iterator[None]:
    """Says what does not fit as UnfitRows."""
    try:
        yield
    except _MISFITS as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise UnfitRows([RowFault(cause, "", _COMPARE)], still_safe=still_safe) from error


@contextmanager
def _reading(table: pa.Table, name: str, part: str) -> Iterator[None]:
    """Names the column that cannot be read as this part."""
    try:
        yield
    except (pa.ArrowException, TypeError, OverflowError) as error:
        said = f"{name} is {table[name].type} and cannot be read as {part}"
        raise _Misfit(f"{said} ({str(error).splitlines()[0]})") from error


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Float64, null as NaN. Raises _Misfit for a number that it would change."""
    column = table[name]
    with _reading(table, name, "a number"):
        values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    if pa.types.is_floating(column.type):
        return values
    _refuse(name, column, np.isnan(values) & ~_nulls(column), "no number")
    near = np.abs(values) >= EXACT
    given = column.filter(pa.array(near)).to_pylist()
    near[near] = [abs(Decimal(value)) > EXACT for value in given]
    _refuse(name, column, near, "a number beyond 2^53, which a float64 would change")
    return values


def _finite_numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    values = _numbers(table, name)
    _refuse(name, table[name], np.isinf(values), "an infinite number")
    return values


def _weights(table: pa.Table, name: str) -> NDArray[np.float64]:
    values = _finite_numbers(table, name)
    _refuse(name, table[name], ~(values >= 0), "no weight, which is a number from 0")
    return values


def _texts(table: pa.Table, name: str, null: str | None) -> NDArray[np.object_]:
    """Values as `spell` writes them; NaN is null. Raises _Misfit for a number that is not exact."""
    with _reading(table, name, "a category"):
        column = _plain(table[name])
        if _kind(column.type) in ("text", "null"):
            given = column.cast(pa.string())
            texts = np.empty(len(column), dtype=object)
            texts[:] = (given if null is None else pc.fill_null(given, null)).to_pylist()
            return texts
        if pa.types.is_floating(column.type):
            values = column.cast(pa.float64()).to_numpy()
            vague = np.isinf(values) | (np.abs(values) > EXACT)
            _refuse(name, column, vague, "a float beyond 2^53, which may mean several numbers")
        encoded = column.combine_chunks().dictionary_encode()
        written = [null if _is_nan(v) else spell(v) for v in _values(encoded.dictionary)]
        codes = encoded.indices.fill_null(len(written)).to_numpy()
        return np.array([*written, null], dtype=object)[codes]


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _plain(column: Any) -> Any:
    """The column without dictionary; moments in UTC."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return _instants(column) if pa.types.is_timestamp(column.type) else column


def _values(distinct: Any) -> list[Any]:
    """As Python values; a short float as the number that it is written as."""
    if distinct.type in (pa.float16(), pa.float32()):
        return [float(text) for text in distinct.cast(pa.string()).to_pylist()]
    values: list[Any] = distinct.to_pylist()
    return values


_KINDS = {
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "boolean": (pa.types.is_boolean,),
    "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "moment": (pa.types.is_timestamp,),
    "date": (pa.types.is_date,),
}


def _kind(of: pa.DataType) -> str:
    """What the values are, whatever their width; the type's own name for rare ones."""
    plain = of.value_type if pa.types.is_dictionary(of) else of
    return next((k for k, tests in _KINDS.items() if any(t(plain) for t in tests)), str(plain))


def _moments(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Microseconds since 1970."""
    _refuse(name, table[name], _nulls(table[name]), "null, and each row needs its time")
    with _reading(table, name, "a time"):
        moments: NDArray[np.int64] = _instants(table[name]).cast(pa.int64()).to_numpy()
    return moments


def _instants(column: Any) -> Any:
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        column = pc.assume_timezone(column, "UTC")
    return column.cast(_INSTANT, safe=False)


def _nulls(column: Any) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = column.is_null().to_numpy()
    return nulls


def _refuse(name: str, column: Any, wrong: NDArray[np.bool_], what: str) -> None:
    """Raises _Misfit that names the column, the first such value and how many rows have one."""
    if wrong.any():
        first = column[int(np.argmax(wrong))].as_py()
        shown = "" if first is None else f" ({str(first)[:_WIDTH]!r} is the first)"
        raise _Misfit(f"{name} is {what} in {int(wrong.sum()):,} of {len(wrong):,} rows{shown}")
