"""Audits any file of labels and predictions, or scores, without an installation.

Import it inside functions: it loads NumPy and DuckDB.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from tenure.adapters.scored_file import count_file, error_file
from tenure.errors import ConfigInvalid, FileRefused
from tenure.lifecycle.training.bias import BiasPolicy, ErrorBiasPolicy
from tenure.lifecycle.training.bias.audit import audit
from tenure.lifecycle.training.bias.cells import Cells, Group
from tenure.lifecycle.training.bias.scored import AuditColumns, ScoredCell
from tenure.lifecycle.training.classes import (
    FEWEST_CLASSES,
    MOST_CLASSES,
    ClassRule,
)
from tenure.lifecycle.training.labels import LabelRule
from tenure.verdicts import Report

SEED = 0
"""Of the bootstrap: the same file gives the same report."""
KEPT = "The file was only read."
_WHOLE = re.compile(r"(-?\d+)\.0+")
_TRUE = frozenset({"1", "true"})
_PLACES = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
"""In (tp, fp, fn, tn), by decision and label."""


@dataclass(frozen=True)
class FileAudit:
    """What is asked about a file.

    Args:
        path: CSV or Parquet.
        columns: Which of them mean what.
        positive: The label, and prediction, that is the positive one; None: true or 1. Of several
            classes those that count as selected, with commas between them; None: each is judged
            against the rest.
        policy: What is judged; with one of errors, label and prediction are numbers.
        task: Whether label and prediction are classes; None: whether they look like it.
    """

    path: Path
    columns: AuditColumns
    positive: str | None
    policy: BiasPolicy | ErrorBiasPolicy
    task: Literal["binary", "multiclass"] | None = None


def audit_file(asked: FileAudit) -> Report:
    """The verdict on the groups of a file; nothing is stored.

    Raises:
        FileRefused: The file cannot be judged as it was asked.
    """
    if isinstance(asked.policy, ErrorBiasPolicy):
        report, left_out = _of_numbers(asked, asked.policy)
    else:
        report, left_out = _of_decisions(asked, asked.policy)
    said = "".join(
        f"; left out: {rows:,} row{'s' * (rows != 1)} whose {why}" for why, rows in left_out.items()
    )
    return replace(
        report,
        summary=f"{report.summary}{said}",
        facts={**report.facts, "left_out": left_out},
        enforced=False,
    )


def _of_decisions(asked: FileAudit, policy: BiasPolicy) -> tuple[Report, dict[str, int]]:
    found = count_file(asked.path, asked.columns)
    whole = [cell for cell in found if _is_whole(cell)]
    if guess := _looks_like_classes(asked, whole):
        report = _of_classes(asked, policy, whole)
        said = f"{report.summary}; taken for several classes: {guess}"
        report = report if asked.task else replace(report, summary=said)
        return report, _left_out(found, asked.columns)
    cells = _cells(asked, whole)
    banded = cells.banded(policy.edges)
    _require_references(asked, banded.attributes, banded.groups)
    report = audit(cells, policy, subject=str(asked.path), seed=SEED, today=date.min)
    return report, _left_out(found, asked.columns)


def _looks_like_classes(asked: FileAudit, found: Sequence[ScoredCell]) -> str:
    """Why label and prediction are several classes; empty where they are yes and no."""
    if asked.task is not None:
        return asked.task if asked.task == "multiclass" else ""
    values = {_plain(str(cell.label)) for cell in found}
    if asked.columns.score is not None or len(values) < FEWEST_CLASSES:
        return ""
    if asked.positive is not None:
        several = "," in asked.positive and _plain(asked.positive) not in values
        return "--positive names several values" if several else ""
    if any(LabelRule().meaning(value) is not None for value in values):
        return ""  # 0, 1 and 2 may be yes, no and a code for unknown
    return f"{asked.columns.label} has {len(values):,} values"


def _of_classes(asked: FileAudit, policy: BiasPolicy, found: Sequence[ScoredCell]) -> Report:
    from tenure.lifecycle.training.bias.class_audit import audit_classes

    counts: dict[Group, Counter[tuple[str, str]]] = {}
    for cell in found:
        pair = _plain(str(cell.decision)), _plain(str(cell.label))
        counts.setdefault(cell.group, Counter())[pair] += cell.rows
    _require_classes(asked, counts)
    positive = _positive_classes(
        asked, {name for of in counts.values() for pair in of for name in pair}
    )
    groups = Cells.of(asked.columns.protected, dict.fromkeys(counts, (0, 0, 0, 0)))
    banded = groups.banded(policy.edges)
    _require_references(asked, banded.attributes, banded.groups)
    report = audit_classes(
        asked.columns.protected,
        counts,
        policy.model_copy(update={"positive": positive}),
        subject=str(asked.path),
        seed=SEED,
        today=date.min,
    )
    return replace(report, facts={**report.facts, "task": "multiclass"})


def _require_classes(
    asked: FileAudit, counts: Mapping[Group, Mapping[tuple[str, str], int]]
) -> None:
    """Raises FileRefused where a value is no class, or there are too many of them."""
    for place, column in enumerate((asked.columns.prediction, asked.columns.label)):
        rows: Counter[str] = Counter()
        for of_group in counts.values():
            for pair, number in of_group.items():
                rows[pair[place]] += number
        try:
            ClassRule().meanings(rows, column=str(column), still_safe=KEPT)
        except ConfigInvalid as error:
            raise _refused(f"{asked.path}: {error.what}", error.next_step) from None
        if len(rows) > MOST_CLASSES:
            raise _refused(
                f"{asked.path}: {column} has {len(rows):,} values; at most {MOST_CLASSES} classes "
                "can be audited.",
                "Put rare classes together, or name a column with classes.",
            )


def _positive_classes(asked: FileAudit, known: Collection[str]) -> tuple[str, ...]:
    if asked.positive is None:
        return ()
    whole = _plain(asked.positive)
    named = (
        (whole,)
        if whole in known
        else tuple(_plain(one.strip()) for one in asked.positive.split(","))
    )
    if unknown := [one for one in named if one not in known]:
        raise _refused(
            f"{asked.path}: no label and no prediction is {unknown[0]!r}; there are "
            f"{', '.join(sorted(known)[:20])}.",
            "Name classes of the file with --positive, or leave it out: then each class is judged "
            "against the rest.",
        )
    return tuple(dict.fromkeys(named))


def _refused(what: str, next_step: str) -> FileRefused:
    return FileRefused(what, still_safe=KEPT, next_step=next_step)


def _of_numbers(asked: FileAudit, policy: ErrorBiasPolicy) -> tuple[Report, dict[str, int]]:
    from tenure.lifecycle.training.bias.errors import audit_errors, banded_errors

    columns = asked.columns
    found = error_file(asked.path, columns)
    held = {cell.group: cell.sums for cell in found if cell.sums.rows}
    banded = banded_errors(columns.protected, held, policy)
    _require_references(asked, columns.protected, tuple(banded))
    report = audit_errors(columns.protected, held, policy, subject=str(asked.path), today=date.min)
    missing = {
        f"label ({columns.label}) is missing": sum(cell.without_label for cell in found),
        f"prediction ({columns.prediction}) is missing": sum(
            cell.without_prediction for cell in found
        ),
    }
    return report, {why: rows for why, rows in missing.items() if rows}


def _is_whole(cell: ScoredCell) -> bool:
    return cell.label is not None and cell.decision is not None


def _left_out(cells: Sequence[ScoredCell], columns: AuditColumns) -> dict[str, int]:
    """Rows that are not judged, by what is missing; a row without both counts as without label."""
    found: Counter[str] = Counter()
    for cell in cells:
        if cell.label is None:
            found[f"label ({columns.label}) is missing"] += cell.rows
        elif cell.decision is None:
            kind = "score" if columns.score else "prediction"
            found[f"{kind} ({columns.score or columns.prediction}) is missing"] += cell.rows
    return dict(sorted(found.items()))


def _cells(asked: FileAudit, found: Sequence[ScoredCell]) -> Cells:
    """Confusion cells by group, with errors of the scores where there are any."""
    labels, decisions = _meanings(asked, found)
    counts: dict[Group, list[int]] = {}
    errors: dict[Group, list[float]] = {}
    for cell in found:
        truth = labels[str(cell.label)]
        decided = (
            cell.decision if isinstance(cell.decision, bool) else decisions[str(cell.decision)]
        )
        counts.setdefault(cell.group, [0, 0, 0, 0])[_PLACES[decided, truth]] += cell.rows
        score, square = cell.score
        sums = errors.setdefault(cell.group, [0.0, 0.0])
        sums[0] += score - truth * cell.rows
        sums[1] += square - 2 * truth * score + truth * cell.rows
    return Cells.of(asked.columns.protected, counts, errors if asked.columns.score else None)


def _meanings(
    asked: FileAudit, found: Sequence[ScoredCell]
) -> tuple[Mapping[str, bool], Mapping[str, bool]]:
    """What each label and each prediction means, as they were read."""
    labels = Counter({str(cell.label): 0 for cell in found})
    decisions = Counter({str(c.decision): 0 for c in found if not isinstance(c.decision, bool)})
    for cell in found:
        labels[str(cell.label)] += cell.rows
        if not isinstance(cell.decision, bool):
            decisions[str(cell.decision)] += cell.rows
    rule = _rule(asked.positive, labels)
    of_labels = _meaning(asked, rule, labels, asked.columns.label, is_label=True)
    of_decisions = _meaning(asked, rule, decisions, str(asked.columns.prediction), is_label=False)
    return of_labels, of_decisions


def _rule(positive: str | None, labels: Mapping[str, int]) -> LabelRule:
    """With the negative, where the positive is declared and there is only one other label."""
    if positive is None:
        return LabelRule()
    rule = LabelRule(positive=_plain(positive))
    values = {_plain(label) for label in labels}
    others = values - {str(rule.positive)}
    if len(others) != 1 or others == values or rule.meaning(other := others.pop()) is not None:
        return rule
    return rule if other.lower() in _TRUE else replace(rule, negative=other)


def _meaning(
    asked: FileAudit, rule: LabelRule, counts: Mapping[str, int], column: str, *, is_label: bool
) -> dict[str, bool]:
    plain: Counter[str] = Counter()
    for value, rows in counts.items():
        plain[_plain(value)] += rows
    try:
        means = rule.meanings(plain, column=column, still_safe=KEPT, of_a_part=not is_label)
    except ConfigInvalid as error:
        raise FileRefused(
            f"{asked.path}: {error.what}",
            still_safe=KEPT,
            next_step="Say which value is the positive one, as in --positive yes; the label and "
            "the prediction are written alike, and have one other value; or say --task multiclass "
            "where they are several classes. Where nothing is known leave the cell empty: such "
            "rows are left out and counted.",
        ) from None
    return {value: means[_plain(value)] for value in counts}


def _plain(value: str) -> str:
    """A whole number without decimals, as a file has it whose column had a gap: `1.0` is 1."""
    found = _WHOLE.fullmatch(value)
    return found[1] if found else value


def _require_references(
    asked: FileAudit, attributes: Sequence[str], groups: Sequence[Group]
) -> None:
    for name, value in asked.policy.reference.items():
        values = {group[attributes.index(name)] for group in groups}
        if value not in values:
            shown = ", ".join(sorted(v for v in values if v is not None)[:20]) or "none"
            raise FileRefused(
                f"{asked.path}: {name} has no group {value!r} to compare with; it has {shown}.",
                still_safe=KEPT,
                next_step="Name one of these with --reference.",
            )
