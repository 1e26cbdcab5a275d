"""How a preview is told: to people as lines, to programs as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure.lifecycle.data.preview import Cause, Comparison
    from tenure.lifecycle.data.quality import Judgement
    from tenure.lifecycle.data.suggestions import Suggestion
    from tenure.usecases.suites.suggestions import History
    from tenure.usecases.suites.suites import Downstream, Edit, PreviewedBatch

SHOWN = 3
"""Causes of one batch that are spelled out before the others are counted."""


def preview_lines(
    edited: "Edit", seen: "Sequence[PreviewedBatch]", models: "Sequence[Downstream]"
) -> Iterator[str]:
    """The answer for people: what changed, which batches flip and why, which models learn of it."""
    yield f"{edited.after.name}, beside {edited.against}:"
    yield from [f"  {change}" for change in edited.changes] or ["  nothing that matters to data"]
    yield from renamed_lines(edited)
    compared = [s.comparison for s in seen if s.comparison]
    for one in seen:
        if one.comparison and (one.comparison.flips or one.comparison.causes()):
            yield ""
            yield from _batch_lines(one, one.comparison)
    yield ""
    yield _sum_line(compared)
    yield from _origin_lines(seen)
    yield from [_model_line(model) for model in models] or ["No model learns from this data."]


def renamed_lines(edited: "Edit") -> Iterator[str]:
    """That rules were compared under other names than they were written with."""
    if edited.renamed:
        yield (
            f"{edited.renamed} rules of {edited.against} name columns that the contract renamed: "
            "they are compared under the new names."
        )


def _batch_lines(seen: "PreviewedBatch", comparison: "Comparison") -> Iterator[str]:
    before, after = comparison.before, comparison.after
    verdict = (
        f"{before.verdict} → {after.verdict}" if comparison.flips else f"still {after.verdict}"
    )
    yield (
        f"{seen.landed.name}: {verdict}; quarantined "
        f"{before.rows_quarantined:,} → {after.rows_quarantined:,} of {before.rows_in:,} rows"
    )
    causes = comparison.causes()
    yield from (f"  {cause}" for cause in causes[:SHOWN])
    if len(causes) > SHOWN:
        yield f"  and {len(causes) - SHOWN} more"


def _sum_line(compared: "Sequence[Comparison]") -> str:
    from tenure.lifecycle.data.preview import totals

    total = totals(compared)
    flips = total.failed_to_passed + total.passed_to_failed
    return (
        f"{flips} of {total.batches} batches flip: {total.failed_to_passed} failed → passed, "
        f"{total.passed_to_failed} passed → failed. Rows in quarantine: "
        f"{total.quarantine_change:+,}. Rows published: {total.published_change:+,}."
    )


def _origin_lines(seen: "Sequence[PreviewedBatch]") -> Iterator[str]:
    from tenure.usecases.suites.suites import REBUILT

    rebuilt = [s for s in seen if s.origin == REBUILT]
    if rebuilt:
        yield f"The landed file is gone; judged from {REBUILT}: {_batches(rebuilt)}."
    for one in seen:
        if one.comparison is None:
            yield f"Not judged: {_batches([one])}: {one.origin}."


def _batches(seen: "Sequence[PreviewedBatch]") -> str:
    return ", ".join(one.landed.name for one in seen)


def _model_line(model: "Downstream") -> str:
    reads = f"reads {', '.join(model.reads)}" if model.reads else "reads no column that changed"
    line = f"Downstream: {model.model.name} of {model.model.owner}, {reads}"
    for version, batches in model.trained_on.items():
        if batches:
            line += f"; {version}, in service, learned from {', '.join(batches)}"
    return line + "."


def preview_json(
    edited: "Edit", seen: "Sequence[PreviewedBatch]", models: "Sequence[Downstream]"
) -> dict[str, object]:
    """The answer for programs."""
    from tenure.lifecycle.data.preview import totals

    return {
        "suite": edited.after.name,
        "against": edited.against,
        "before_digest": edited.before.digest,
        "after_digest": edited.after.digest,
        "rules_under_new_names": edited.renamed,
        "totals": vars(totals([s.comparison for s in seen if s.comparison])),
        "batches": [_batch_json(s) for s in seen],
        "models": [
            {"model": m.model.name, "owner": m.model.owner, "reads": m.reads}
            | {"in_service": m.trained_on}
            for m in models
        ],
    }


def _batch_json(seen: "PreviewedBatch") -> dict[str, object]:
    known: dict[str, object] = {
        "dataset": seen.landed.dataset.name,
        "batch": seen.landed.batch,
        "refused_and_replaced": seen.landed.is_replaced,
        "judged_from": seen.origin if seen.comparison else None,
    }
    if seen.comparison is None:
        return known | {"not_judged": seen.origin}
    return known | {
        "before": _judgement_json(seen.comparison.before),
        "after": _judgement_json(seen.comparison.after),
        "flips": seen.comparison.flips,
        "quarantine_change": seen.comparison.quarantine_change,
        "published_change": seen.comparison.published_change,
        "causes": [_cause_json(cause) for cause in seen.comparison.causes()],
    }


def _judgement_json(judgement: "Judgement") -> dict[str, object]:
    names = ("verdict", "rows_in", "rows_ok", "rows_quarantined")
    return {name: getattr(judgement, name) for name in names}


def _cause_json(cause: "Cause") -> dict[str, object]:
    finding = cause.finding
    return {
        "suite": "edited" if cause.is_edited else "in force",
        "rule": finding.rule,
        "subject": finding.subject,
        "severity": finding.severity,
        "observed": finding.observed,
        "allowed": finding.allowed,
        "other_suite_allows": cause.otherwise.allowed if cause.otherwise else None,
    }


def suggestions_json(found: "History", proposed: "Sequence[Suggestion]") -> dict[str, object]:
    """Proposals for programs: each as it would stand in the suite's file."""
    return {
        "dataset": found.dataset.name,
        "suite": found.suite.name,
        "batches": [batch for batch, _ in found.snapshots],
        "suggestions": [
            {
                "standing": s.standing,
                "words": s.words,
                "today": s.today or None,
                "evidence": s.proposal.evidence,
                "expectation": s.proposal.as_expectation(),
            }
            for s in proposed
        ],
    }
