"""What approvers are asked about a version, from its own row, and whether it is still that.

Import it inside functions: it loads SQLAlchemy.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from tenure.adapters.sql import approvals, reports, training, versions
from tenure.config import parse_model
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion import approval
from tenure.lifecycle.promotion.approval import ApprovalQuestion
from tenure.verdicts import Verdict

if TYPE_CHECKING:
    from sqlalchemy import Connection


def question(connection: "Connection", row: VersionRow, *risk_tiers: str) -> ApprovalQuestion:
    """The question about a version row.

    Args:
        connection: Of the lifecycle database, whose own tier of the model counts as well.
        row: Every column of the version.
        risk_tiers: Further tiers of which the strictest sets the quorum.
    """
    artifact, onnx = str(row.artifact_digest), row.facts.onnx_file
    return ApprovalQuestion(
        name=row.name,
        trained_by=row.trained_by,
        artifact=artifact,
        evidence=approval.evidence_digest(
            artifact=artifact,
            evaluation=str(row.evaluation_report),
            bias=str(row.bias_report),
            onnx=onnx.digest if onnx else None,
        ),
        quorum=approval.quorum_of(*risk_tiers, approvals.risk_tier(connection, row.model)),
    )


def authorized_until(connection: "Connection", version_id: int) -> datetime | None:
    """When the authorization of a version ends, or ended; None when it never had one."""
    row = versions.row_by_id(connection, version_id)
    return approval.authorized_until(
        question(connection, row),
        approvals.answers_of(connection, version_id),
        excused_until=list(excuses(connection, row).values()),
    )


def excuses(connection: "Connection", row: VersionRow) -> dict[str, datetime]:
    """Gates that the version did not pass and was excused from: stage to the excuse's end.

    Excuses are those of the config that it was planned with: a later one is none for its bytes.
    """
    found = {}
    for stage, digest in (("evaluation", row.evaluation_report), ("bias", row.bias_report)):
        stored = reports.by_digest(connection, digest) if digest else None
        if stored is None or stored.verdict is Verdict.PASSED or stored.report.enforced:
            continue
        config = parse_model(training.config_text(connection, str(row.config_digest)))
        until = {"evaluation": config.evaluation, "bias": config.bias}[stage].excused_until
        if until is not None:
            found[stage] = until
    return found


def require_evidence(connection: "Connection", version_id: int) -> None:
    """Refuse a version whose reports or ONNX file are not those that were approved.

    The database itself counts approvals of the artifact that are in date.

    Raises:
        NotPermitted: They changed since.
    """
    row = versions.row_by_id(connection, version_id)
    approval.require_bound(question(connection, row), approvals.answers_of(connection, version_id))
