"""Rows of snapshots as frames for an estimator, and the scored holdout as a reference file."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tenure.errors import ConfigInvalid

_INSTANT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class TrainingRows:
    """Labelled rows, in the order of the files.

    Args:
        features: A frame with numeric (float64) then categorical (text or None) columns.
        labels: Shape (n,).
        times: Microseconds since 1970, shape (n,).
        protected: Values of the protected attributes as texts; null is the empty text.
        unlabelled: Rows that were left out because they have no label.
    """

    features: Any
    labels: NDArray[np.bool_]
    times: NDArray[np.int64]
    protected: Mapping[str, NDArray[np.object_]]
    unlabelled: int


def read_rows(
    paths: Sequence[Path],
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    label: str,
    time: str,
    protected: Sequence[str],
    names: Mapping[str, Sequence[str]] | None = None,
) -> TrainingRows:
    """Read only the named columns of the files, one after the other.

    Args:
        paths: The files.
        numeric: Features that are numbers.
        categorical: Features that are texts.
        label: What is predicted.
        time: When it happened.
        protected: Groups.
        names: Names that a column may have in a file, the first that is there counts.

    Raises:
        ConfigInvalid: A column is absent or has a type that its part cannot take.
    """
    wanted = list(dict.fromkeys([*numeric, *categorical, label, time, *protected]))
    try:
        parts = [_read_columns(path, wanted, names or {}) for path in paths]
        table = pa.concat_tables(parts, promote_options="permissive")
        labelled = table.filter(pc.is_valid(table[label]))
        columns: dict[str, Any] = {n: _numbers(labelled[n]) for n in numeric}
        columns |= {name: _texts(labelled[name], None) for name in categorical}
        return TrainingRows(
            features=pd.DataFrame(columns, columns=[*numeric, *categorical]),
            labels=labelled[label].cast(pa.bool_()).to_numpy(zero_copy_only=False),
            times=_instants(labelled[time]).cast(pa.int64()).to_numpy(),
            protected={name: _texts(labelled[name], "") for name in protected},
            unlabelled=table.num_rows - labelled.num_rows,
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        raise _misfit(error, "No version was made; whatever serves now keeps serving.") from error


def _read_columns(
    path: Path, wanted: Sequence[str], names: Mapping[str, Sequence[str]]
) -> pa.Table:
    """The columns under the names that the model has for them, in its order."""
    stored = _stored(pq.read_schema(path).names, wanted, names)
    table = pq.read_table(path, columns=list(dict.fromkeys(stored)))
    return pa.table([table.column(name) for name in stored], names=list(wanted))


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
        subjects: Who each row is about, as text; null is the empty text.
        times: Microseconds since 1970, shape (n,); None without a time column.
        keys: The columns that a row is found again by.
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
    subject: str,
    time: str | None,
    keys: Sequence[str],
    names: Mapping[str, Sequence[str]] | None = None,
) -> ShardRows:
    """Read rows `start` up to `stop` of a file: only the row groups that hold them.

    `names` are the names that a column may have in the file; the first that is there counts.

    Raises:
        ConfigInvalid: A column is absent or has a type that its part cannot take.
    """
    wanted = dict.fromkeys([*numeric, *categorical, subject, *keys, *([time] if time else [])])
    try:
        file = pq.ParquetFile(path)
        stored = _stored(file.schema_arrow.names, list(wanted), names or {})
        table = _slice(file, start, stop, list(dict.fromkeys(stored)))
        table = pa.table([table.column(name) for name in stored], names=list(wanted))
        columns: dict[str, Any] = {n: _numbers(table[n]) for n in numeric}
        columns |= {name: _texts(table[name], None) for name in categorical}
        return ShardRows(
            features=pd.DataFrame(columns, columns=[*numeric, *categorical]),
            subjects=list(_texts(table[subject], "")),
            times=_instants(table[time]).cast(pa.int64()).to_numpy() if time else None,
            keys=table.select(list(dict.fromkeys(keys))),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, KeyError) as error:
        raise _misfit(error, "Nothing of this shard was stored; other shards stand.") from error


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
        times=rows.times[index],
        protected={name: values[index] for name, values in rows.protected.items()},
        unlabelled=0,
    )


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
    threshold: float,
    numeric: Sequence[str],
    categorical: Sequence[str],
) -> bytes:
    """The scored holdout as Parquet: f_ and g_ columns, event_time, score, decision, label."""
    columns: dict[str, Any] = {
        f"f_{n}": pa.array(rows.features[n], pa.float64(), from_pandas=True) for n in numeric
    }
    columns |= {
        f"f_{n}": pa.array(rows.features[n], pa.string(), from_pandas=True) for n in categorical
    }
    columns |= {f"g_{n}": pa.array(values, pa.string()) for n, values in rows.protected.items()}
    columns |= {
        "event_time": pa.array(rows.times, pa.int64()).cast(_INSTANT),
        "score": pa.array(scores, pa.float64()),
        "decision": pa.array(scores >= threshold, pa.bool_()),
        "label": pa.array(rows.labels, pa.bool_()),
    }
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="zstd")
    return sink.getvalue()


def read_scores(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores and labels of a reference file."""
    table = pq.read_table(path, columns=["score", "label"])
    return table["score"].to_numpy(), table["label"].to_numpy(zero_copy_only=False)


def _numbers(column: Any) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _texts(column: Any, null: str | None) -> NDArray[np.object_]:
    values = column.cast(pa.string())
    if null is not None:
        values = pc.fill_null(values, null)
    texts = np.empty(len(values), dtype=object)
    texts[:] = values.to_pylist()
    return texts


def _instants(column: Any) -> Any:
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        column = pc.assume_timezone(column, "UTC")
    return column.cast(_INSTANT, safe=False)


def _misfit(error: Exception, still_safe: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"The snapshots do not fit the model's columns: {str(error).splitlines()[0]}",
        still_safe=still_safe,
        next_step="Compare features, label and bias.attributes in the model's YAML with the "
        "contract of its dataset; run `tenure check`.",
    )
