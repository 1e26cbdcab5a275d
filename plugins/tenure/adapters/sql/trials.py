"""Trials in the lifecycle database: asked by who rolls back, answered by gateways.

Ages are by the database's clock alone. They are no evidence: the ledger says who verified.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, bindparam, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import model_version, trial, trial_answer
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.promotion.trial_loads import TRIAL_SECONDS, Trial, TrialAnswer

OK, REFUSED = "ok", "refused"
_MINE = select(trial_answer.c.trial_id).where(trial_answer.c.gateway_id == bindparam("gateway"))
_WAITING = (
    select(trial.c.id.label("trial_id"), *columns_of(VersionRecord, model_version))
    .join_from(trial, model_version, trial.c.model_version_id == model_version.c.id)
    .where(
        trial.c.asked_at > func.now() - timedelta(seconds=TRIAL_SECONDS),
        trial.c.id.not_in(_MINE),
    )
    .order_by(trial.c.id)
)
"""Built once: its parts hold each other, and a gateway asks twice a second for weeks."""


def ask(connection: Connection, version_id: int, *, by: str) -> int:
    """Ask every gateway; a trigger wakes them. Returns the id of the trial."""
    row = insert(trial).values(model_version_id=version_id, asked_by=by[:250])
    return int(connection.execute(row.returning(trial.c.id)).scalar_one())


def asked(connection: Connection, gateway: str) -> list[Trial]:
    """What this gateway has not answered and somebody still waits for, oldest first."""
    return [
        Trial(row.trial_id, as_row(VersionRecord, row, skip="trial_id"))
        for row in connection.execute(_WAITING, {"gateway": gateway})
    ]


def answer(connection: Connection, trial_id: int, given: TrialAnswer) -> None:
    """Say once what this gateway found."""
    row = upsert(trial_answer).values(
        trial_id=trial_id,
        gateway_id=given.gateway,
        verdict=OK if given.loads else REFUSED,
        cause=given.cause[:1000],
    )
    connection.execute(row.on_conflict_do_nothing())


def answers(connection: Connection, trial_id: int) -> Sequence[TrialAnswer]:
    """What gateways found so far, oldest first."""
    query = (
        select(trial_answer.c.gateway_id, trial_answer.c.verdict, trial_answer.c.cause)
        .where(trial_answer.c.trial_id == trial_id)
        .order_by(trial_answer.c.answered_at)
    )
    return [TrialAnswer(g, verdict == OK, cause) for g, verdict, cause in connection.execute(query)]


def forget(connection: Connection, *, older_than: timedelta) -> int:
    """Delete trials with their answers; returns how many."""
    gone = delete(trial).where(trial.c.asked_at < func.now() - older_than)
    return int(connection.execute(gone).rowcount)
