"""What the gateway reads and writes in the lifecycle database, as the role `tenure_gateway`."""

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from tenure.adapters.sql.database import Database
from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import (
    gateway_ack,
    gateway_key,
    model,
    model_version,
    traffic_plan,
)
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.serving import ApiKey, Catalog, TrafficPlan

CHANNEL = "tenure_plan"
_KEY = tuple(
    gateway_key.c[name] for name in ("key_digest", "name", "scopes", "models", "rows_per_second")
)
_PLAN = columns_of(TrafficPlan, traffic_plan)
_VERSION = columns_of(VersionRecord, model_version)


@dataclass(frozen=True)
class ApiKeyRow:
    """A key that is or was in force; `models` None means all, `rows_per_second` None any."""

    key_digest: str
    name: str
    scopes: list[str]
    models: list[str] | None
    rows_per_second: int | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


def catalog(connection: Connection) -> Catalog:
    """Read everything at once; a few small rows a model."""
    plans = connection.execute(
        select(*_PLAN)
        .ext(distinct_on(traffic_plan.c.model))
        .order_by(traffic_plan.c.model, traffic_plan.c.generation.desc())
    )
    versions = connection.execute(
        select(model_version.c.model, model_version.c.version, model_version.c.state)
    )
    keys = connection.execute(select(*_KEY).where(gateway_key.c.revoked_at.is_(None)))
    read_at = connection.execute(select(func.clock_timestamp())).scalar_one()
    return Catalog(
        plans=[as_row(TrafficPlan, row) for row in plans],
        states={f"{row.model}@{row.version}": row.state for row in versions},
        keys=[ApiKey(*row) for row in keys],
        models=list(connection.execute(select(model.c.name)).scalars()),
        read_at=read_at,
    )


def version_rows(connection: Connection, ids: Sequence[int]) -> dict[int, VersionRecord]:
    """What the versions are, by row id."""
    query = select(*_VERSION).where(model_version.c.id.in_(ids))
    return {row.id: as_row(VersionRecord, row) for row in connection.execute(query)}


def acknowledge(
    connection: Connection, *, gateway: str, plan: TrafficPlan, seen_at: datetime
) -> None:
    """Say that the gateway serves by this generation; an older one never replaces a newer one."""
    row = upsert(gateway_ack).values(
        gateway_id=gateway, model=plan.model, generation=plan.generation, seen_at=seen_at
    )
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["gateway_id", "model"],
            set_={"generation": row.excluded.generation, "seen_at": row.excluded.seen_at},
            where=gateway_ack.c.generation < row.excluded.generation,
        )
    )


def advance_watermark(connection: Connection, model_name: str, reached: datetime) -> None:
    """Move the outcome watermark forward; an earlier moment changes nothing."""
    connection.execute(select(func.tenure_advance_watermark(model_name, reached)))


def add_key(connection: Connection, key: ApiKey) -> None:
    """Put a key in force."""
    connection.execute(
        insert(gateway_key).values(
            key_digest=key.digest,
            name=key.name,
            scopes=key.scopes,
            models=key.models,
            rows_per_second=key.rows_per_second,
        )
    )


def revoke_keys(connection: Connection, name: str, *, digest_prefix: str = "") -> list[str]:
    """Take the keys of this name out of force, or only the one; returns their digests."""
    done = connection.execute(
        update(gateway_key)
        .where(
            gateway_key.c.name == name,
            gateway_key.c.revoked_at.is_(None),
            gateway_key.c.key_digest.startswith(digest_prefix, autoescape=True),
        )
        .values(revoked_at=func.now())
        .returning(gateway_key.c.key_digest)
    )
    return list(done.scalars())


def list_keys(connection: Connection) -> list[ApiKeyRow]:
    """Every key there ever was, oldest first."""
    query = select(*columns_of(ApiKeyRow, gateway_key)).order_by(gateway_key.c.created_at)
    return [as_row(ApiKeyRow, row) for row in connection.execute(query)]


def note_use(connection: Connection, digests: Sequence[str], *, at: datetime) -> None:
    """Say when keys were used last; an earlier moment changes nothing."""
    connection.execute(
        update(gateway_key)
        .where(
            gateway_key.c.key_digest.in_(digests),
            or_(gateway_key.c.last_used_at.is_(None), gateway_key.c.last_used_at < at),
        )
        .values(last_used_at=at)
    )


class PlanHints:
    """LISTEN as a hint: wakes early when a plan is published, else waits as long as it is told."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self._gave_up = threading.Event()

    def wait(self, seconds: float) -> None:
        """Return at the next published plan, at latest after the given time.

        Without a connection it just sleeps: the poll of the caller is the truth.
        """
        try:
            if self._connection is None:
                self._connection = self._listen()
            for _notice in self._connection.notifies(timeout=seconds, stop_after=1):
                return
        except Exception:  # a driver's own errors too: hints may fail, polling goes on
            self.close()
            self._gave_up.wait(seconds)

    def close(self) -> None:
        """Drop the connection; the next wait makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _listen(self) -> Any:
        with self._database.patience():
            try:
                pooled = self._database.engine.raw_connection()
            except SQLAlchemyError as error:
                raise ConnectionError(str(error)) from error
            connection: Any = pooled.driver_connection
            pooled.detach()
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
        return connection
