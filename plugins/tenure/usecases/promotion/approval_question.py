"""What approvers are asked about a version, from its own row, and whether it is still that.

Import it inside functions: it loads SQLAlchemy.
"""

from typing import TYPE_CHECKING

from tenure.adapters.sql import approvals, versions
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion import approval
from tenure.lifecycle.promotion.approval import ApprovalQuestion

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


def require_evidence(connection: "Connection", version_id: int) -> None:
    """Refuse a version whose reports or ONNX file are not those that were approved.

    The database itself counts approvals of the artifact that are in date.

    Raises:
        NotPermitted: They changed since.
    """
    row = versions.row_by_id(connection, version_id)
    approval.require_bound(question(connection, row), approvals.answers_of(connection, version_id))
