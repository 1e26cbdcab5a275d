"""What the data suggest for a new model: its label, its features, and the bounds of its gates."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from tenure.errors import ConfigInvalid
from tenure.lifecycle.data.profiling import BatchProfile, ColumnProfile
from tenure.lifecycle.data.profiling.remarks import MANY, LikePair
from tenure.lifecycle.serving.spelling import EXACT, spell
from tenure.lifecycle.training.evaluation.leaks import GIVEN_AWAY, ShiftedLabel

MAX_CATEGORIES = 255
"""Different values of a category that the boosted trees tell apart; of more, neighbors in the
alphabet share a place."""
MAX_TEXTS = 5_000
"""Different texts that a version remembers of one category."""
_WORDS = (
    "1 true t yes y ja oui si positive pos late default defaulted bad churn churned fraud failed "
    "fail sick ill dead died"
)
_POSITIVE = frozenset(_WORDS.split())
"""Words that name the class which a model looks for."""
_OWN_MEANING = ({"true", "false"}, {"0", "1"})
_AUDITED = "its groups are audited"
_UNAUDITED = "it has too many values for an audit of its groups"
_LEAST_AUC = 0.55
_USUAL_ROWS = 500
_USUAL_GROUP = 100
_HOURS = 24
_LEAST_DAYS = 8
"""Days of data below which a gap of a day would take too much of them."""
_RARE = 0.3

Value = str | bool | int | float


@dataclass(frozen=True)
class LabelDraft:
    """Which value of the label is true.

    Args:
        positive, negative: As the YAML states them; None: the column says it itself.
        share: Of the positive among the rows that have a label, 0…1.
        rows: With a label.
        is_guess: Whether a person has to confirm the positive.
    """

    positive: Value | None
    negative: Value | None
    share: float
    rows: int
    is_guess: bool


@dataclass(frozen=True)
class ColumnRoles:
    """What columns are, besides features.

    Args:
        label: What is predicted.
        time: When it happened; None: nothing says it.
        subject: Whom a row is about; None: nothing says it.
        key: Columns that name a row.
        protected: Columns that are not read because of what they say of a person.
        audited: Attributes whose groups are compared.
        personal: Columns that are published as pseudonyms.
    """

    label: str
    time: str | None
    subject: str | None
    key: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    audited: tuple[str, ...] = ()
    personal: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FeatureDraft:
    """The columns that the model would read, and why it would not read the others."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    dates: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    many: Mapping[str, int] = field(default_factory=dict)
    """Categories of more values than are told apart, with how many they have."""

    @property
    def all(self) -> tuple[str, ...]:
        """Every column that is read."""
        return self.numeric + self.categorical + self.dates


def draft_label(column: ColumnProfile, positive: str | None, *, next_step: str) -> LabelDraft:
    """Which of two values is true: what the person said, what the column means, or a guess.

    The guess is a word such as `yes` or `late`, else the rarer value.

    Args:
        column: Profile of the label.
        positive: What the person said, as text.
        next_step: What to do about a refusal.

    Raises:
        ConfigInvalid: The column does not hold two values, or not the one that was said.
    """

    def refused(found: str) -> ConfigInvalid:
        return ConfigInvalid(
            f"{column.name} is no label of two classes: {found}.",
            still_safe="Nothing was written.",
            next_step=next_step,
        )

    if not column.values:
        raise refused(f"none of {column.rows:,} rows has a value")
    shown = [f"{spell(v)!r} ({n:,} rows)" for v, n in column.top[:5] if not _is_moment(v)]
    if column.distinct == 1:
        raise refused(f"one class only, {shown[0] if shown else 'one moment'}")
    if column.distinct != 2 or len(column.top) != 2:
        listed = f": {', '.join(shown)}" if shown else ""
        raise refused(f"{column.distinct:,} different values{listed}")
    counts = {spell(value): count for value, count in column.top}
    values = {spell(value): value for value, _ in column.top}
    said = _said(positive, values)
    if positive is not None and said is None:
        raise refused(f"{positive!r} is none of {' and '.join(shown)}")
    chosen = said if said is not None else _guess(counts)
    other = next(v for v in counts if v != chosen)
    rows = sum(counts.values())
    means_itself = {v.lower() for v in counts} in _OWN_MEANING
    share = counts[chosen] / rows
    if means_itself and chosen.lower() in {"1", "true"}:
        return LabelDraft(None, None, share, rows, is_guess=False)
    true, false = (_written(values[one]) for one in (chosen, other))
    return LabelDraft(true, false, share, rows, is_guess=said is None)


def _said(positive: str | None, values: Mapping[str, object]) -> str | None:
    """The value that the person meant; numbers may be written in any way."""
    if positive is None or positive in values:
        return positive
    try:
        written = spell(float(positive))
    except ValueError:
        return None
    return written if written in values else None


def _guess(counts: Mapping[str, int]) -> str:
    named = [value for value in counts if value.lower() in _POSITIVE]
    return named[0] if len(named) == 1 else min(counts, key=lambda value: (counts[value], value))


def _written(value: object) -> Value:
    """As a person writes it in a YAML: 2, not 2.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT:
        return int(value)
    assert isinstance(value, str | bool | int | float)
    return value


def _is_moment(value: object) -> bool:
    return not isinstance(value, str | bool | int | float)


def draft_features(
    profile: BatchProfile,
    pairs: Sequence[LikePair],
    alone: Mapping[str, float],
    roles: ColumnRoles,
    shifted: Mapping[str, ShiftedLabel] = MappingProxyType({}),
    *,
    measure: tuple[str, float] = ("an ROC AUC", GIVEN_AWAY),
) -> FeatureDraft:
    """Every column is a feature, unless there is a reason against it.

    Args:
        profile: Of the rows.
        pairs: Columns of which one tells the other.
        alone: What a column reaches by itself, 0…1: the area under the ROC curve.
        roles: What columns are besides.
        shifted: Columns that give the label of another row away.
        measure: What `alone` is called, and from where on it is too good.
    """
    left_out: dict[str, str] = {}
    kept: list[ColumnProfile] = []
    for column in profile.columns:
        if column.name == roles.label:
            continue
        names = {one.name for one in kept}
        reason = (
            _by_role(column.name, roles)
            or _by_values(column)
            or _by_leak(column.name, pairs, alone, roles.label, measure)
            or _by_likeness(column.name, pairs, names)
        )
        if not reason and column.name in shifted:
            one = shifted[column.name]
            reason = f"{one.said}: alone it reaches an ROC AUC of {one.reached:.3f}"
        if reason:
            left_out[column.name] = reason
        else:
            kept.append(column)
    return FeatureDraft(
        numeric=tuple(c.name for c in kept if c.type in {"integer", "number"}),
        categorical=tuple(c.name for c in kept if c.type in {"string", "boolean"}),
        dates=tuple(c.name for c in kept if c.type == "timestamp"),
        left_out=left_out,
        many={
            c.name: c.distinct for c in kept if c.type == "string" and c.distinct > MAX_CATEGORIES
        },
    )


def _by_role(name: str, roles: ColumnRoles) -> str:
    if name == roles.time:
        return "says when, not what"
    if name in roles.key:
        return "names a row"
    if name == roles.subject:
        return "names whom a row is about"
    if name in roles.protected:
        return "is protected: " + (_AUDITED if name in roles.audited else _UNAUDITED)
    return "is personal: snapshots hold pseudonyms" if name in roles.personal else ""


def _by_values(column: ColumnProfile) -> str:
    return next((reason for is_so, reason in _value_reasons(column) if is_so), "")


def _value_reasons(column: ColumnProfile) -> Iterator[tuple[bool, str]]:
    bounds = [b for b in (column.low, column.high) if isinstance(b, int | float)]
    is_whole, is_text = column.type == "integer", column.type == "string"
    texts = f"has {column.distinct:,} different texts"
    yield not column.values, "has no value at all"
    yield column.distinct == 1 and not column.nulls, "has one value in all rows"
    yield any(math.isinf(b) for b in bounds), "holds infinite numbers"
    yield (
        is_whole and any(abs(b) > EXACT for b in bounds),
        "holds whole numbers beyond 2^53, which would be changed",
    )
    yield (
        is_whole and column.is_unique and column.values >= _USUAL_GROUP,
        "differs in every row: it seems to name rows",
    )
    yield (
        is_text and column.distinct > MANY * column.values,
        f"{texts}: they name rows rather than sort them",
    )
    yield (
        is_text and column.distinct > MAX_TEXTS,
        f"{texts}, more than the {MAX_TEXTS:,} that a version remembers",
    )


def _by_leak(
    name: str,
    pairs: Sequence[LikePair],
    alone: Mapping[str, float],
    label: str,
    measure: tuple[str, float],
) -> str:
    called, too_good = measure
    for pair in pairs:
        if label in {pair.first, pair.second} and name in {pair.first, pair.second}:
            return f"gives {label} away" + (f" ({pair.how})" if pair.how else ": it is the same")
    if alone.get(name, 0.0) >= too_good:
        return (
            f"seems to give {label} away: alone it reaches {called} of {alone[name]:.3f}; "
            "read it only if it is known before"
        )
    return ""


def _by_likeness(name: str, pairs: Sequence[LikePair], kept: set[str]) -> str:
    for pair in pairs:
        other = {pair.first, pair.second} - {name}
        if pair.kind != "decides" and len(other) == 1 and other <= kept:
            how = f" ({pair.how})" if pair.how else ""
            return f"tells what {other.pop()} tells{how}"
    return ""


@dataclass(frozen=True)
class GateDraft:
    """Bounds that a useful model keeps, and what they rest on.

    Args:
        roc_auc: Lowest that passes: two standard errors below the best column alone.
        best: That column, and what it reaches; None when no column tells anything.
        brier: Highest that passes: what the share of the positive reaches as everybody's score.
        threshold: Scores at or above it decide positive.
        min_rows: Rows that a holdout needs.
        min_group_rows: Rows that a group of the audit needs.
        gap_hours: Between training and holdout, and until the label is known.
        base_rate: Share of the positive, 0…1.
    """

    roc_auc: float
    best: tuple[str, float] | None
    brier: float
    threshold: float
    min_rows: int
    min_group_rows: int
    gap_hours: int
    base_rate: float


def draft_gates(
    label: LabelDraft,
    features: FeatureDraft,
    alone: Mapping[str, float],
    *,
    days: float,
    holdout_fraction: float,
) -> GateDraft:
    """Bounds from the data: a model has to beat its best column, and the base rate.

    Args:
        label: With the share of the positive p; the Brier score of the constant p is p(1-p).
        features: Only these count as columns that a model has to beat.
        alone: Area under the ROC curve of each column alone.
        days: That the data cover; 0 without time.
        holdout_fraction: Share of the rows that judge.
    """
    read = {n: alone[n] for n in features.all if n in alone}
    best = max(read.items(), key=lambda item: item[1], default=None)
    holdout = int(label.rows * holdout_fraction)
    p = label.share
    rows, group_rows, gap = bounds_of_rows(label.rows, days, holdout_fraction)
    lowest = best[1] - 2 * auc_error(best[1], holdout * p, holdout * (1 - p)) if best else 0.0
    return GateDraft(
        roc_auc=max(_LEAST_AUC, math.floor(100 * lowest) / 100),
        best=best,
        brier=max(0.01, math.ceil(100 * p * (1 - p)) / 100),
        threshold=0.5 if _RARE <= p <= 1 - _RARE else round(p, 3),
        min_rows=rows,
        min_group_rows=group_rows,
        gap_hours=gap,
        base_rate=p,
    )


def bounds_of_rows(rows: int, days: float, holdout_fraction: float) -> tuple[int, int, int]:
    """Rows that a holdout and a group need, and hours before the holdout that are left out."""
    holdout = int(rows * holdout_fraction)
    return (
        max(1, min(_USUAL_ROWS, holdout // 2)),
        max(10, min(_USUAL_GROUP, holdout // 20)),
        _HOURS if days >= _LEAST_DAYS else 0,
    )


def auc_error(auc: float, positives: float, negatives: float) -> float:
    """Standard error of an area under the ROC curve.

    Source: Hanley and McNeil, Radiology 143 (1982) 29-36, equation 2.

    Args:
        auc: 0…1.
        positives: Rows of the one class, at least one.
        negatives: Rows of the other, at least one.

    >>> round(auc_error(0.893, 51, 58), 4)
    0.0325
    """
    both = max(positives, 1.0), max(negatives, 1.0)
    of_positives, of_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = (
        auc * (1 - auc)
        + (both[0] - 1) * (of_positives - auc**2)
        + (both[1] - 1) * (of_negatives - auc**2)
    )
    return math.sqrt(spread / (both[0] * both[1]))
