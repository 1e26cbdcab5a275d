"""Metrics of answers of several classes, with intervals, from probabilities or from counts.

A row whose class training did not see counts as a wrong answer: its likelihood is the smallest that
there is. Means over classes (balanced_accuracy, macro_f1) are of the classes that the model knows,
so that one misspelled outcome does not weigh as much as a class of thousands.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.class_answers import ClassCosts
from tenure.lifecycle.training.classes import listed
from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, Appraisal, MetricEstimate
from tenure.lifecycle.training.evaluation.metrics import (
    Bools,
    Floats,
    calibration_error,
    mean_estimate,
    wilson,
)
from tenure.lifecycle.training.evaluation.policy import (
    ClassErrorCosts,
    GateMetric,
    Metric,
    MulticlassMetric,
)
from tenure.verdicts import Check, Severity, Verdict

Codes = NDArray[np.int64]
_DRAWS = 1000
_AT_ONCE = 50
_SEED = 2013


@dataclass(frozen=True)
class ClassScores:
    """Rows as one model answers them, and what came true.

    Args:
        names: Classes: those of the model, sorted, then those that only occur in truth, sorted.
        known: How many of them the model knows.
        probabilities: Shape (n, classes); 0 of what the model does not know.
        labels: Which class came true, shape (n,).
        answers: Which class is answered, shape (n,).
    """

    names: tuple[str, ...]
    known: int
    probabilities: Floats
    labels: Codes
    answers: Codes

    @property
    def true(self) -> Floats:
        """Probability of what came true, shape (n,)."""
        found: Floats = self.probabilities[np.arange(len(self.labels)), self.labels]
        return found

    @property
    def likelihood(self) -> Floats:
        """As `true`, from the smallest that is told apart from 0."""
        return np.clip(self.true, np.finfo(np.float64).eps, 1.0)

    @property
    def squared_distance(self) -> Floats:
        """From the probabilities to what came true (1, else 0), summed over the classes: 0 to 2."""
        return np.asarray((self.probabilities**2).sum(axis=1) - 2 * self.true + 1)

    @property
    def confidence(self) -> Floats:
        """Probability of the answered class, shape (n,)."""
        found: Floats = self.probabilities[np.arange(len(self.labels)), self.answers]
        return found

    @property
    def is_right(self) -> Bools:
        """Whether the answered class came true, shape (n,)."""
        return self.answers == self.labels


def answered_classes(probabilities: Floats, costs: ClassCosts | None) -> Codes:
    """The place of the answered class of each row, as `answered_class` has it; shape (n,)."""
    if costs is None:
        return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)
    expected = np.zeros(probabilities.shape)
    for place, row in enumerate(costs):
        expected += probabilities[:, place : place + 1] * np.asarray(row)
    return np.asarray(expected.argmin(axis=1), dtype=np.int64)


def answer_names(
    names: Sequence[str], probabilities: Floats, costs: ClassErrorCosts | None
) -> NDArray[np.str_]:
    """The class that is answered for each row, shape (n,).

    Args:
        names: Of the probabilities, sorted.
        probabilities: Shape (n, names).
        costs: Of wrong answers; None: the most probable class is answered.
    """
    matrix = None if costs is None else costs.matrix(names, names)
    return np.asarray(names, dtype=np.str_)[answered_classes(probabilities, matrix)]


def class_scores(
    names: Sequence[str],
    probabilities: Floats,
    labels: NDArray[Any],
    answers: NDArray[np.str_] | None = None,
) -> ClassScores:
    """Put probabilities and labels on one list of classes.

    Args:
        names: Of the probabilities, sorted.
        probabilities: Shape (n, names).
        labels: Classes that came true, texts of shape (n,).
        answers: Of `names`, those that are answered, shape (n,); None: the most probable ones.
    """
    found, places = np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)
    true = found.tolist()
    every = (*names, *sorted({*true} - {*names}))
    at = {name: place for place, name in enumerate(every)}
    codes = np.array([at[name] for name in true], dtype=np.int64)[places]
    answered = answered_classes(probabilities, None)
    if answers is not None:
        said, where = np.unique(answers, return_inverse=True)
        answered = np.array([at[name] for name in said.tolist()], dtype=np.int64)[where]
    return ClassScores(every, len(names), spread(probabilities, names, every), codes, answered)


def spread(probabilities: Floats, names: Sequence[str], every: Sequence[str]) -> Floats:
    """The same probabilities on a longer list of classes, 0 for the others.

    Args:
        probabilities: Shape (n, names).
        names: Of the probabilities.
        every: Has all of `names`.
    """
    wide = np.zeros((len(probabilities), len(every)))
    wide[:, [list(every).index(name) for name in names]] = probabilities
    return wide


def confusion(scored: ClassScores) -> Codes:
    """Rows by (class that came true, class that was answered), shape (classes, classes)."""
    size = len(scored.names)
    cells = np.bincount(scored.labels * size + scored.answers, minlength=size * size)
    return np.asarray(cells.reshape(size, size), dtype=np.int64)


def measure_classes(scored: ClassScores) -> dict[GateMetric, MetricEstimate]:
    """Every metric of a multiclass model; without rows none is defined.

    Sources: Wilson (1927) for shares; the normal interval of a mean for log_loss and brier (Brier,
        1950, over all classes); a multinomial bootstrap over the cells of the confusion matrix for
        balanced_accuracy and macro_f1, over bins for ece (of the answered class: Guo, Pleiss, Sun
        and Weinberger, ICML 2017).
    """
    if not len(scored.labels):
        return {name: MetricEstimate(None) for name in get_args(MulticlassMetric)}
    counted = measure_confusion(
        confusion(scored), known=scored.known, confidence=CONFIDENCE, seed=_SEED
    )
    found: dict[GateMetric, MetricEstimate] = {name: one for name, one in counted.items()}  # noqa: C416
    return found | {
        "log_loss": mean_estimate(-np.log(scored.likelihood)),
        "brier": mean_estimate(scored.squared_distance),
        "ece": calibration_error(scored.confidence, scored.is_right),
    }


_COUNTED: tuple[Metric, ...] = ("accuracy", "wrong_label_rate", "balanced_accuracy", "macro_f1")
"""What counts alone define: live decisions can be measured by these."""


def measure_confusion(
    cells: Codes, *, known: int, confidence: float, seed: int
) -> dict[Metric, MetricEstimate]:
    """The metrics that a confusion matrix defines.

    Args:
        cells: Rows by (class that came true, class that was answered), shape (classes, classes).
        known: How many classes, the first ones, the model knows.
        confidence: Of the intervals.
        seed: Of the bootstrap.

    >>> cells = np.array([[8, 2], [1, 1]])
    >>> found = measure_confusion(cells, known=2, confidence=0.95, seed=7)
    >>> found["accuracy"].value, found["balanced_accuracy"].value
    (0.75, 0.65)
    """
    rows, right = int(cells.sum()), int(np.trace(cells))
    if not rows:
        return {name: MetricEstimate(None) for name in _COUNTED}
    balanced, f1 = _means(cells, known, confidence, seed)
    return {
        "accuracy": MetricEstimate(right / rows, *wilson(right, rows, confidence)),
        "wrong_label_rate": MetricEstimate(
            (rows - right) / rows, *wilson(rows - right, rows, confidence)
        ),
        "balanced_accuracy": balanced,
        "macro_f1": f1,
    }


def _means(
    cells: Codes, known: int, confidence: float, seed: int
) -> tuple[MetricEstimate, MetricEstimate]:
    """Mean recall and mean F1, with intervals from redrawn cells."""
    truth, answer = np.nonzero(cells)
    counts, rows = cells[truth, answer], int(cells.sum())
    size, rng = len(cells), np.random.default_rng(seed)

    def judged(some: Codes) -> Floats:
        right = np.zeros((len(some), size))
        right[:, truth[truth == answer]] = some[:, truth == answer]
        both = (right, _summed(some, truth, size), _summed(some, answer, size))
        return _balanced_and_f1(*(one[:, :known] for one in both))

    drawn = [
        judged(rng.multinomial(rows, counts / rows, size=_AT_ONCE))
        for _ in range(_DRAWS // _AT_ONCE)
    ]
    tail = (1 - confidence) / 2
    point, every = judged(counts[np.newaxis])[0], np.concatenate(drawn)
    balanced, f1 = (_estimate(point[i], every[:, i], tail) for i in range(2))
    return balanced, f1


def _estimate(point: float, drawn: Floats, tail: float) -> MetricEstimate:
    """Undefined where the counts do not define it; draws that do not are left out."""
    if math.isnan(point):
        return MetricEstimate(None)
    low, high = np.quantile(drawn[~np.isnan(drawn)], [tail, 1 - tail])
    return MetricEstimate(float(point), float(low), float(high))


def _summed(some: Codes, place: Codes, size: int) -> Floats:
    """Sums of the cells of each class, shape (draws, classes)."""
    order = np.argsort(place, kind="stable")
    kinds, starts = np.unique(place[order], return_index=True)
    sums = np.zeros((len(some), size))
    sums[:, kinds] = np.add.reduceat(some[:, order], starts, axis=1)
    return sums


def _balanced_and_f1(right: Floats, true: Floats, answered: Floats) -> Floats:
    """Mean recall over the classes that came true, and mean F1 over those that occur at all.

    Args:
        right: Right answers by class, shape (draws, classes).
        true: Rows by class that came true.
        answered: Rows by class that was answered.
    """
    recall = np.divide(right, true, out=np.zeros(right.shape), where=true > 0)
    either = true + answered
    f1 = np.divide(2 * right, either, out=np.zeros(right.shape), where=either > 0)
    return np.stack([_mean(recall, true > 0), _mean(f1, either > 0)], axis=1)


def _mean(values: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Mean over the classes that count; NaN where none does."""
    number = counted.sum(axis=1)
    found = np.full(len(values), np.nan)
    return np.divide(values.sum(axis=1), number, out=found, where=number > 0)


def appraise_classes(scored: ClassScores, known: Mapping[str, int]) -> Appraisal:
    """How good the answers are class by class, and which classes training did not see.

    Args:
        scored: The holdout.
        known: Rows that were learned from, by class.
    """
    cells = confusion(scored)
    facts: dict[str, object] = {
        "classes": [
            {"class": name, "learned_from": known.get(name, 0), **_of_class(cells, place)}
            for place, name in enumerate(scored.names)
        ],
        "confusion": {"true_by_answered": cells.tolist(), "classes": list(scored.names)},
    }
    unseen = unseen_classes(dict(zip(scored.names, cells.sum(axis=1).tolist(), strict=True)), known)
    if not unseen:
        return Appraisal(facts=facts)
    return Appraisal((unseen_check(unseen),), facts)


def unseen_classes(rows: Mapping[str, int], known: Mapping[str, int]) -> dict[str, int]:
    """Rows by class, of the classes that training did not see."""
    return {name: n for name, n in sorted(rows.items()) if n and name not in known}


def unseen_check(unseen: Mapping[str, int]) -> Check:
    """Says which classes training did not see; it decides nothing by itself."""
    rows = sum(unseen.values())
    return Check(
        rule="unseen classes",
        verdict=Verdict.FAILED,
        observed=f"{rows:,} rows are of classes that training did not see: {listed(unseen)}; each "
        "counts as a wrong answer",
        allowed="none",
        severity=Severity.WARNING,
        value=float(rows),
        limit=0.0,
    )


def _of_class(cells: Codes, place: int) -> dict[str, object]:
    right, rows = int(cells[place, place]), int(cells[place].sum())
    answered = int(cells[:, place].sum())
    return {
        "rows": rows,
        "answered": answered,
        "precision": right / answered if answered else None,
        "precision_interval": list(wilson(right, answered, CONFIDENCE)) if answered else None,
        "recall": right / rows if rows else None,
        "recall_interval": list(wilson(right, rows, CONFIDENCE)) if rows else None,
        "f1": 2 * right / (rows + answered) if rows + answered else None,
    }
