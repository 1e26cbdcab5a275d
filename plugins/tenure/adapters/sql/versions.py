"""Reads and creates model versions; moves between states go through the ledger."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import config_revision, model, model_version
from tenure.lifecycle.model_version import VersionRow
from tenure.vocabulary import State, VersionRef

_REF = columns_of(VersionRef, model_version)
_ROW = columns_of(VersionRow, model_version)


def register_model(
    connection: Connection, *, name: str, owner: str, risk_tier: str, purpose: str
) -> None:
    """Insert the model or bring its description up to date."""
    values = {"owner": owner, "risk_tier": risk_tier, "purpose": purpose}
    connection.execute(
        upsert(model)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


def remember_config(
    connection: Connection, *, digest: str, kind: str, name: str, body: str
) -> None:
    """Keep the text of a config under its digest, so that every run can be replayed."""
    connection.execute(
        upsert(config_revision)
        .values(digest=digest, kind=kind, name=name, body=body)
        .on_conflict_do_nothing()
    )


def create_draft(
    connection: Connection, *, model_name: str, trained_by: str, training_key: str
) -> VersionRef:
    """The draft of a training run; the same `training_key` gives the same version again."""
    mine = select(model.c.name).where(model.c.name == model_name)
    # key_share: whoever holds the ledger and inserts a row of this model need not wait for us.
    connection.execute(mine.with_for_update(key_share=True))
    known = connection.execute(
        select(*_REF).where(model_version.c.training_key == training_key)
    ).first()
    if known is not None:
        return as_row(VersionRef, known)
    newest = select(func.coalesce(func.max(model_version.c.version), 0))
    number = connection.execute(newest.where(model_version.c.model == model_name)).scalar_one()
    row = connection.execute(
        insert(model_version)
        .values(
            model=model_name,
            version=number + 1,
            state=str(State.DRAFT),
            trained_by=trained_by,
            training_key=training_key,
        )
        .returning(*_REF)
    ).one()
    return as_row(VersionRef, row)


def set_columns(connection: Connection, version_id: int, **columns: object) -> None:
    """Set descriptive columns (never state or generation) of a version."""
    connection.execute(
        update(model_version).where(model_version.c.id == version_id).values(**columns)
    )


def get(connection: Connection, model_name: str, version: int) -> VersionRef | None:
    """The version by number."""
    row = connection.execute(
        select(*_REF).where(model_version.c.model == model_name, model_version.c.version == version)
    ).first()
    return as_row(VersionRef, row) if row else None


def get_by_id(connection: Connection, version_id: int) -> VersionRef:
    """The version by row id."""
    return as_row(
        VersionRef, connection.execute(select(*_REF).where(model_version.c.id == version_id)).one()
    )


def row_by_id(connection: Connection, version_id: int) -> VersionRow:
    """Every column of the version."""
    query = select(*_ROW).where(model_version.c.id == version_id)
    return as_row(VersionRow, connection.execute(query).one())


def lock(connection: Connection, version_id: int) -> VersionRow:
    """Every column of the version; other answers and moves wait until this transaction ends.

    Rows that only refer to the version do not wait, or a canary's analysis could deadlock with us.
    """
    query = select(*_ROW).where(model_version.c.id == version_id)
    return as_row(VersionRow, connection.execute(query.with_for_update(key_share=True)).one())


def in_state(connection: Connection, model_name: str, states: Sequence[State]) -> list[VersionRef]:
    """Versions of the model in any of the states, newest first."""
    rows = connection.execute(
        select(*_REF)
        .where(
            model_version.c.model == model_name,
            model_version.c.state.in_([str(s) for s in states]),
        )
        .order_by(model_version.c.version.desc())
    )
    return [as_row(VersionRef, row) for row in rows]


def all_of(connection: Connection, model_name: str | None = None) -> list[VersionRef]:
    """Every version (of one model or of all), by model and number."""
    query = select(*_REF).order_by(model_version.c.model, model_version.c.version)
    if model_name is not None:
        query = query.where(model_version.c.model == model_name)
    return [as_row(VersionRef, row) for row in connection.execute(query)]


def models(connection: Connection) -> list[str]:
    """Name of every registered model, with or without a version."""
    return list(connection.execute(select(model.c.name).order_by(model.c.name)).scalars())
