"""Whether the live decisions treat groups alike: the audit of the training gate, on new cells."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from tenure.lifecycle.training.bias import BiasPolicy
from tenure.lifecycle.training.bias.audit import audit
from tenure.lifecycle.training.bias.cells import Cells
from tenure.ports import ClassCounts, ErrorCounts, OutcomeCounts
from tenure.verdicts import Report, Verdict


def judge_fairness(
    counts: OutcomeCounts,
    policy: BiasPolicy,
    *,
    visible: Sequence[str],
    min_label_coverage: float,
    subject: str,
    seed: int,
    today: date,
    facts: Mapping[str, Any],
) -> Report:
    """The bias audit of the mature decisions that have an outcome.

    Args:
        counts: Of a window; the keys of its cells are the values of `visible`, in order.
        policy: The model's bias gate.
        visible: Protected attributes that decisions carry (those that are features).
        min_label_coverage: Share of mature decisions with an outcome below which it is
            inconclusive.
        subject: What is judged.
        seed: Of the audit's bootstrap.
        today: Decides whether an excuse still holds.
        facts: Goes into the report.
    """
    if why := why_unclear(counts, policy.attributes, visible, min_label_coverage):
        return unclear(why, subject, facts, counts)
    cells = Cells(
        attributes=tuple(visible),
        groups=tuple(counts.cells),
        counts=np.array(list(counts.cells.values()), dtype=np.int64),
    )
    found = audit(cells, policy, subject=subject, seed=seed, today=today)
    return as_live(found, policy.attributes, visible, facts)


def why_unclear(
    counts: OutcomeCounts | ClassCounts | ErrorCounts,
    attributes: Sequence[str],
    visible: Sequence[str],
    min_label_coverage: float,
) -> str:
    """Why nothing can be said of groups; empty where something can."""
    if not visible:
        return f"decisions carry none of {', '.join(attributes)}"
    covered = counts.labelled / counts.answered if counts.answered else 0.0
    if counts.labelled and covered >= min_label_coverage:
        return ""
    needed = f"{min_label_coverage:.0%} are needed"
    return f"{covered:.1%} of the mature decisions have an outcome, {needed}"


def unclear(
    why: str,
    subject: str,
    facts: Mapping[str, Any],
    counts: OutcomeCounts | ClassCounts | ErrorCounts,
) -> Report:
    """The report of a window of which nothing can be said."""
    return Report(
        stage="monitoring",
        subject=subject,
        verdict=Verdict.INCONCLUSIVE,
        summary=f"Fairness inconclusive: {why}.",
        facts={**facts, "answered": counts.answered, "labelled": counts.labelled},
        enforced=False,
    )


def as_live(
    found: Report, attributes: Sequence[str], visible: Sequence[str], facts: Mapping[str, Any]
) -> Report:
    """An audit as a monitoring result; it names the attributes that decisions do not carry."""
    hidden = sorted(set(attributes) - set(visible))
    unseen = f" Not in the decisions, so not judged: {', '.join(hidden)}." if hidden else ""
    return replace(
        found,
        stage="monitoring",
        summary=f"Fairness {found.verdict}: {found.summary}.{unseen}",
        facts={**facts, **found.facts},
        enforced=False,
    )
