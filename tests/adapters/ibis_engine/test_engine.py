"""The engine against the same numbers computed by pandas, one row after the other."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.ibis_engine import IbisEngine
from tenure.ports import DecisionFilter, Span, Tally

START = datetime(2013, 6, 1, tzinfo=UTC)
EDGES = {"f_temp": [10.0, 20.0, 30.0, 40.0], "f_rain": [0.0, 0.0]}


@dataclass(frozen=True)
class World:
    """Files and the same rows as frames."""

    reference_path: Path
    decision_paths: tuple[Path, ...]
    outcome_paths: tuple[Path, ...]
    reference: pd.DataFrame
    decisions: pd.DataFrame
    outcomes: pd.DataFrame


@pytest.fixture(scope="module")
def engine() -> IbisEngine:
    return IbisEngine(threads=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("rows")
    reference, decisions = features(rng, 700, shift=0.0), decision_rows(rng, 1000)
    outcomes = outcome_rows(rng, decisions)
    lake = folder / "decisions" / "model=m" / "date=2013-06-01"
    return World(
        write(folder / "reference.parquet", reference),
        (
            write(lake / "hour=00" / "g-1.parquet", decisions[:600]),
            write(lake / "hour=01" / "g-1.parquet", decisions[600:]),
        ),
        (write(folder / "outcomes.parquet", outcomes),),
        reference,
        decisions,
        outcomes,
    )


def features(rng: np.random.Generator, n: int, shift: float) -> pd.DataFrame:
    temp = rng.normal(25 + shift, 10, n)
    temp[:5] = np.nan
    temp[5:9] = [10.0, 20.0, 40.0, 40.000001]
    carrier = rng.choice(["AA", "UA"], n).astype(object)
    carrier[:7] = None
    return pd.DataFrame({"f_temp": temp, "f_rain": (temp > 30) * 0.5, "f_carrier": carrier})


def decision_rows(rng: np.random.Generator, n: int) -> pd.DataFrame:
    frame = features(rng, n, shift=4.0)
    frame.loc[20:24, "f_carrier"] = "unseen <b>"
    frame["decision_id"] = [f"d{i}" for i in range(n)]
    frame["request_id"] = [f"r{i // 2}" for i in range(n)]  # two rows a request
    frame["model"] = "m"
    frame["version_id"] = np.where(np.arange(n) % 10 == 0, 2, 1)
    frame["event_time"] = [START + timedelta(minutes=i) for i in range(n)]
    frame["score"] = rng.uniform(0, 1, n)
    frame.loc[:2, "score"] = [0.0, 1.0, 0.5]
    frame["decision"] = frame["score"] >= 0.5
    frame["fallback_level"] = np.where(np.arange(n) % 7 == 3, "rule", "model")
    return frame


def outcome_rows(rng: np.random.Generator, decisions: pd.DataFrame) -> pd.DataFrame:
    rows = [
        outcome(f"o{i}", decision, None, bool(rng.integers(2)), minute=i)
        for i, decision in enumerate(decisions["decision_id"][:800])
    ]
    rows += [
        outcome(f"p{i}", f"d{i}", None, label=True, minute=5000) for i in range(100)
    ]  # revised
    rows += [outcome("q1", "d7", None, label=False, minute=5000)]  # equal time: the greater id
    rows += [outcome("s1", None, "r450", label=True, minute=9000)]  # a whole request
    rows += [
        outcome("s2", "nobody", None, label=True, minute=1),
        outcome("s3", None, "r-none", True, 1),
    ]
    return pd.DataFrame(rows)


def outcome(
    outcome_id: str, decision: str | None, request: str | None, label: bool, minute: int
) -> dict[str, object]:
    return {
        "outcome_id": outcome_id,
        "decision_id": decision,
        "request_id": request,
        "label": label,
        "received_at": START + timedelta(minutes=minute),
    }


def write(path: Path, frame: pd.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    fields = [
        pa.field(f.name, pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(f.type) else f.type)
        for f in table.schema
    ]
    pq.write_table(table.cast(pa.schema(fields)), path)
    return path


def window(world: World, **bounds: datetime) -> DecisionFilter:
    return DecisionFilter(world.decision_paths, 1, **bounds)


def taken(frame: pd.DataFrame, after: datetime, until: datetime) -> pd.DataFrame:
    inside = (frame.event_time > after) & (frame.event_time <= until)
    return frame[inside & (frame.version_id == 1)]


def bins(values: pd.Series, edges: list[float]) -> tuple[int, ...]:
    """Below, (a, b] …, above; the lowest edge belongs to the first inner bin."""
    known = values.dropna()
    inner = [
        int((((known > a) | (known == edges[0]) & (a == edges[0])) & (known <= b)).sum())
        for a, b in itertools.pairwise(edges)
    ]
    return (int((known < edges[0]).sum()), *inner, int((known > edges[-1]).sum()))


def test_span_is_half_open(engine: IbisEngine, world: World) -> None:
    after, until = START + timedelta(minutes=1), START + timedelta(minutes=11)
    found = engine.tally(window(world, after=after, until=until)).due
    assert (found.rows, found.first, found.last) == (9, START + timedelta(minutes=2), until)
    nothing = engine.tally(DecisionFilter(world.decision_paths, 99))
    assert nothing == Tally(0, 0, Span(0), Span(0))


def test_feature_counts_equal_pandas(engine: IbisEngine, world: World) -> None:
    after, until = START + timedelta(minutes=3), START + timedelta(minutes=900)
    sides = engine.features(
        [world.reference_path],
        window(world, after=after, until=until),
        edges=EDGES,
        categorical=["f_carrier"],
    )
    for frame, counts in zip(
        (world.reference, taken(world.decisions, after, until)), sides, strict=True
    ):
        assert counts.rows == len(frame)
        for name, edges in EDGES.items():
            assert counts.bins[name] == bins(frame[name], edges), name
            assert counts.nulls[name] == int(frame[name].isna().sum())
        assert counts.categories["f_carrier"] == frame["f_carrier"].value_counts().to_dict()
        assert counts.nulls["f_carrier"] == int(frame["f_carrier"].isna().sum())


def test_of_dates_only_nulls_are_counted(engine: IbisEngine, world: World) -> None:
    """The texts of a column stand in for dates: which they are does not matter."""
    _, current = engine.features(
        [world.reference_path], window(world), edges={}, categorical=[], dates=["f_carrier"]
    )
    nulls = current.nulls["f_carrier"]
    assert 0 < nulls < current.rows
    assert current.categories["f_carrier"] == {"a date": current.rows - nulls}


def test_a_column_that_no_file_has_is_all_null(engine: IbisEngine, world: World) -> None:
    _, current = engine.features(
        [world.reference_path], window(world), edges={"f_new": [0.0, 1.0]}, categorical=["f_other"]
    )
    assert current.nulls == {"f_new": current.rows, "f_other": current.rows}
    assert current.bins["f_new"] == (0, 0, 0)


def test_scores_of_rules_are_not_the_models(engine: IbisEngine, world: World) -> None:
    _, current = engine.features(
        [world.reference_path], window(world), edges={"score": [0.0, 1.0]}, categorical=[]
    )
    rows = world.decisions[world.decisions.version_id == 1]
    assert current.nulls["score"] == int((rows.fallback_level == "rule").sum())


def test_quantiles_are_exact(engine: IbisEngine, world: World) -> None:
    shares = [0.0, 0.1, 0.5, 1.0]
    found = engine.quantiles([world.reference_path], ["f_temp", "f_absent"], shares)
    assert found["f_temp"] == pytest.approx(world.reference["f_temp"].quantile(shares).tolist())
    assert found["f_absent"] == []


def test_outcomes_equal_pandas(engine: IbisEngine, world: World) -> None:
    after, until = START, START + timedelta(minutes=950)
    counts = engine.outcomes(
        window(world, after=after, until=until),
        world.outcome_paths,
        attributes=["f_carrier"],
        bins=10,
    )
    rows = labelled_by_hand(taken(world.decisions, after, until), world.outcomes)
    answered = rows[rows.fallback_level == "model"]
    known = answered[answered.label.notna()].assign(label=lambda f: f.label.astype(bool))
    assert (counts.decisions, counts.answered, counts.labelled) == (
        len(rows),
        len(answered),
        len(known),
    )
    for (carrier,), cell in counts.cells.items():
        group = known[known.f_carrier.isna() if carrier is None else known.f_carrier == carrier]
        d, y = group.decision, group.label
        assert cell == ((d & y).sum(), (d & ~y).sum(), (~d & y).sum(), (~d & ~y).sum()), carrier
    assert sum(sum(c) for c in counts.cells.values()) == len(known)
    errors = (known.score - known.label) ** 2
    assert sum(b.squared_error for b in counts.score_bins) == pytest.approx(errors.sum())
    assert sum(b.squared_error_2 for b in counts.score_bins) == pytest.approx((errors**2).sum())
    assert sum(b.positives for b in counts.score_bins) == known.label.sum()
    place = np.minimum((known.score * 10).astype(int), 9)
    assert {b.number: b.rows for b in counts.score_bins} == place.value_counts().to_dict()


def test_no_outcome_at_all(engine: IbisEngine, world: World) -> None:
    counts = engine.outcomes(window(world), [], attributes=[], bins=10)
    assert counts.labelled == 0
    assert counts.cells == {}
    assert counts.score_bins == []
    assert counts.decisions == int((world.decisions.version_id == 1).sum())


def labelled_by_hand(decisions: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    newest: dict[str, tuple[datetime, str, bool]] = {}
    for row in outcomes.itertuples():
        mine = decisions[
            (decisions.decision_id == row.decision_id)
            | ((row.decision_id is None) & (decisions.request_id == row.request_id))
        ]
        for decision in mine.decision_id:
            candidate = (row.received_at, row.outcome_id, row.label)
            newest[decision] = max(newest.get(decision, candidate), candidate)
    return decisions.assign(
        label=[newest[d][2] if d in newest else None for d in decisions.decision_id]
    )


def test_a_replay_gives_the_same_to_the_last_bit(world: World) -> None:
    """Threads add in any order; reports are named by their digest."""
    found = [
        IbisEngine(threads=4).outcomes(
            window(world), world.outcome_paths, attributes=["f_carrier"], bins=3
        )
        for _ in range(3)
    ]
    assert found[0] == found[1] == found[2]
