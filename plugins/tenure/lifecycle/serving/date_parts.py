"""What a model reads of a date: its parts, made inside the pipeline, so the same everywhere.

A moment is counted in UTC; one without a zone is taken for UTC. What is missing, and what is no
moment of the years 1 to 9999, is NaN in every part.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.serving.spelling import respell_moment

PARTS = ("year", "month", "day", "weekday", "hour", "days")
"""In the order of the columns; `weekday` is 0 on Mondays, `days` are those since 1970-01-01, with
their fraction."""
_DAY_MICROSECONDS = 86_400_000_000
_HOUR_MICROSECONDS = 3_600_000_000
_NO_MOMENT = np.datetime64("NaT", "us")


def date_parts(texts: Any) -> NDArray[np.float64]:
    """The parts of each text, those of a column side by side.

    Args:
        texts: Shape (n, columns), a frame or an array; None and NaN are missing.

    Returns:
        Shape (n, 6 * columns).

    >>> date_parts([["2024-02-29T18:00:00Z"], [None]]).tolist()[0]
    [2024.0, 2.0, 29.0, 3.0, 18.0, 19782.75]
    """
    columns = np.asarray(texts, dtype=object).T
    return np.concatenate([_parts(moments(column)) for column in columns], axis=1)


def moments(texts: NDArray[np.object_]) -> NDArray[np.datetime64]:
    """Each text as microseconds since 1970, NaT where it is none; shape (n,).

    What is spelled as the platform spells it is read all at once.
    """
    written, place = np.unique([_text(value) for value in texts], return_inverse=True)
    return np.array([_moment(text) for text in written], dtype="datetime64[us]")[place]


def day_numbers(texts: NDArray[np.object_]) -> NDArray[np.float64]:
    """Days since 1970-01-01 of each date, NaN where there is none; shape (n,)."""
    return date_parts(texts.reshape(-1, 1))[:, PARTS.index("days")]


def with_day_numbers(frame: Any, dates: Iterable[str]) -> Any:
    """The frame, with its dates as numbers of days: what only compares values reads them so."""
    return frame.assign(**{n: day_numbers(frame[n].to_numpy(dtype=object)) for n in dates})


def years(texts: NDArray[np.object_]) -> NDArray[np.object_]:
    """The year of each date as a text, empty where there is none; shape (n,)."""
    found = date_parts(texts.reshape(-1, 1))[:, 0]
    return np.array(["" if np.isnan(year) else f"{year:.0f}" for year in found], dtype=object)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _moment(text: str) -> np.datetime64:
    spelled = respell_moment(text)
    return _NO_MOMENT if spelled is None else np.datetime64(spelled.removesuffix("Z"), "us")


def _parts(found: NDArray[np.datetime64]) -> NDArray[np.float64]:
    days = found.astype("datetime64[D]")
    months = found.astype("datetime64[M]")
    since = found.astype(np.int64)
    parts = np.column_stack(
        [
            found.astype("datetime64[Y]").astype(np.int64) + 1970.0,
            months.astype(np.int64) % 12 + 1.0,
            (days - months.astype("datetime64[D]")).astype(np.int64) + 1.0,
            (days.astype(np.int64) + 3) % 7.0,  # 1970-01-01 was a Thursday
            since % _DAY_MICROSECONDS // _HOUR_MICROSECONDS * 1.0,
            since / _DAY_MICROSECONDS,
        ]
    )
    parts[np.isnat(found)] = np.nan
    return parts
