"""Which gateways are there: said by themselves, by the database's clock alone."""

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import Connection, bindparam, delete, func, select, update

from tenure.adapters.sql.tables import gateway_ack, traffic_plan
from tenure.lifecycle.serving.presence import ALIVE_SECONDS, Fleet, Presence

_MINE = update(gateway_ack).where(gateway_ack.c.gateway_id == bindparam("gateway"))
_RENEW = _MINE.values(alive_at=func.now()).returning(gateway_ack.c.model, gateway_ack.c.generation)
_LEAVE = _MINE.values(alive_at=func.now() - timedelta(seconds=ALIVE_SECONDS))
"""Built once: their parts hold each other, and a gateway says it for weeks."""


def renew(connection: Connection, gateway: str) -> dict[str, int]:
    """Say that the gateway is there; returns the generations that are written of it, by model."""
    return dict(connection.execute(_RENEW, {"gateway": gateway}).all())


def leave(connection: Connection, gateway: str) -> None:
    """Say that it ends: silent at once. Its rows stay: what it took up, and when."""
    connection.execute(_LEAVE, {"gateway": gateway})


def fleets(connection: Connection, model: str | None = None) -> list[Fleet]:
    """The gateways of each model that has a traffic plan, or of the one; the living first."""
    plan = select(traffic_plan.c.model, func.max(traffic_plan.c.generation))
    plan = plan.group_by(traffic_plan.c.model).order_by(traffic_plan.c.model)
    ack = gateway_ack.c
    seen = select(gateway_ack, (func.now() - ack.alive_at).label("quiet"))
    if model is not None:
        plan, seen = plan.where(traffic_plan.c.model == model), seen.where(ack.model == model)
    newest = dict(connection.execute(plan).all())
    found: dict[str, list[Presence]] = defaultdict(list)
    for row in connection.execute(seen):  # after the plans: none seems behind that is not
        if row.model in newest:
            found[row.model].append(
                Presence(
                    row.gateway_id,
                    row.generation,
                    newest[row.model],
                    taken_at=row.seen_at,
                    alive_at=row.alive_at,
                    quiet=row.quiet,
                )
            )
    for ones in found.values():
        ones.sort(key=lambda one: (not one.is_alive, one.gateway))
    return [Fleet(name, newest[name], tuple(found[name])) for name in newest]


def alive(connection: Connection, model: str) -> frozenset[str]:
    """Ids of those that are there and took up a plan of the model."""
    return frozenset[str]().union(*(fleet.alive for fleet in fleets(connection, model)))


def forget(connection: Connection, *, silent_for: timedelta) -> int:
    """Delete the rows of gateways that are gone; returns how many."""
    gone = delete(gateway_ack).where(gateway_ack.c.alive_at < func.now() - silent_for)
    return int(connection.execute(gone).rowcount)
