"""Every number of the verdict sentence, recomputed from the stored decisions by other code."""

import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tenure.errors import CanaryRolledBack
from tenure.lifecycle.promotion.canary import CanaryAction
from tenure.usecases.promotion import canary

pytestmark = pytest.mark.service
SENTENCE = re.compile(
    r"challenger (?P<events>[\d,]+) wrong of (?P<subjects>[\d,]+), "
    r"champion (?P<champion_events>[\d,]+) of (?P<champion_subjects>[\d,]+): "
    r"relative risk (?P<ratio>[\d.]+), E = (?P<e>[\d.,]+) ≥ (?P<limit>[\d,]+): "
    r"rolled back at (?P<share>[\d.]+)% after (?P<analyses>\d+) analyses"
)


@dataclass
class Recounted:
    """Of one arm at one share."""

    subjects: int = 0
    events: int = 0


def stored(life: Any, kind: str) -> Iterator[dict[str, Any]]:
    for key in sorted(life.platform.store.list(f"{kind}/model=flight_late/")):
        yield from pq.read_table(io.BytesIO(life.platform.store.get(key))).to_pylist()


def recounted(life: Any) -> dict[tuple[int, str], Recounted]:
    """One pass over rows in plain Python: no SQL, no ibis, nothing of the judge's."""
    with life.platform.database.begin() as c:
        query = "SELECT min(generation) FROM traffic_plan WHERE canary_id IS NOT NULL"
        first = c.exec_driver_sql(query).scalar_one()
        watermark = c.exec_driver_sql("SELECT watermark FROM model").scalar_one()
    path = life.platform.settings.include / "configs/models/flight_late.yaml"
    horizon = timedelta(hours=yaml.safe_load(path.read_text())["label"]["horizon_hours"])
    labels: dict[str, tuple[datetime, bool]] = {}
    for one in stored(life, "outcomes"):
        known = labels.get(one["decision_id"])
        if known is None or one["received_at"] > known[0]:
            labels[one["decision_id"]] = (one["received_at"], one["label"])
    seen: set[str] = set()
    wrong: set[str] = set()
    of_cell: dict[tuple[int, str], set[str]] = {}
    cells: dict[tuple[int, str], Recounted] = {}
    for one in sorted(stored(life, "decisions"), key=lambda row: row["received_at"]):
        outside = one["generation"] < first or not 0 < one["share_bp"] < 10_000
        label = labels.get(one["decision_id"])
        young = one["event_time"] > watermark - horizon
        if outside or one["decision_id"] in seen or label is None or young:
            continue
        seen.add(one["decision_id"])
        key = (one["share_bp"], one["arm_assigned"])
        cell = cells.setdefault(key, Recounted())
        of_cell.setdefault(key, set()).add(one["subject"])
        cell.subjects = len(of_cell[key])
        if one["decision"] != label[1] and one["subject"] not in wrong:
            wrong.add(one["subject"])
            cell.events += 1
    return cells


def e_of(cells: dict[tuple[int, str], Recounted]) -> float:
    """Against equal rates, by the formula of docs/statistics.md, factor by factor."""
    total = 0.0
    for step in range(24):
        ratio = 1.15 * (8.0 / 1.15) ** (step / 23)
        product = 1.0
        for share_bp in {share for share, _ in cells}:
            share = share_bp / 10_000
            mine = share * ratio / (share * ratio + 1 - share)
            for _ in range(cells[share_bp, "canary"].events):
                product *= mine / share
            for _ in range(cells[share_bp, "champion"].events):
                product *= (1 - mine) / (1 - share)
        total += product
    return total / 24


def ship_what_does_not_count(life: Any, generation: int) -> None:
    """A second copy, a subject's second error, a pinned one, an older plan, a young event."""
    now = datetime.now(tz=UTC)
    row = next(one for one in stored(life, "decisions") if one["arm_assigned"] == "canary")
    assert row["decision"] is True  # wrong: all labels are no
    more = [
        row | {"received_at": now},
        row | {"decision_id": "again", "received_at": now},
        row | {"decision_id": "pinned", "subject": "pinned", "share_bp": 0},
        row | {"decision_id": "older", "subject": "older", "generation": generation - 1},
        row | {"decision_id": "young", "subject": "young", "event_time": now},
    ]
    right = next(
        one
        for one in stored(life, "decisions")
        if one["arm_assigned"] == "canary" and not one["decision"]
    )
    labels = [
        {"outcome_id": f"o-{name}", "decision_id": name, "label": False, "received_at": now}
        for name in ("again", "pinned", "older", "young")
    ]
    for minutes, label in ((1, True), (2, False)):  # corrected, and corrected back
        labels.append(
            {
                "outcome_id": f"o-{minutes}",
                "decision_id": right["decision_id"],
                "label": label,
                "received_at": now + timedelta(minutes=minutes),
            }
        )
    life._ship("decisions", more, now, next(life.numbers))
    life._ship("outcomes", [one | {"request_id": None} for one in labels], now, next(life.numbers))


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_every_number_of_the_sentence_follows_from_the_stored_decisions(
    world: Callable[..., Any],
) -> None:
    life = world()
    life.champion()
    challenger = life.approved()
    probation = canary.enter(life.platform, challenger, life.run()).probation
    assert probation is not None
    generation = life.plan().generation
    life.traffic(share_bp=500, canary=(2, 90), champion=(20, 1_710), generation=generation)
    assert probation.analyse().action is CanaryAction.WAIT
    life.traffic(share_bp=500, canary=(12, 220), champion=(75, 4_180), generation=generation)
    ship_what_does_not_count(life, generation)
    assert probation.analyse().action is CanaryAction.ROLL_BACK
    with life.platform.database.begin() as c:
        query = "SELECT facts FROM canary_analysis ORDER BY number DESC LIMIT 1"
        facts = c.exec_driver_sql(query).scalar_one()
        report = c.exec_driver_sql("SELECT body FROM report WHERE stage = 'canary'").scalar_one()
        query = "SELECT body FROM ledger_event WHERE dst = 'rolled_back'"
        event = c.exec_driver_sql(query).scalar_one()
    sentence = facts["sentence"]
    assert sentence == (
        "challenger 14 wrong of 310, champion 95 of 5,890: relative risk 2.8, E = 54 ≥ 40: "
        "rolled back at 5% after 2 analyses"
    )
    assert (report["summary"], event["reason"]) == (sentence, sentence)
    with pytest.raises(CanaryRolledBack, match=re.escape(sentence)):
        canary.enter(life.platform, challenger, life.run())

    found = SENTENCE.fullmatch(sentence)
    assert found is not None
    cells = recounted(life)
    mine, champion = cells[500, "canary"], cells[500, "champion"]
    assert set(cells) == {(500, "canary"), (500, "champion")}
    assert number(found["events"]) == mine.events
    assert number(found["subjects"]) == mine.subjects
    assert number(found["champion_events"]) == champion.events
    assert number(found["champion_subjects"]) == champion.subjects
    ratio = (mine.events / mine.subjects) / (champion.events / champion.subjects)
    assert math.isclose(number(found["ratio"]), ratio, abs_tol=0.05)
    assert math.isclose(number(found["e"]), e_of(cells), rel_tol=0.005)
    path = life.platform.settings.include / "configs/models/flight_late.yaml"
    assert (
        number(found["limit"]) == len(yaml.safe_load(path.read_text())["canary"]["metrics"]) / 0.05
    )
    assert number(found["share"]) == max(share for share, _ in cells) / 100
    assert int(found["analyses"]) == 2
    # What was left out is said, and closes with what was read.
    told = facts["decisions"]
    assert told["read"] == sum(1 for _ in stored(life, "decisions")) == 6_205
    left = {name: told[name] for name in ("copies", "without_share", "of_earlier_plans")}
    assert left == {"copies": 1, "without_share": 1, "of_earlier_plans": 1}
    assert told["counted"] + sum(left.values()) == told["read"]
    assert (told["with_final_label"], told["without_final_label"]) == (6_201, 1)
