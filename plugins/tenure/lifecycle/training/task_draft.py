"""What a label says of the task, and what a label of numbers suggests for the gates of a model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from tenure.errors import ConfigInvalid
from tenure.lifecycle.data.profiling import ColumnProfile
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.task import Task
from tenure.lifecycle.training.classes import FEWEST_CLASSES, FEWEST_ROWS
from tenure.lifecycle.training.drafting import FeatureDraft, bounds_of_rows
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy, EvaluationPolicy

TASKS: tuple[Task, ...] = get_args(Task)
MAX_CLASSES = 50
"""Different texts from which on a label is no class any more."""
_MAX_NUMBERED_CLASSES = 10
"""Different whole numbers up to which they may be classes as well as amounts."""
_REPEATS = 5
_FAR = 10
_WIDEST_TOLERANCE = 0.05
_CALIBRATION_FRACTION: float = EvaluationPolicy.model_fields["calibration_fraction"].default
_SAFE = "Nothing was written."


@dataclass(frozen=True)
class TaskGuess:
    """What is predicted, and why that is thought.

    Args:
        task: What is predicted.
        why: A sentence without a subject; empty where the person said it.
    """

    task: Task
    why: str = ""


def guess_task(column: ColumnProfile) -> TaskGuess:
    """The task that the values of a label suggest.

    Raises:
        ConfigInvalid: No task has such a label.
    """
    name, distinct = column.name, column.distinct
    if column.type == "timestamp":
        raise no_label(column, "it holds moments, and no task predicts one", _OTHER_LABEL)
    if column.type == "boolean" or distinct <= 2:
        return TaskGuess("binary", f"{name} has two values" if distinct == 2 else "")
    if column.type == "string":
        if distinct > MAX_CLASSES or column.values < _REPEATS * distinct:
            found = f"{distinct:,} different texts in {column.values:,} rows name rows, not classes"
            raise no_label(column, found, _OTHER_LABEL)
        return TaskGuess("multiclass", f"{name} has {distinct} different texts")
    if distinct <= _MAX_NUMBERED_CLASSES and column.top and _are_whole(column):
        why = f"{name} has {distinct} different whole numbers, which may be classes"
        return TaskGuess("multiclass", f"{why}; --task regression takes them for amounts")
    return TaskGuess("regression", f"{name} has {distinct:,} different numbers")


def _are_whole(column: ColumnProfile) -> bool:
    return all(isinstance(v, int | float) and float(v).is_integer() for v, _ in column.top)


_OTHER_LABEL = "Name a column with two values, with a few classes, or with numbers: `--label`."


def no_label(column: ColumnProfile, found: str, next_step: str) -> ConfigInvalid:
    """The error of a column that the task cannot predict."""
    return ConfigInvalid(f"label: {column.name}: {found}.", still_safe=_SAFE, next_step=next_step)


@dataclass(frozen=True)
class ClassesDraft:
    """What a label of several classes holds.

    Args:
        counts: Rows of each class, the most frequent first.
    """

    counts: Mapping[str, int]

    @property
    def rows(self) -> int:
        """With a label."""
        return sum(self.counts.values())

    @property
    def entropy(self) -> float:
        """Log loss of answering everybody with the shares of the classes, in nats."""
        shares = [count / self.rows for count in self.counts.values()]
        return -sum(share * math.log(share) for share in shares)


def draft_classes(column: ColumnProfile, *, learned_share: float) -> ClassesDraft:
    """The label of a model of several classes.

    Args:
        column: Profile of the label.
        learned_share: Share of the rows that is learned from.

    Raises:
        ConfigInvalid: It is no text and no whole number, or has too few or too many classes, or too
            few rows of one.
    """
    is_whole = column.type == "integer" or (column.type == "number" and _are_whole(column))
    if column.type != "string" and not is_whole:
        found = f"it is {column.type}, and classes are texts or whole numbers"
        raise no_label(column, found, _OTHER_LABEL)
    if not FEWEST_CLASSES <= column.distinct <= MAX_CLASSES:
        found = f"it has {column.distinct:,} classes, not {FEWEST_CLASSES} to {MAX_CLASSES}"
        raise no_label(column, found, _OTHER_LABEL)
    counts = {spell(value): rows for value, rows in column.top}
    few = {name: rows for name, rows in counts.items() if rows * learned_share < FEWEST_ROWS}
    if few:
        shown = ", ".join(f"{name!r} ({rows} rows)" for name, rows in sorted(few.items()))
        found = f"each class needs {FEWEST_ROWS} rows to learn from; too few have {shown}"
        raise no_label(column, found, "Ingest more rows, or join these classes at the source.")
    return ClassesDraft(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))))


@dataclass(frozen=True)
class ClassesGateDraft:
    """Bounds that a useful model of several classes keeps.

    Args:
        balanced_accuracy: Lowest that passes: two standard errors above any constant answer's.
        log_loss: Highest that passes: that of the shares of the classes for everybody, in nats.
        min_rows: Rows that a holdout needs.
        min_group_rows: Rows that a group of the audit needs.
        gap_hours: Between training and holdout, and until the label is known.
    """

    balanced_accuracy: float
    log_loss: float
    min_rows: int
    min_group_rows: int
    gap_hours: int


def draft_class_gates(
    label: ClassesDraft, *, days: float, holdout_fraction: float
) -> ClassesGateDraft:
    """Bounds from the shares of the classes.

    Args:
        label: The classes; one answer for everybody has a balanced accuracy of 1 over their number.
        days: That the data cover; 0 without time.
        holdout_fraction: Share of the rows that judge.
    """
    rows, group_rows, gap = bounds_of_rows(label.rows, days, holdout_fraction)
    chance = 1 / len(label.counts)
    error = math.sqrt(chance * (1 - chance) / max(label.rows * holdout_fraction, 1.0))
    return ClassesGateDraft(
        balanced_accuracy=math.ceil(100 * (chance + 2 * error)) / 100,
        log_loss=math.ceil(100 * label.entropy) / 100,
        min_rows=rows,
        min_group_rows=group_rows,
        gap_hours=gap,
    )


@dataclass(frozen=True)
class NumberDraft:
    """What a label of numbers holds.

    Args:
        rows: With a label.
        low, high: Smallest and largest.
        median: Half of the rows are below it.
        usual: Nine of ten rows lie between these two.
    """

    rows: int
    low: float
    high: float
    median: float
    usual: tuple[float, float]

    @property
    def has_outliers(self) -> bool:
        """Whether an end lies ten times as far from the median as one row in twenty does.

        Squared errors would then be about those rows alone.
        """
        far, near = self.high - self.median, self.usual[1] - self.median
        below, close = self.median - self.low, self.median - self.usual[0]
        return far > _FAR * near or below > _FAR * close


def draft_numbers(column: ColumnProfile) -> NumberDraft:
    """The label of a regression.

    Raises:
        ConfigInvalid: It holds no numbers, one number only, or an infinite one.
    """
    if column.type not in {"integer", "number"}:
        found = f"it is {column.type}, and a regression predicts numbers"
        raise no_label(column, found, _OTHER_LABEL)
    if not column.values:
        raise no_label(column, f"none of {column.rows:,} rows has a value", _OTHER_LABEL)
    low, high = column.low, column.high
    assert isinstance(low, int | float)
    assert isinstance(high, int | float)
    if low == high:
        raise no_label(column, f"every row that has a value has {low:g}", _OTHER_LABEL)
    if math.isinf(low) or math.isinf(high):
        raise no_label(column, "it holds infinite numbers", "Have the source repaired.")
    quantiles = column.quantiles
    usual = (quantiles[0.05], quantiles[0.95])
    return NumberDraft(column.values, low, high, quantiles[0.5], usual)


@dataclass(frozen=True)
class NumberScan:
    """What rows say of a label of numbers, learned on older rows and tried on the newest quarter.

    Args:
        trivial: Mean absolute error of the median, for everybody.
        errors: Mean absolute error of each column alone.
        spread: Standard deviation of the absolute errors of the median.
        rows: That were tried on.
    """

    trivial: float
    errors: Mapping[str, float]
    spread: float
    rows: int


@dataclass(frozen=True)
class ErrorGateDraft:
    """Bounds that a useful regression keeps, and what they rest on.

    Args:
        mae: Highest mean absolute error that passes.
        trivial: That of the median for everybody.
        best: The column that alone has the smallest, and what it has; None when none beats the
            median.
        max_difference: Highest difference of two groups' mean errors that passes.
        min_rows: Rows that a holdout needs.
        min_group_rows: Rows that a group of the audit needs.
        gap_hours: Between training and holdout, and until the label is known.
        tolerance: How far the coverage of intervals may lie from what they promise; None: the rows
            are too few to judge it.
    """

    mae: float
    trivial: float
    best: tuple[str, float] | None
    max_difference: float
    min_rows: int
    min_group_rows: int
    gap_hours: int
    tolerance: float | None


def draft_error_gates(
    label: NumberDraft,
    features: FeatureDraft,
    found: NumberScan,
    *,
    days: float,
    holdout_fraction: float,
) -> ErrorGateDraft:
    """Bounds from the data: a model has to beat the median, and about reach its best column.

    Args:
        label: The numbers.
        features: Only these count as columns that a model has to reach.
        found: How far each is off.
        days: That the data cover; 0 without time.
        holdout_fraction: Share of the rows that judge.
    """
    read = {n: e for n, e in found.errors.items() if n in features.all and e < found.trivial}
    best = min(read.items(), key=lambda item: (item[1], item[0]), default=None)
    error = 2 * found.spread / math.sqrt(max(found.rows, 1))
    highest = found.trivial if best is None else min(found.trivial, best[1] + error)
    rows, group_rows, gap = bounds_of_rows(label.rows, days, holdout_fraction)
    return ErrorGateDraft(
        mae=rounded_up(highest),
        trivial=found.trivial,
        best=best,
        max_difference=rounded_up(found.trivial / 2),
        min_rows=rows,
        min_group_rows=max(2, group_rows),
        gap_hours=gap,
        tolerance=draft_tolerance(label.rows, holdout_fraction),
    )


def draft_tolerance(rows: int, holdout_fraction: float) -> float | None:
    """How far the share of outcomes in their intervals may lie from the usual promise.

    Three standard errors: of the share on the holdout, and of the margin that is learned from the
    calibration rows (both binomial).

    Returns:
        Hundredths, rounded up, at least the usual tolerance; None where it would be above 0.05.

    >>> [draft_tolerance(rows, 0.25) for rows in (100_000, 9_000, 2_000, 0)]
    [0.02, 0.04, None, None]
    """
    usual = ConformalPolicy()
    judged = rows * holdout_fraction
    learned = rows * (1 - holdout_fraction) * _CALIBRATION_FRACTION
    if min(judged, learned) < 1:
        return None
    error = math.sqrt(usual.coverage * (1 - usual.coverage) * (1 / judged + 1 / learned))
    found = max(usual.tolerance, math.ceil(300 * error - 1e-9) / 100)
    return found if found <= _WIDEST_TOLERANCE else None


def rounded_up(value: float) -> float:
    """At least the value, in three digits.

    >>> rounded_up(52.3412), rounded_up(0.0012301), rounded_up(123456.0), rounded_up(0.0)
    (52.4, 0.00124, 124000.0, 0.0)
    """
    if value <= 0 or not math.isfinite(value):
        return 0.0
    digits = 2 - math.floor(math.log10(value))
    step = 10.0**digits
    return math.ceil(value * step - 1e-9) / step
