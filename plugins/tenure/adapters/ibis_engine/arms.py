"""Events of the champion and the canary at each share, in one scan of decisions and outcomes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis

from tenure.adapters.ibis_engine.drift import text
from tenure.adapters.ibis_engine.errors import summed
from tenure.adapters.ibis_engine.outcomes import labelled
from tenure.lifecycle.promotion.canary import ArmDecisions
from tenure.lifecycle.promotion.canary_groups import EVENT as GROUP_EVENT
from tenure.lifecycle.promotion.canary_groups import GroupCounts, GroupsCounted
from tenure.lifecycle.promotion.event_rates import ShareCounts
from tenure.lifecycle.promotion.means import ArmLoss, ShareLosses
from tenure.lifecycle.task import Task
from tenure.lifecycle.training.bias.cells import band
from tenure.ports import NO_ERRORS, ErrorSums
from tenure.vocabulary import BASIS_POINTS

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine

_ARMS = ("champion", "canary")
_KEPT = "kept"
_KEY, _MISSING = "group_", ""
_SEALED = "sealed"


@dataclass(frozen=True)
class CanaryWindow:
    """Which decisions and outcomes of a canary count.

    Args:
        first_generation: Traffic plan with which the canary began; older decisions do not count.
        horizon_hours: After an event, how long until its label is final.
        watermark: Outcomes are complete up to here; None means that no label is mature.
        ended: Generations in which the authorization of an arm ended, with the moment: from then on
            that arm answered nothing, so decisions of both say nothing about either.
    """

    first_generation: int
    horizon_hours: float
    watermark: datetime | None
    ended: tuple[tuple[int, datetime], ...] = ()
    task: Task = "binary"
    """What the outcomes are; those of a regression are no events but `arm_losses`."""
    attributes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Protected attributes whose groups are counted, each with the edges of its bands."""

    @property
    def final(self) -> datetime | None:
        """Labels of events up to here do not change any more; None: of no event."""
        if self.watermark is None:
            return None
        return self.watermark - timedelta(hours=self.horizon_hours)


def arm_counts(
    engine: "IbisEngine",
    decisions: Sequence[Path],
    outcomes: Sequence[Path],
    window: CanaryWindow,
) -> tuple[list[ShareCounts], GroupsCounted]:
    """Subjects and first events for each kind of event and share in which both arms had traffic.

    A decision belongs to the arm that was *assigned*, so a fallback counts for the arm that failed.
    Of each kind only a subject's first event counts, at the share and arm where it happened; a row
    that was shipped twice counts once. Labels are the newest outcome of mature decisions only.

    The groups come from the same scan. A subject is of the group of its first decision, so those of
    an attribute are parts of the whole.
    """
    if not decisions:
        return [], GroupsCounted()
    asked = engine.read(decisions)
    seen, unseen = _visible(asked, window)
    keys = {f"{_KEY}{place}": f"f_{name}" for place, name in enumerate(seen)}
    rows = _grouped(_in_canary(asked, window, keys), [*keys])
    long = _errors(rows)
    if outcomes and window.final is not None and window.task != "regression":
        said = "answer" if window.task == "multiclass" else "decision"
        known = engine.read(outcomes)
        long = ibis.union(long, _wrong_labels(rows, known, asked, window.final, said=said))
    found = _count(long).to_pyarrow().to_pylist()
    return _shares(found), GroupsCounted(tuple(_groups(found, seen, window)), unseen)


def _shares(cells: Sequence[Mapping[str, Any]]) -> list[ShareCounts]:
    """One row for each kind of event and share; a subject is in one cell of each arm there."""
    sums: dict[tuple[Any, int], list[int]] = {}
    for row in cells:
        place = 2 * (row["arm"] == "champion")
        found = sums.setdefault((row["event"], int(row["share_bp"])), [0, 0, 0, 0])
        found[place] += int(row["subjects"])
        found[place + 1] += int(row["events"])
    return [ShareCounts(event, share, *sums[event, share]) for event, share in sorted(sums)]


def _groups(
    cells: Sequence[Mapping[str, Any]], seen: Sequence[str], window: CanaryWindow
) -> Iterator[GroupCounts]:
    for place, attribute in enumerate(seen):
        of_group: dict[str | None, list[Mapping[str, Any]]] = {}
        for row in cells:
            coded = row[f"{_KEY}{place}"]
            value = None if coded == _MISSING else str(coded)[1:]
            edges = window.attributes[attribute]
            named = band(attribute, value, edges) if edges else value
            of_group.setdefault(named, []).append(row)
        for value in sorted(of_group, key=lambda one: (one is None, one or "")):
            shares = _shares(of_group[value])
            yield GroupCounts(
                attribute,
                value,
                first_at=min(row["first_at"] for row in of_group[value]),
                shares=tuple(one for one in shares if one.event == GROUP_EVENT),
                asked=tuple(
                    (one.share_bp, one.canary_subjects, one.champion_subjects)
                    for one in shares
                    if one.event == "error"
                ),
            )


def _visible(asked: Any, window: CanaryWindow) -> tuple[list[str], dict[str, str]]:
    """Attributes whose values the log holds in clear; and the others, each with the reason."""
    unseen = {}
    for name, edges in window.attributes.items():
        if window.task == "regression":
            unseen[name] = "groups are compared by wrong labels, and a regression has none"
        elif _SEALED in asked.columns:
            unseen[name] = "features are sealed in the decision log, and no analysis opens them"
        elif f"f_{name}" not in asked.columns:
            unseen[name] = "it is no feature, so the decision log does not hold it"
        elif asked[f"f_{name}"].type().is_floating() and not edges:
            unseen[name] = "it is a number, and `bias.edges` has no bands of it"
    return [name for name in window.attributes if name not in unseen], unseen


def _grouped(rows: Any, keys: Sequence[str]) -> Any:
    """With the keys of each subject's first decision on all of its decisions."""
    order = ibis.window(
        group_by="subject",
        order_by=["received_at", "decision_id"],
        preceding=None,
        following=None,
    )
    return rows.mutate(**{key: rows[key].first().over(order) for key in keys}) if keys else rows


def arm_decisions(
    engine: "IbisEngine",
    decisions: Sequence[Path],
    outcomes: Sequence[Path],
    window: CanaryWindow,
) -> ArmDecisions:
    """Where each decision of the files is; what a canary does not count is told apart by cause."""
    if not decisions:
        return ArmDecisions()
    asked = engine.read(decisions)
    cause = ibis.cases(
        (asked.generation < window.first_generation, "of_earlier_plans"),
        (_after_an_end(asked, window), "after_an_end"),
        ((asked.share_bp <= 0) | (asked.share_bp >= BASIS_POINTS), "without_share"),
        (~asked.arm_assigned.isin(_ARMS), "of_no_arm"),
        else_=_KEPT,
    )
    by_cause = asked.group_by(cause=cause).aggregate(rows=asked.count()).to_pyarrow().to_pylist()
    parts = {row["cause"]: int(row["rows"]) for row in by_cause}
    read, kept = sum(parts.values()), parts.pop(_KEPT, 0)
    rows = _in_canary(asked, window)
    another = (rows.fallback_level != "model").cast("int64")
    sums = rows.aggregate(rows=rows.count(), another=another.sum()).to_pyarrow().to_pylist()[0]
    counted, labelled = int(sums["rows"]), 0
    if outcomes and window.final is not None:
        mature = _mature(rows, engine.read(outcomes), asked, window.final)
        labelled = int(mature.count().to_pyarrow().as_py())
    return ArmDecisions(
        read=read,
        counted=counted,
        copies=kept - counted,
        with_final_label=labelled,
        without_final_label=counted - labelled,
        answered_by_another=int(sums["another"] or 0),
        **parts,
    )


def arm_losses(
    engine: "IbisEngine",
    decisions: Sequence[Path],
    outcomes: Sequence[Path],
    window: CanaryWindow,
) -> list[ShareLosses]:
    """Absolute errors of a regression at each share, one a subject: of its first mature decision.

    As in `arm_counts`, a decision belongs to the arm that was assigned, and labels are the newest
    outcome of mature decisions only.
    """
    if not decisions or not outcomes or window.final is None:
        return []
    asked = engine.read(decisions)
    mature = _mature(_in_canary(asked, window), engine.read(outcomes), asked, window.final)
    order = ibis.window(group_by="subject", order_by=["received_at", "decision_id"])
    placed = mature.mutate(
        place=ibis.row_number().over(order), error=mature.score - mature.label.cast("float64")
    )
    first = placed.filter(placed.place == 0).select("share_bp", "arm", "error")
    cells = summed(first, ("share_bp", "arm"))
    return [
        ShareLosses(
            share,
            canary=_arm_loss(cells.get((share, "canary"), NO_ERRORS)),
            champion=_arm_loss(cells.get((share, "champion"), NO_ERRORS)),
        )
        for share in sorted({share for share, _ in cells})
    ]


def _arm_loss(sums: ErrorSums) -> ArmLoss:
    return ArmLoss(sums.rows, sums.absolute, sums.squared)


def _after_an_end(table: Any, window: CanaryWindow) -> Any:
    """Whether the authorization of an arm had ended when the decision was made."""
    found = ibis.literal(value=False)
    for generation, moment in window.ended:
        late = table.received_at >= ibis.literal(moment, type="timestamp('UTC', 6)")
        found |= (table.generation == generation) & late
    return found


def _coded(value: Any) -> Any:
    """A text that is never null: `=` and the value, or nothing of a missing one."""
    return ibis.ifelse(value.isnull(), _MISSING, ibis.literal("=") + value)


def _in_canary(table: Any, window: CanaryWindow, keys: Mapping[str, str] | None = None) -> Any:
    kept = table.filter(
        ~_after_an_end(table, window),
        table.generation >= window.first_generation,
        table.share_bp > 0,
        table.share_bp < BASIS_POINTS,
        table.arm_assigned.isin(_ARMS),
    )
    ranked = kept.select(
        "decision_id",
        "request_id",
        "subject",
        "received_at",
        "event_time",
        "share_bp",
        "fallback_level",
        "decision",
        *(name for name in ("caller", "score", "answer") if name in table.columns),
        **{key: _coded(text(table, name)) for key, name in (keys or {}).items()},
        arm=kept.arm_assigned,
        copy=ibis.row_number().over(
            ibis.window(group_by=kept.decision_id, order_by=kept.received_at)
        ),
    )
    return ranked.filter(ranked.copy == 0).drop("copy")


def _errors(rows: Any) -> Any:
    return _long(rows, "error", rows.fallback_level != "model")


def _wrong_labels(rows: Any, outcomes: Any, asked: Any, final: datetime, *, said: str) -> Any:
    """Whether the outcome says otherwise than the column `said`."""
    mature = _mature(rows, outcomes, asked, final)
    return _long(mature, "wrong_label", mature[said] != mature.label)


def _mature(rows: Any, outcomes: Any, asked: Any, final: datetime) -> Any:
    """With labels that do not change any more: those of events up to `final`."""
    known = labelled(rows, outcomes, asked)
    until = ibis.literal(final, type="timestamp('UTC', 6)")
    return known.filter(known.label.notnull(), known.event_time <= until)


def _long(rows: Any, event: str, hit: Any) -> Any:
    return rows.select(
        *(name for name in rows.columns if name.startswith(_KEY)),
        "share_bp",
        "arm",
        "subject",
        "received_at",
        "decision_id",
        event=ibis.literal(event),
        hit=hit.fill_null(False),  # a null is no event
    )


def _count(long: Any) -> Any:
    order = ibis.window(
        group_by=["event", "subject", "hit"], order_by=["received_at", "decision_id"]
    )
    placed = long.mutate(place=ibis.row_number().over(order))
    marked = placed.mutate(first=(placed.hit & (placed.place == 0)).cast("int64"))
    keys = [name for name in marked.columns if name.startswith(_KEY)]
    return marked.group_by("event", "share_bp", "arm", *keys).aggregate(
        subjects=marked.subject.nunique(),
        events=marked["first"].sum(),
        first_at=marked.received_at.min(),
    )
