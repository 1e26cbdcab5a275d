"""Judges a trained version: evaluation, bias audit, registration.

A bad verdict is stored, then rejects the version and closes its request, then is raised. A verdict
that stands is never reached twice: the next try reads it. Import it inside functions: it loads
SQLAlchemy.
"""

from typing import TYPE_CHECKING

from tenure.adapters.sql import training, versions
from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow
from tenure.usecases.evaluation import appraisal, evidence
from tenure.usecases.training.planning import planned_version
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, State, VersionRef, canonical_json, op_key

if TYPE_CHECKING:
    from tenure.adapters.mlflow_registry import MlflowRegistry

VALIDATOR = "service:validator"
"""How the ledger names the service that judges."""

_COLUMNS = {"evaluation": "evaluation_report", "bias": "bias_report"}
"""Column with the digest of a stage's report."""


def evaluate(platform: Installation, model: str, run: RunRef) -> dict[str, object]:
    """Judge the scored holdout of this run's version against its evaluation gate.

    Raises:
        GateFailed, GateInconclusive: The version is rejected; the report is stored.
    """
    version = planned_version(platform, model, run)
    return _settled(platform, version, run, "evaluation") or _settle(
        platform, version, appraisal.evaluation_report(platform, version, run), run
    )


def audit_bias(platform: Installation, model: str, run: RunRef) -> dict[str, object]:
    """Judge how this run's version treats groups, against its bias gate.

    Raises:
        GateFailed, GateInconclusive: The version is rejected; the report is stored.
    """
    version = planned_version(platform, model, run)
    return _settled(platform, version, run, "bias") or _settle(
        platform, version, evidence.bias_report(platform, version, run), run
    )


def register(
    platform: Installation, model: str, run: RunRef, mlflow: "MlflowRegistry | None" = None
) -> dict[str, object]:
    """Mirror the version in MLflow, move it to `validated`, close its request.

    Raises:
        StateConflict: A gate has not passed, or the version was rejected.
    """
    from tenure.adapters.skops_artifacts import verified_bytes

    version = planned_version(platform, model, run)
    row = evidence.row_of(platform, version)
    with platform.database.begin() as connection:
        done = platform.ledger.has(connection, _validate_key(version))
    if not done:
        if version.state is not State.TRAINED:
            raise _given_up(platform, version)
        passed = {stage: _passed(platform, row, stage) for stage in _COLUMNS}
        verified_bytes(platform.store, row, platform.settings.signing_key.with_suffix(".pub"))
        number = (mlflow or platform.mlflow).ensure_version(
            model,
            version=version.version,
            run_id=str(row.mlflow_run_id),
            folder="model",
            tags={"tenure.artifact_digest": str(row.artifact_digest)},
            files={f"reports/{s}.json": canonical_json(r.to_dict()) for s, r in passed.items()},
        )
        _save_report(platform, version, row, number, run)
        _validate(platform, version, row, run)
    return {
        "version_id": version.id,
        "version": version.version,
        "artifact_digest": row.artifact_digest,
    }


def _settled(
    platform: Installation, version: VersionRef, run: RunRef, stage: str
) -> dict[str, object] | None:
    """The verdict that an earlier try reached, or None; a bad one is raised again."""
    report = evidence.stored(platform, _digest(evidence.row_of(platform, version), stage))
    if report is None:
        if version.state is not State.TRAINED:
            raise _given_up(platform, version)
        return None
    platform.reports.save(report, model=version.model, dataset=None, run=run)
    if evidence.stops(report):
        raise evidence.refusal(platform, report, version.model)
    return _answer(version, report)


def _settle(
    platform: Installation, version: VersionRef, report: Report, run: RunRef
) -> dict[str, object]:
    """Store the report, bind it to the version, and reject the version if the verdict is bad."""
    digest = platform.reports.save(report, model=version.model, dataset=None, run=run)
    column = {_COLUMNS[report.stage]: digest}
    with platform.database.begin() as connection:
        if not evidence.stops(report):
            versions.set_columns(connection, version.id, **column)
            return _answer(version, report)
        platform.ledger.move(
            connection,
            version,
            State.REJECTED,
            actor=VALIDATOR,
            body={"reason": f"{report.stage} {report.verdict}", "report": digest},
            op_key=op_key("reject", f"mv:{version.id}", {"report": digest}),
            columns=column,
        )
        training.close_request(
            connection,
            versions.row_by_id(connection, version.id).facts.request_id,
            version_id=version.id,
            state="failed",
            at=platform.clock.now(),
        )
    raise evidence.refusal(platform, report, version.model)


def _save_report(
    platform: Installation, version: VersionRef, row: VersionRow, number: str, run: RunRef
) -> None:
    """What the task's tab shows."""
    summary = (
        f"{version.name} passed its gates and waits for approval; MLflow has it as version {number}"
    )
    facts = {
        "evaluation_report": row.evaluation_report,
        "bias_report": row.bias_report,
        "artifact_digest": row.artifact_digest,
        "mlflow_run_id": row.mlflow_run_id,
    }
    report = Report("registry", version.name, Verdict.PASSED, summary, facts=facts, enforced=False)
    platform.reports.save(report, model=version.model, dataset=None, run=run)


def _validate(platform: Installation, version: VersionRef, row: VersionRow, run: RunRef) -> None:
    with platform.database.begin() as connection:
        platform.ledger.move(
            connection,
            version,
            State.VALIDATED,
            actor=VALIDATOR,
            body={
                "evaluation_report": row.evaluation_report,
                "bias_report": row.bias_report,
                "suite_digest": row.suite_digest,
                "run_id": run.run_id,
            },
            op_key=_validate_key(version),
        )
        training.close_request(
            connection,
            row.facts.request_id,
            version_id=version.id,
            state="done",
            at=platform.clock.now(),
        )


def _digest(row: VersionRow, stage: str) -> str | None:
    return row.evaluation_report if stage == "evaluation" else row.bias_report


def _passed(platform: Installation, row: VersionRow, stage: str) -> Report:
    """The stored report of a gate that lets the version pass."""
    report = evidence.stored(platform, _digest(row, stage))
    if report is None or evidence.stops(report):
        raise StateConflict(
            f"{row.name} has no {stage} report that passed.",
            still_safe=evidence.still_safe(platform, row.model),
            next_step="Clear the task of that gate in this run.",
        )
    return report


def _given_up(platform: Installation, version: VersionRef) -> StateConflict:
    return StateConflict(
        f"{version.name} is {version.state}: its training was not finished or was given up.",
        still_safe=evidence.still_safe(platform, version.model),
        next_step="Look at the newest run of this DAG; this one needs nothing more.",
    )


def _validate_key(version: VersionRef) -> str:
    return op_key("validate", f"mv:{version.id}", {"artifact": version.artifact_digest})


def _answer(version: VersionRef, report: Report) -> dict[str, object]:
    return {
        "version_id": version.id,
        "version": version.version,
        "verdict": str(report.verdict),
        "report": report.digest,
    }
