"""Reads and creates model versions; moves between states go through the ledger."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import config_revision, model, model_version
from tenure.vocabulary import State, VersionRef

_REF = (
    model_version.c.id,
    model_version.c.model,
    model_version.c.version,
    model_version.c.state,
    model_version.c.generation,
    model_version.c.artifact_digest,
    model_version.c.trained_by,
)


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
        return _ref(known)
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
    return _ref(row)


def set_columns(connection: Connection, version_id: int, **columns: Any) -> None:
    """Set descriptive columns (never state or generation) of a version."""
    connection.execute(
        update(model_version).where(model_version.c.id == version_id).values(**columns)
    )


def get(connection: Connection, model_name: str, version: int) -> VersionRef | None:
    """The version by number."""
    row = connection.execute(
        select(*_REF).where(model_version.c.model == model_name, model_version.c.version == version)
    ).first()
    return _ref(row) if row else None


def get_by_id(connection: Connection, version_id: int) -> VersionRef:
    """The version by row id."""
    return _ref(connection.execute(select(*_REF).where(model_version.c.id == version_id)).one())


def row_by_id(connection: Connection, version_id: int) -> dict[str, Any]:
    """Every column of the version."""
    query = select(model_version).where(model_version.c.id == version_id)
    return dict(connection.execute(query).mappings().one())


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
    return [_ref(row) for row in rows]


def all_of(connection: Connection, model_name: str | None = None) -> list[VersionRef]:
    """Every version (of one model or of all), by model and number."""
    query = select(*_REF).order_by(model_version.c.model, model_version.c.version)
    if model_name is not None:
        query = query.where(model_version.c.model == model_name)
    return [_ref(row) for row in connection.execute(query)]


def models(connection: Connection) -> list[str]:
    """Name of every registered model, with or without a version."""
    return list(connection.execute(select(model.c.name).order_by(model.c.name)).scalars())


def _ref(row: Row[Any]) -> VersionRef:
    values = dict(row._mapping)
    return VersionRef(**{**values, "state": State(values["state"])})
