"""The reports on a trained version: made from its stored holdout, read back, told to people.

Import it inside functions: it loads SQLAlchemy.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path

from tenure.adapters.sql import reports, versions
from tenure.config import ModelConfig
from tenure.errors import GateFailed, GateInconclusive, StateConflict, TenureError
from tenure.installation import Installation
from tenure.installation.provenance import environment
from tenure.lifecycle.model_version import VersionFacts, VersionRow
from tenure.lifecycle.training.bias import BiasPolicy, ErrorBiasPolicy
from tenure.usecases.training.planning import pinned_config
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, State, VersionRef


def bias_report(platform: Installation, version: VersionRef, run: RunRef) -> Report:
    """The verdict on groups: one scan of the scored holdout, and a look at the training rows."""
    from tenure.usecases.evaluation.mitigation_effect import UNMITIGATED, with_trade_off
    from tenure.usecases.evaluation.training_data_audit import with_training_data

    row = row_of(platform, version)
    config = pinned_config(platform, row)
    facts = trained_facts(row)
    path = platform.store.fetch(facts.holdout_key, facts.holdout_digest)
    today = platform.clock.now().date()
    report = _audited(config, path, version.name, today)
    if facts.mitigation is not None and isinstance(config.bias, BiasPolicy):
        before = audit_scored(
            config, config.bias, path, subject=version.name, today=today, prefix=UNMITIGATED
        )
        report = with_trade_off(config, facts, path, report, before)
    return bound(with_training_data(platform, config, row, report, run), row)


def _audited(config: ModelConfig, path: Path, subject: str, today: date) -> Report:
    """The audit that the task has, of a scored holdout."""
    from tenure.adapters.ibis_engine.classes import group_classes
    from tenure.adapters.ibis_engine.errors import group_errors
    from tenure.lifecycle.training.bias.class_audit import audit_classes
    from tenure.lifecycle.training.bias.errors import audit_errors

    bias = config.bias
    if isinstance(bias, ErrorBiasPolicy):
        groups = group_errors([path], bias.attributes)
        return audit_errors(bias.attributes, groups, bias, subject=subject, today=today)
    if config.task == "multiclass":
        return audit_classes(
            bias.attributes,
            group_classes([path], bias.attributes),
            bias,
            subject=subject,
            seed=config.training.seed,
            today=today,
        )
    return audit_scored(config, bias, path, subject=subject, today=today)


def audit_scored(
    config: ModelConfig,
    bias: BiasPolicy,
    path: Path,
    *,
    subject: str,
    today: date,
    prefix: str = "",
) -> Report:
    """The audit of the decisions of a scored holdout; with a prefix, of other decisions in it."""
    from tenure.adapters.ibis_engine.confusion import confusion_cells
    from tenure.lifecycle.training.bias.audit import audit
    from tenure.lifecycle.training.bias.cells import Cells

    counted = confusion_cells([path], bias.attributes, prefix=prefix)
    return audit(
        Cells.of(
            bias.attributes,
            {group: cell.counts for group, cell in counted.items()},
            {group: cell.errors for group, cell in counted.items()},
        ),
        bias,
        subject=subject,
        seed=config.training.seed,
        today=today,
    )


def bias_audit(
    platform: Installation, model: str, number: int | None, run: RunRef
) -> tuple[Report, str]:
    """Audit any version that has a scored holdout; moves nothing.

    Args:
        platform: The installation.
        model: Name of the model.
        number: Version, or None for the newest that was trained.
        run: Who asks; the report is kept under it.

    Returns:
        The report and its digest.

    Raises:
        StateConflict: There is no such version, or it was never trained.
    """
    version = _named(platform, model, number)
    report = bias_report(platform, version, run)
    return report, platform.reports.save(report, model=model, dataset=None, run=run)


def audit_by_hand(
    platform: Installation, model: str, number: int | None, run: RunRef
) -> dict[str, object]:
    """As `bias_audit`, but raises when the gate fails, as a task should; moves nothing.

    Raises:
        GateFailed, GateInconclusive: The report is stored.
    """
    report, digest = bias_audit(platform, model, number, run)
    if stops(report):
        raise refusal(platform, report, model)
    return {"subject": report.subject, "verdict": str(report.verdict), "report": digest}


def refusal(platform: Installation, report: Report, model: str) -> TenureError:
    """The error that a bad verdict is raised as."""
    failed = report.verdict is Verdict.FAILED
    advice = (
        "look at its checks, then change the data, the features or, with its owner's agreement, "
        "the gate in the model's YAML"
        if failed
        else "publish more data, or let the model's owner excuse the gate (mode: report_only with "
        "a reason and an expiry date)"
    )
    return (GateFailed if failed else GateInconclusive)(
        f"{report.subject}: {report.summary}.",
        still_safe=f"{report.subject} takes no traffic. {still_safe(platform, model)}",
        next_step=f"Open the {report.stage} report: {advice}. Then trigger a new training; "
        "clearing this task only says the same again.",
        evidence=report.digest,
    )


def stops(report: Report) -> bool:
    """Whether the verdict keeps the version from passing; an excused gate never does."""
    return report.verdict is not Verdict.PASSED and report.enforced


def stored(platform: Installation, digest: str | None) -> Report | None:
    """The report with this digest, exactly as it was stored."""
    if digest is None:
        return None
    with platform.database.begin() as connection:
        found = reports.by_digest(connection, digest)
    return found.report if found else None


def row_of(platform: Installation, version: VersionRef) -> VersionRow:
    """Every column of the version."""
    with platform.database.begin() as connection:
        return versions.row_by_id(connection, version.id)


def still_safe(platform: Installation, model: str) -> str:
    """What serves now, for people."""
    with platform.database.begin() as connection:
        champion = versions.in_state(connection, model, [State.CHAMPION])
    if champion:
        return f"{champion[0].name} stays champion; traffic is not affected."
    return f"No version of {model} serves yet, so no client is affected."


def bound(report: Report, row: VersionRow) -> Report:
    """Bind the evidence to the bytes that it is about."""
    about = {
        "artifact_digest": row.artifact_digest,
        "mlflow_run_id": row.mlflow_run_id,
        "data_digest": row.data_digest,
        "holdout_digest": row.facts.holdout_digest,
        "environment_differences": list(row.facts.environment.differences(environment())),
    }
    return replace(report, facts={**report.facts, **about})


def trained_facts(row: VersionRow) -> VersionFacts:
    """The version's evidence. Raises StateConflict when it was never trained."""
    if not row.is_trained:
        raise StateConflict(
            f"{row.name} is {row.state} and has no scored holdout.",
            still_safe="Nothing was changed.",
            next_step="Choose a version that was trained.",
        )
    return row.facts


def _named(platform: Installation, model: str, number: int | None) -> VersionRef:
    with platform.database.begin() as connection:
        known = versions.all_of(connection, model)
    trained = [v for v in known if v.artifact_digest is not None]
    if number is not None:
        trained = [v for v in known if v.version == number]
    if not trained:
        asked = f"{model}@{number}" if number is not None else f"a trained version of {model}"
        listed = ", ".join(v.name for v in known) or "none"
        raise StateConflict(
            f"There is no {asked}; known: {listed}.",
            still_safe="Nothing was changed.",
            next_step="Name a version of the Tenure page.",
        )
    return trained[-1]
