"""Puts the same training without its mitigation beside the version, in the report of its audit.

Import it inside functions: it loads NumPy.
"""

from dataclasses import asdict, replace
from pathlib import Path

from tenure.adapters.training_rows import read_scores, read_unmitigated
from tenure.config import ModelConfig
from tenure.lifecycle.model_version import VersionFacts
from tenure.lifecycle.training.bias.trade_off import compare_mitigated
from tenure.lifecycle.training.evaluation.paired import Scored
from tenure.verdicts import Report

UNMITIGATED = "unmitigated_"
"""Begins the columns of a scored holdout that another training filled."""


def with_trade_off(
    config: ModelConfig, facts: VersionFacts, path: Path, report: Report, before: Report
) -> Report:
    """The report, with both models side by side; the verdict stays.

    Args:
        config: The model.
        facts: Of the version, which is mitigated.
        path: Its scored holdout.
        report: Its audit.
        before: The audit of the same training without the mitigation.
    """
    done = facts.mitigation
    assert done is not None and facts.threshold is not None  # noqa: PT018  # it is mitigated
    scores, labels = read_scores(path)
    found = compare_mitigated(
        labels,
        Scored(scores, facts.threshold),
        Scored(read_unmitigated(path), done.unmitigated_threshold),
        after_audit=report,
        before_audit=before,
        costs=config.evaluation.costs,
    )
    policy = config.mitigation
    decision = policy.decision.model_dump(mode="json") if policy and policy.decision else None
    stated = {**asdict(done), "attributes": list(done.attributes), "notes": list(done.notes)}
    notes = "".join(f"; {note}" for note in done.notes)
    return replace(
        report,
        summary=f"{report.summary}; {done.method} of {' and '.join(done.attributes)}: "
        f"{found.summary}{notes}",
        checks=(*report.checks, *found.checks),
        facts={**report.facts, "mitigation": stated | {"decision": decision, **found.facts}},
    )
