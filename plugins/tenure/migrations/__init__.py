"""Alembic brings the lifecycle database to the schema that this code expects.

Tables and guards are plain SQL, in a folder of `sql/` for each revision. What was released is not
edited: a later revision brings the whole function that it replaces in a file of its own. The rights
of the gateways' role are one file beside them, which is run after every migration.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

_LOCK = 7_365_510
"""Advisory lock: two processes that start together migrate one after the other."""


def upgrade(database_url: str) -> None:
    """Migrate to the newest revision, and give the gateways' role exactly what it needs.

    Safe to call again, and from several processes at once.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:k)"), {"k": _LOCK})
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _grant(connection)
            connection.execute(text("SELECT pg_advisory_unlock(:k)"), {"k": _LOCK})
            connection.commit()
    finally:
        engine.dispose()


def _grant(connection: Connection) -> None:
    """The file is sent as it stands: no colon or percent sign in it is a parameter."""
    statements = (Path(__file__).parent / "sql" / "gateway_role.sql").read_text(encoding="utf-8")
    connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
    connection.commit()
