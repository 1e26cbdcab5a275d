"""What the ledger has of drills: the newest record of each."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql.tables import ledger_event
from tenure.layout import drill_subject
from tenure.lifecycle.incidents.drill import LastDrill

_l = ledger_event.c


def last_drills(connection: Connection, names: Sequence[str]) -> Mapping[str, LastDrill]:
    """By name; without those that nobody ran."""
    if not names:
        return {}
    subjects = {drill_subject(name): name for name in names}
    query = (
        select(_l.subject, _l.actor, _l.at, _l.body)
        .ext(distinct_on(_l.subject))
        .where(_l.subject.in_(subjects))
        .order_by(_l.subject, _l.generation.desc())
    )
    return {
        subjects[row.subject]: LastDrill(
            name=subjects[row.subject],
            at=row.at,
            actor=row.actor,
            found=row.body["found_seconds"],
            alerted=row.body["alerted_seconds"],
            back=row.body["back_seconds"],
            problem=row.body["problem"],
        )
        for row in connection.execute(query)
    }
