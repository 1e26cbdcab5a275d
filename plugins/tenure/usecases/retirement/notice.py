"""Tells the consumers, in the same transaction in which the notice period begins."""

from datetime import timedelta
from typing import TYPE_CHECKING

from tenure.lifecycle.retirement.decommission import DecommissionStep, Progress, StepAction
from tenure.usecases.incidents.outbox import deliver
from tenure.usecases.retirement.retirement import Retirement, StepResult
from tenure.vocabulary import VersionRef, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

NOTICE = "decommission.notice"
"""Topic of the messages to consumers."""


def notify(retirement: Retirement, version: int) -> StepResult:
    """Promise every consumer a notice, then send what can be sent now.

    A receiver that is down does not hold up the retirement: maintenance sends again.
    """

    def promise(connection: "Connection", _: VersionRef, progress: Progress) -> None:
        _promise(retirement, connection, progress)

    early = retirement.enter(version, StepAction.NOTIFY, promise)
    if early is not None:
        return early
    sent = deliver(retirement.platform, topic=NOTICE)
    return StepResult(f"Notices: {sent.delivered} delivered, {sent.failed} to be sent again.")


def _promise(retirement: Retirement, connection: "Connection", progress: Progress) -> None:
    from tenure.adapters.sql import decommissions

    now = retirement.platform.clock.now()
    ends = (now + timedelta(days=retirement.config.decommission.notice_days)).isoformat()
    consumers = decommissions.consumers_of(connection, retirement.model)
    for name, webhook in consumers:
        if webhook is not None:
            retirement.platform.ledger.enqueue(
                connection,
                topic=NOTICE,
                body={
                    "consumer": name,
                    "model": progress.model,
                    "version": progress.version,
                    "reason": progress.reason,
                    "successor": progress.successor,
                    "access_ends_at": ends,
                    "webhook": webhook,
                },
                op_key=op_key(NOTICE, progress.name, {"consumer": name, "access_ends_at": ends}),
            )
    decommissions.set_columns(
        connection, progress.id, notified_at=now, step=str(DecommissionStep.NOTIFIED)
    )
    retirement.note(connection, progress, "notified", consumers=[name for name, _ in consumers])
