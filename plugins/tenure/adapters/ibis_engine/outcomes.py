"""Decisions joined to their newest outcome, reduced to confusion cells and score bins."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import ibis

from tenure.adapters.ibis_engine.drift import BY_MODEL, text
from tenure.ports import OutcomeCounts, OutcomeSum, ScoreBin

_CLIP = sys.float_info.epsilon
"""No likelihood is taken for smaller, as in the evaluation of the holdout."""
_UNIT = 1e9
_CALLER = "caller"
_SUMS = ("score", "squared_error", "squared_error_2", "log_loss", "log_loss_2")


def outcome_counts(
    decisions: Any, outcomes: Any | None, asked: Any, attributes: Sequence[str], bins: int
) -> OutcomeCounts:
    """Two aggregates over the same joined rows, as one expression.

    `asked` are the decisions of the files at hand, of other versions and times as well.
    """
    needed = decisions.select(
        "decision_id",
        "request_id",
        "fallback_level",
        "decision",
        "score",
        *(name for name in (_CALLER, *attributes) if name in decisions.columns),
    )
    joined = labelled(needed, outcomes, asked)
    found = ibis.union(_cells(joined, attributes), _score_bins(joined, attributes, bins))
    rows = found.to_pyarrow().to_pylist()
    cells = [row for row in rows if row["bin"] is None]
    return OutcomeCounts(
        decisions=sum(row["rows"] for row in cells),
        answered=sum(row["rows"] for row in cells if row["answered"]),
        labelled=sum(row["rows"] for row in cells if _counts(row)),
        cells=_confusion([row for row in cells if _counts(row)], len(attributes)),
        score_bins=[_score_bin(row) for row in sorted(_binned(rows), key=lambda r: r["bin"])],
        bins=bins,
        ambiguous=ambiguous(needed, outcomes, asked),
    )


def labelled(decisions: Any, outcomes: Any | None, asked: Any) -> Any:
    """The decisions with `label`: that of the newest outcome, null when there is none.

    An outcome names a decision, or a request and so each of its decisions: of the caller that it
    says, or where it says none, of the only caller in `asked` who used the request id. Of several
    for one decision the one received last counts, and of equals the greater id.
    """
    if outcomes is None:
        return decisions.mutate(label=ibis.null().cast("boolean"))
    ranked = _ranked(_pairs(decisions, outcomes, asked))
    newest = ranked.filter(ranked.is_newest).select("decision_id", "label")
    kept = decisions.drop("label") if "label" in decisions.columns else decisions
    return kept.left_join(newest, "decision_id").drop("decision_id_right")


def outcome_sum(marked: Any, outcomes: Any, asked: Any, every: Any) -> OutcomeSum:
    """Where each outcome is; see `OutcomeSum`.

    Args:
        marked: Decisions of one version, with `is_judged` and `is_due`.
        outcomes: All of the model.
        asked: Decisions that tell whether several callers used a request id.
        every: Decisions of the model that an outcome may name.
    """
    place = marked.select(
        "decision_id",
        place=ibis.cases((marked.is_judged, 0), (marked.is_due, 1), else_=2),
    )
    rows = _with_caller(every).select("decision_id", "request_id", _CALLER)
    known = rows.select("decision_id").distinct().left_join(place, "decision_id")
    known = known.select("decision_id", place=known.place.fill_null(3))
    pairs = _ranked(_pairs(rows, outcomes, asked).join(known, "decision_id"))
    found = pairs.group_by("outcome_id").aggregate(
        counts=pairs.is_newest.any(), place=pairs.place.min()
    )
    places = ibis.ifelse(found.counts, found.place, 4)
    by_place = found.group_by(place=places).aggregate(rows=found.count()).to_pyarrow().to_pylist()
    numbers = {row["place"]: row["rows"] for row in by_place}
    received = int(outcomes.outcome_id.nunique().to_pyarrow().as_py())
    lost = _lost(rows, outcomes, asked).anti_join(found, "outcome_id")
    ambiguous = int(lost.outcome_id.nunique().to_pyarrow().as_py())
    judged, here, waiting, elsewhere, replaced = (numbers.get(n, 0) for n in range(5))
    return OutcomeSum(
        received,
        judged,
        here,
        waiting,
        elsewhere,
        replaced,
        ambiguous,
        unmatched=received - sum(numbers.values()) - ambiguous,
    )


def _pairs(decisions: Any, outcomes: Any, asked: Any) -> Any:
    """Each outcome beside each decision that it is about; those by decision id unchecked."""
    columns = ("decision_id", "label", "received_at", "outcome_id")
    direct = outcomes.filter(outcomes.decision_id.notnull()).select(*columns)
    told = _joined(decisions, outcomes, asked)
    through = told.filter(
        (told.caller == told.asked_by)
        | (told.caller.notnull() & told.asked_by.isnull())  # logged before callers were
        | (told.caller.isnull() & told.is_shared.isnull())
    )
    return ibis.union(direct, through.select(*columns))


def _ranked(pairs: Any) -> Any:
    """With `is_newest`: whether no later outcome of the same decision was received."""
    order = ibis.window(
        group_by="decision_id", order_by=[ibis.desc("received_at"), ibis.desc("outcome_id")]
    )
    return pairs.mutate(is_newest=ibis.row_number().over(order) == 0)


def _joined(decisions: Any, outcomes: Any, asked: Any) -> Any:
    """Outcomes by request id beside each decision under that id: who asked, and whether alone."""
    outcomes, decisions = _with_caller(outcomes), _with_caller(decisions)
    by_request = outcomes.filter(outcomes.decision_id.isnull(), outcomes.request_id.notnull())
    told = by_request.select("request_id", "caller", "label", "received_at", "outcome_id")
    rows = decisions.select("decision_id", "request_id", asked_by=decisions.caller)
    found = told.join(rows, "request_id")
    return found.left_join(_shared(asked), "request_id").drop("request_id_right")


def _shared(asked: Any) -> Any:
    """Request ids that several callers used."""
    asked = _with_caller(asked).select("request_id", _CALLER)
    callers = asked.group_by("request_id").aggregate(callers=asked.caller.fill_null("").nunique())
    return callers.filter(callers.callers > 1).select(
        "request_id", is_shared=ibis.literal(value=True)
    )


def ambiguous(decisions: Any, outcomes: Any | None, asked: Any) -> int:
    """Outcomes by the request id of such a decision that count for nobody."""
    if outcomes is None:
        return 0
    return int(_lost(decisions, outcomes, asked).outcome_id.nunique().to_pyarrow().as_py())


def _lost(decisions: Any, outcomes: Any, asked: Any) -> Any:
    """They name no caller where there are several, or one who never used the id."""
    asked = _with_caller(asked)
    told = _joined(decisions, outcomes, asked)
    ids = asked.select("request_id", owner=asked[_CALLER]).distinct()
    strange = told.filter(told.caller.notnull(), told.asked_by.notnull()).anti_join(
        ids, ["request_id", ("caller", "owner")]
    )
    shared = told.filter(told.caller.isnull(), told.is_shared.notnull())
    return ibis.union(shared.select("outcome_id"), strange.select("outcome_id"))


def _with_caller(table: Any) -> Any:
    """Files of before callers were logged have no such column."""
    if _CALLER in table.columns:
        return table
    return table.mutate(**{_CALLER: ibis.null().cast("string")})


def _cells(joined: Any, attributes: Sequence[str]) -> Any:
    keys = _keys(joined, attributes)
    rows = joined.select(
        **keys,
        answered=joined.fallback_level.isin(BY_MODEL),
        decided=joined.decision,
        label=joined.label,
    )
    counted = rows.group_by(*rows.columns).aggregate(rows=rows.count())
    return counted.select(
        *keys,
        "answered",
        "decided",
        "label",
        "rows",
        bin=ibis.null().cast("int64"),
        positives=ibis.null().cast("int64"),
        **{name: ibis.null().cast("float64") for name in _SUMS},
    )


def _score_bins(joined: Any, attributes: Sequence[str], bins: int) -> Any:
    kept = joined.filter(joined.label.notnull(), joined.fallback_level.isin(BY_MODEL))
    truth = kept.label.cast("float64")
    score = kept.score.cast("float64")
    squared = (score - truth) * (score - truth)
    loss = -ibis.greatest(ibis.ifelse(kept.label, score, 1 - score), _CLIP).ln()
    rows = kept.select(
        bin=ibis.least((score * bins).floor().cast("int64"), bins - 1),
        label=kept.label,
        score=score,
        squared_error=squared,
        squared_error_2=squared * squared,
        log_loss=loss,
        log_loss_2=loss * loss,
    )
    summed = rows.group_by("bin").aggregate(
        rows=rows.count(),
        positives=rows.label.cast("int64").sum(),
        **{name: _exact_sum(rows[name]) for name in _SUMS},
    )
    return summed.select(
        **{name: ibis.null().cast("string") for name in _keys(joined, attributes)},
        answered=ibis.literal(value=True),
        decided=ibis.null().cast("boolean"),
        label=ibis.null().cast("boolean"),
        rows=summed.rows,
        bin=summed.bin.cast("int64"),
        positives=summed.positives.cast("int64"),
        **{name: summed[name].cast("float64") for name in _SUMS},
    )


def _exact_sum(column: Any) -> Any:
    """Sum in fixed point: equal whatever order the threads add in, so that a replay is equal."""
    return (column * _UNIT).round().cast("int64").sum().cast("float64") / _UNIT


def _keys(table: Any, attributes: Sequence[str]) -> dict[str, Any]:
    return {f"key_{i}": text(table, name) for i, name in enumerate(attributes)}


def _binned(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["bin"] is not None]


def _counts(row: Mapping[str, Any]) -> bool:
    return bool(row["answered"]) and row["label"] is not None


def _confusion(
    rows: Sequence[Mapping[str, Any]], attributes: int
) -> dict[tuple[str | None, ...], tuple[int, int, int, int]]:
    """(tp, fp, fn, tn) of each combination of attribute values."""
    places = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
    cells: dict[tuple[str | None, ...], list[int]] = {}
    for row in rows:
        group = tuple(row[f"key_{i}"] for i in range(attributes))
        place = places[bool(row["decided"]), bool(row["label"])]
        cells.setdefault(group, [0, 0, 0, 0])[place] += int(row["rows"])
    in_order = sorted(cells.items(), key=lambda item: [(v is None, v or "") for v in item[0]])
    return {group: (c[0], c[1], c[2], c[3]) for group, c in in_order}


def _score_bin(row: Mapping[str, Any]) -> ScoreBin:
    return ScoreBin(
        number=int(row["bin"]),
        rows=int(row["rows"]),
        positives=int(row["positives"]),
        **{name: float(row[name]) for name in _SUMS},
    )
