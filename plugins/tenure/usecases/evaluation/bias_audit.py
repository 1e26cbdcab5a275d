"""Audits any file of labels and predictions, or scores, without an installation.

Import it inside functions: it loads NumPy and DuckDB.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from tenure.adapters.scored_file import count_file
from tenure.errors import ConfigInvalid, FileRefused
from tenure.lifecycle.training.bias import BiasPolicy
from tenure.lifecycle.training.bias.audit import audit
from tenure.lifecycle.training.bias.cells import Cells, Group
from tenure.lifecycle.training.bias.scored import AuditColumns, ScoredCell
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
        positive: The label, and prediction, that is the positive one; None: true or 1.
        policy: What is judged.
    """

    path: Path
    columns: AuditColumns
    positive: str | None
    policy: BiasPolicy


def audit_file(asked: FileAudit) -> Report:
    """The verdict on the groups of a file; nothing is stored.

    Raises:
        FileRefused: The file cannot be judged as it was asked.
    """
    found = count_file(asked.path, asked.columns)
    left_out = _left_out(found, asked.columns)
    cells = _cells(asked, [cell for cell in found if _is_whole(cell)])
    _require_references(asked, cells.banded(asked.policy.edges))
    report = audit(cells, asked.policy, subject=str(asked.path), seed=SEED, today=date.min)
    said = "".join(
        f"; left out: {rows:,} row{'s' * (rows != 1)} whose {why}" for why, rows in left_out.items()
    )
    return replace(
        report,
        summary=f"{report.summary}{said}",
        facts={**report.facts, "left_out": left_out},
        enforced=False,
    )


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
            "the prediction are written alike, and have one other value. Where nothing is known "
            "leave the cell empty: such rows are left out and counted.",
        ) from None
    return {value: means[_plain(value)] for value in counts}


def _plain(value: str) -> str:
    """A whole number without decimals, as a file has it whose column had a gap: `1.0` is 1."""
    found = _WHOLE.fullmatch(value)
    return found[1] if found else value


def _require_references(asked: FileAudit, cells: Cells) -> None:
    for name, value in asked.policy.reference.items():
        values = {group[cells.attributes.index(name)] for group in cells.groups}
        if value not in values:
            shown = ", ".join(sorted(v for v in values if v is not None)[:20]) or "none"
            raise FileRefused(
                f"{asked.path}: {name} has no group {value!r} to compare with; it has {shown}.",
                still_safe=KEPT,
                next_step="Name one of these with --reference.",
            )
