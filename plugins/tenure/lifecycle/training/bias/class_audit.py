"""Does a multiclass model treat groups alike: the audit of rates, on its classes.

`accuracy` is that of the class itself. Every other metric is about being selected: answered one of
the classes of `positive`; where none are declared, each class is judged against the rest, at a
confidence that holds for all classes together (Šidák, 1967).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date

from tenure.lifecycle.training.bias.audit import audit
from tenure.lifecycle.training.bias.cells import Cells, Group
from tenure.lifecycle.training.bias.policy import BiasPolicy
from tenure.verdicts import Report, Verdict, worst

ClassCells = Mapping[Group, Mapping[tuple[str, str], int]]
"""Rows of each group by (answered class, class that came true)."""
_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


def audit_classes(
    attributes: Sequence[str],
    counted: ClassCells,
    policy: BiasPolicy,
    *,
    subject: str,
    seed: int,
    today: date,
) -> Report:
    """Judge every view of the groups against the policy.

    Args:
        attributes: Names of the protected attributes, in the order of the groups' values.
        counted: Of one scan.
        policy: Bounds, and what small groups do.
        subject: `model@version`.
        seed: Of the multinomial bootstrap.
        today: Decides whether an excuse (`mode: report_only`) still holds.

    Raises:
        ConfigInvalid: A value of an attribute with edges is no number.
    """
    if policy.metric == "accuracy":
        cells = _cells(attributes, {g: _right_or_wrong(rows) for g, rows in counted.items()})
        return audit(cells, policy, subject=subject, seed=seed, today=today, both_labels=False)
    if policy.positive:
        cells = _selected(attributes, counted, policy.positive)
        found = audit(cells, policy, subject=subject, seed=seed, today=today)
        return replace(found, facts={**found.facts, "positive": list(policy.positive)})
    names = sorted({name for rows in counted.values() for pair in rows for name in pair})
    together = policy.model_copy(
        update={"confidence": policy.confidence ** (1 / max(len(names), 1))}
    )
    reports = {
        name: audit(
            _selected(attributes, counted, (name,)),
            together,
            subject=subject,
            seed=seed,
            today=today,
        )
        for name in names
    }
    return _together(reports, policy, subject, counted, today)


def _together(
    reports: Mapping[str, Report],
    policy: BiasPolicy,
    subject: str,
    counted: ClassCells,
    today: date,
) -> Report:
    """One report of the audits of all classes; its verdict is the worst of theirs."""
    verdict = worst(report.verdict for report in reports.values())
    checks = [
        replace(check, subject=f"class {name}: {check.subject}".removesuffix(": "))
        for name, report in reports.items()
        for check in report.checks
    ]
    total = sum(sum(rows.values()) for rows in counted.values())
    worst_ones = [name for name, one in reports.items() if one.verdict is verdict]
    said = f"class {worst_ones[0]}: {reports[worst_ones[0]].summary}" if worst_ones else "no rows"
    more = f"; {len(worst_ones)} of {len(reports)} classes are {verdict}" if reports else ""
    facts: dict[str, object] = next((dict(one.facts) for one in reports.values()), {})
    for part in ("groups", "comparisons"):
        facts[part] = [
            {"class": name, **row}
            for name, one in reports.items()
            for row in one.facts[part]  # type: ignore[attr-defined]
        ]
    facts |= {
        "rows": total,
        "classes": list(reports),
        "overall": {name: one.facts["overall"] for name, one in reports.items()},
        "confidence": policy.confidence,
    }
    return Report(
        stage="bias",
        subject=subject,
        verdict=verdict,
        summary=f"bias audit {verdict} on {total:,} rows, each class against the rest: "
        f"{said}{more}",
        checks=tuple(sorted(checks, key=lambda check: _ORDER[check.verdict])),
        facts=facts,
        enforced=policy.enforces(today),
    )


def _cells(attributes: Sequence[str], counted: Mapping[Group, Sequence[int]]) -> Cells:
    return Cells.of(attributes, counted)


def _right_or_wrong(rows: Mapping[tuple[str, str], int]) -> tuple[int, int, int, int]:
    """As if each row had to be answered with its class: right ones are true positives."""
    right = sum(n for (answer, label), n in rows.items() if answer == label)
    return right, 0, sum(rows.values()) - right, 0


def _selected(attributes: Sequence[str], counted: ClassCells, positive: Collection[str]) -> Cells:
    """Rows by whether the answer, and the truth, is among the positive classes."""
    cells: dict[Group, list[int]] = {}
    for group, rows in counted.items():
        four = cells.setdefault(group, [0, 0, 0, 0])
        for (answer, label), n in rows.items():
            place = {(True, True): 0, (True, False): 1, (False, True): 2, (False, False): 3}
            four[place[answer in positive, label in positive]] += n
    return _cells(attributes, cells)
