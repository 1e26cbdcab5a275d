"""Rows of snapshots as frames for the trainer, and the scored holdout as a reference file."""

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
) -> TrainingRows:
    """Read only the named columns of the files, one after the other.

    Raises:
        ConfigInvalid: A column is absent or has a type that its part cannot take.
    """
    names = list(dict.fromkeys([*numeric, *categorical, label, time, *protected]))
    try:
        table = pa.concat_tables([pq.read_table(path, columns=names) for path in paths])
        table = table.select(names)
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
        raise ConfigInvalid(
            f"The snapshots do not fit the model's columns: {str(error).splitlines()[0]}",
            still_safe="No version was made; whatever serves now keeps serving.",
            next_step="Compare features, label and bias.attributes in the model's YAML with the "
            "contract of its dataset; run `tenure check`.",
        ) from error


def pick(rows: TrainingRows, index: NDArray[np.intp]) -> TrainingRows:
    """The rows with these numbers, in their order."""
    return TrainingRows(
        features=rows.features.iloc[index].reset_index(drop=True),
        labels=rows.labels[index],
        times=rows.times[index],
        protected={name: values[index] for name, values in rows.protected.items()},
        unlabelled=0,
    )


def seen(rows: TrainingRows, numeric: Sequence[str], categorical: Sequence[str]) -> dict[str, Any]:
    """`categories` and `ranges` of the rows: values seen (sorted), and [min, max]."""
    ranges = {}
    for name in numeric:
        column = rows.features[name].dropna()
        if len(column):
            ranges[name] = [float(column.min()), float(column.max())]
    categories = {name: sorted(rows.features[name].dropna().unique()) for name in categorical}
    return {"categories": categories, "ranges": ranges}


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
