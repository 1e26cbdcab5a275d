"""Keeps what a drill showed: in the ledger of the installation that it is about."""

from tenure.errors import NotPermitted
from tenure.installation import Installation
from tenure.layout import drill_subject
from tenure.lifecycle.incidents.drill import DRILLS, DrillResult
from tenure.vocabulary import Role, op_key, storable


def require_drilling(platform: Installation, user: str) -> None:
    """Refuse who may not, before anything is started; the database must be there for the record.

    Raises:
        NotPermitted: The person is no operator.
        ServiceUnreachable: The result could not be kept.
    """
    if not platform.config.allows(user, Role.OPERATOR):
        raise NotPermitted(
            f"{user} may not run drills: that needs the role operator.",
            still_safe="Nothing was started.",
            next_step="Ask an operator; `roles` of include/configs/platform.yaml names them.",
        )
    with platform.database.begin():
        pass


def record(platform: Installation, result: DrillResult, *, user: str) -> None:
    """Note the result in the ledger, once."""
    drill = DRILLS[result.name]
    body = {
        "kind": drill.kind,
        "began_at": result.began_at.isoformat(),
        "found_seconds": _rounded(result.found),
        "alerted_seconds": _rounded(result.alerted),
        "back_seconds": _rounded(result.back),
        "counted_from": drill.counted_from,
        "problem": storable(result.problem),
    }
    subject = drill_subject(result.name)
    with platform.database.begin() as connection:
        platform.ledger.note(
            connection,
            subject=subject,
            actor=user,
            body=body,
            op_key=op_key("drill.record", subject, {"began_at": body["began_at"]}),
        )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
