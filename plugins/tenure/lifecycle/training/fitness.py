"""What rows must hold for a model to learn from them, and for its gates to judge what it learned.

A training refuses by these rules, and so do its gates; `tenure check` lists all that they will say.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.errors import ConfigInvalid
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.training.bias.audit import LAPSED, audit
from tenure.lifecycle.training.bias.cells import Cells, Group
from tenure.lifecycle.training.bias.class_audit import audit_classes
from tenure.lifecycle.training.bias.error_policy import ErrorBiasPolicy
from tenure.lifecycle.training.bias.errors import audit_errors
from tenure.lifecycle.training.bias.policy import BiasPolicy
from tenure.lifecycle.training.classes import class_faults, listed
from tenure.lifecycle.training.evaluation.gate import judge
from tenure.lifecycle.training.evaluation.leaks import ColumnScan, judge_leaks
from tenure.lifecycle.training.evaluation.measuring import measure_answers
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy
from tenure.ports import ErrorSums
from tenure.verdicts import Check, Severity, Verdict

SHOWN = 5
"""Faults, or groups, that are spelled out before it is said how many more there are."""
LARGEST_SQUARED = 1e150
"""Of a number beyond it no double holds the square, or the sum of squares over the rows."""
SQUARING = frozenset({"logistic_regression"})
"""Estimators of ours that scale numbers by their variance."""
_CLASSES = 2
_FEWEST_DRAWS = 100


@dataclass(frozen=True)
class RowFault:
    """Something in the rows that keeps a model from learning, or a gate from judging it.

    Args:
        said: A sentence without its point.
        about: The column as the model names it, or a key of the model's YAML with those above it.
        remedy: What to do about it, as a sentence without its point.
    """

    said: str
    about: str | tuple[str, ...]
    remedy: str = ""


class UnfitRows(ConfigInvalid):
    """ConfigInvalid that still knows its single faults."""

    def __init__(self, faults: Sequence[RowFault], *, still_safe: str) -> None:
        self.faults = tuple(faults)
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        remedies = dict.fromkeys(f"{fault.remedy}. " for fault in faults[:SHOWN] if fault.remedy)
        super().__init__(
            f"{'; '.join(fault.said for fault in faults[:SHOWN])}{more}.",
            still_safe=still_safe,
            next_step=f"{''.join(remedies)}`tenure check` lists everything; then trigger the run "
            "again.",
        )


def learning_faults(
    labels: NDArray[Any],
    values: Mapping[str, int],
    *,
    label: str,
    squared: Mapping[str, float],
    of_a_part: bool = False,
) -> Iterator[RowFault]:
    """Why nothing can be learned from the rows that are trained on, whatever the estimator.

    Args:
        labels: Booleans, classes (texts), or numbers of a regression; shape (n,).
        values: How many of the rows have a value, by feature.
        label: The column of the labels.
        squared: Largest magnitude of each feature that the estimator scales; none where it does
            not.
        of_a_part: Whether a search only tries these rows: then a class may have any number.
    """
    for name, largest in squared.items():
        if largest > LARGEST_SQUARED:
            yield RowFault(
                f"{name} has numbers as large as {largest:.3g}, and the estimator takes the square "
                f"of numbers: it can up to {LARGEST_SQUARED:g}",
                name,
                "Have the source repaired, or take an estimator that only compares numbers, such "
                "as hist_gradient_boosting",
            )
    yield from valueless(values, f"the {len(labels):,} rows that are trained on")
    classes, numbers = np.unique(labels, return_counts=True)
    if len(classes) < _CLASSES:
        only = spell(classes[0].item()) if len(classes) else "none"
        what = "value" if labels.dtype.kind == "f" else "class"
        yield RowFault(
            f"{label} has one {what} only: it is {only} in all of the {len(labels):,} rows that "
            "are trained on",
            label,
            "Take more batches (training.window_batches), or correct `label` in the model's YAML",
        )
    elif labels.dtype.kind == "U" and not of_a_part:
        counts = dict(zip(classes.tolist(), map(int, numbers), strict=True))
        for said, remedy in class_faults(counts, label=label):
            yield RowFault(said, label, remedy)


def declared_class_faults(
    declared: Mapping[tuple[str, ...], Sequence[str]], labels: NDArray[Any]
) -> Iterator[RowFault]:
    """Classes that the model's YAML names, and no row that is learned from has.

    Args:
        declared: Classes by the key that names them.
        labels: Of the rows that are trained on, texts of shape (n,).
    """
    if not declared:
        return
    names, numbers = np.unique(labels, return_counts=True)
    rows = dict(zip(names.tolist(), map(int, numbers), strict=True))
    for key, classes in declared.items():
        for name in (one for one in classes if one not in rows):
            yield RowFault(
                f"{'.'.join(key)} names {name!r}, which is no class of the {len(labels):,} rows "
                f"that are trained on; they have {listed(rows)}",
                key,
                f"Name one of these in {'.'.join(key)}",
            )


def valueless(values: Mapping[str, int], rows: str) -> Iterator[RowFault]:
    """Features without any value in these rows."""
    for name, number in values.items():
        if not number:
            yield RowFault(
                f"{name} has no value in any of {rows}",
                name,
                "Take it from `features` in the model's YAML, or have its source repaired",
            )


def gate_faults(
    evaluation: EvaluationPolicy,
    bias: BiasPolicy | ErrorBiasPolicy,
    labels: NDArray[Any],
    protected: Mapping[str, NDArray[np.object_]],
    *,
    today: date,
) -> Iterator[RowFault]:
    """Why a gate will be inconclusive whatever the model says: the gates judge one that says yes.

    Of a regression, one that says 0. Where they cannot judge that one, it is for the labels and
    groups of the rows alone.

    Args:
        evaluation: Excused, it stops nothing.
        bias: As well.
        labels: Of the rows that are held out, shape (n,).
        protected: Their groups, by attribute; without one of its attributes bias is left alone.
        today: Decides whether an excuse still holds.
    """
    if evaluation.enforces(today):
        yield from _of_evaluation(evaluation, labels, today)
    if bias.enforces(today) and not {*bias.attributes} - protected.keys():
        yield from _of_bias(bias, labels, protected, today)


def _of_evaluation(
    policy: EvaluationPolicy, labels: NDArray[Any], today: date
) -> Iterator[RowFault]:
    is_binary, is_class = labels.dtype == np.bool_, labels.dtype.kind == "U"
    says = np.ones(len(labels)) if is_binary else np.zeros(len(labels))
    names = tuple(np.unique(labels).tolist()) if is_class else ()
    if names:
        says = np.eye(len(names))[np.zeros(len(labels), dtype=int)]
    threshold = policy.threshold if is_binary else None
    report = judge(
        policy,
        measure_answers(says, labels, threshold=threshold, costs=policy.error_costs, classes=names),
        subject="",
        rows=len(labels),
        threshold=threshold,
        baseline={},
        today=today,
    )
    for check in _undecided(report.checks):
        is_short = check.rule == "rows"
        yield RowFault(
            f"evaluation will be inconclusive on the {len(labels):,} rows that are held out: "
            f"{'' if is_short else f'{check.rule} '}{check.observed}, allowed {check.allowed}",
            ("evaluation", "min_rows" if is_short else "gates"),
        )


def _of_bias(
    policy: BiasPolicy | ErrorBiasPolicy,
    labels: NDArray[Any],
    protected: Mapping[str, NDArray[np.object_]],
    today: date,
) -> Iterator[RowFault]:
    checks = (
        _error_checks(policy, labels, protected, today)
        if isinstance(policy, ErrorBiasPolicy)
        else _rate_checks(policy, labels, protected, today)
    )
    undecided = _undecided(checks)
    small = [check for check in undecided if check.rule == "group rows"]
    unlike = [check for check in undecided if check.rule == "group labels"]
    where = f"bias audit will be inconclusive on the {len(labels):,} rows that are held out"
    for check in undecided:
        if check.rule == LAPSED:
            yield RowFault(f"{where}: the {LAPSED} {check.observed}", ("bias", "decision"))
        elif check not in (*small, *unlike) and check.value is None:
            yield RowFault(f"{where}: {check.subject} has {check.observed}", ("bias", "attributes"))
    if policy.small_groups == "report":
        return
    is_binary = labels.dtype == np.bool_
    for check in unlike if is_binary and len(np.unique(labels)) == _CLASSES else ():
        yield RowFault(f"{where}: {check.subject} has {check.observed}", ("bias", "attributes"))
    if small:
        shown = ", ".join(f"{c.subject} ({c.value:,.0f})" for c in small[:SHOWN])
        more = f" and {len(small) - SHOWN} more" if len(small) > SHOWN else ""
        yield RowFault(
            f"{where}: groups have fewer than {policy.min_group_rows:,} rows that {policy.metric} "
            f"counts: {shown}{more}",
            ("bias", "min_group_rows"),
        )


def leak_faults(policy: EvaluationPolicy, scan: ColumnScan) -> Iterator[RowFault]:
    """Features that the evaluation will refuse, however good the model looks."""
    for check in judge_leaks(policy, scan).checks:
        if check.verdict is Verdict.FAILED and check.severity is Severity.CRITICAL:
            yield RowFault(
                f"{check.rule}: {check.observed}",
                check.subject or ("evaluation", "max_duplicate_share"),
                "Take it from `features`, or say in evaluation.accepted_leaks why it is known "
                "before the label",
            )


def _rate_checks(
    policy: BiasPolicy,
    labels: NDArray[Any],
    protected: Mapping[str, NDArray[np.object_]],
    today: date,
) -> Sequence[Check]:
    groups = zip(*(protected[name].tolist() for name in policy.attributes), strict=True)
    few_draws = policy.model_copy(update={"bootstrap_draws": _FEWEST_DRAWS})
    if labels.dtype.kind == "U":
        of_classes: dict[Group, Counter[tuple[str, str]]] = defaultdict(Counter)
        for group, label in zip(groups, labels.tolist(), strict=True):
            of_classes[group][label, label] += 1
        found = audit_classes(
            policy.attributes, of_classes, few_draws, subject="", seed=0, today=today
        )
        return found.checks
    counted: dict[Group, tuple[int, int, int, int]] = {}
    for (group, label), rows in Counter(zip(groups, labels.tolist(), strict=True)).items():
        positive, negative, *_ = counted.get(group, (0, 0, 0, 0))
        counted[group] = (positive + rows * label, negative + rows * (not label), 0, 0)
    cells = Cells.of(policy.attributes, counted)
    return audit(cells, few_draws, subject="", seed=0, today=today).checks


def _error_checks(
    policy: ErrorBiasPolicy,
    labels: NDArray[np.float64],
    protected: Mapping[str, NDArray[np.object_]],
    today: date,
) -> Sequence[Check]:
    found = zip(*(protected[name].tolist() for name in policy.attributes), strict=True)
    groups = {group: ErrorSums(n, 0.0, 0.0, 0.0, 0.0) for group, n in Counter(found).items()}
    return audit_errors(policy.attributes, groups, policy, subject="", today=today).checks


def _undecided(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.verdict is Verdict.INCONCLUSIVE]
