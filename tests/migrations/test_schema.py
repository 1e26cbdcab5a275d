"""The migrations build exactly what the code's tables say, and guard it."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, select, text

from tenure.adapters.sql.tables import legal_move, metadata
from tenure.migrations import upgrade
from tenure.vocabulary import LEGAL_MOVES

EVIDENCE = {
    "approval",
    "canary_analysis",
    "config_revision",
    "dataset_note",
    "dataset_subscription",
    "incident_event",
    "ledger_event",
    "legal_move",
    "log_segment",
    "monitoring_result",
    "quarantine_answer",
    "quarantine_decision",
    "report",
    "snapshot",
    "snapshot_read",
    "suite_answer",
    "suite_proposal",
    "suite_revision",
    "traffic_plan",
    "training_snapshot",
    "validation",
}
"""Tables to which rows are added, and in which none is ever changed."""

COLUMNS = """
    SELECT table_name, column_name, data_type, character_maximum_length, is_nullable,
           column_default, identity_generation
    FROM information_schema.columns
    WHERE table_schema = current_schema()
"""
CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace AND contype <> 't'
"""
INDEXES = """
    SELECT pg_get_indexdef(i.indexrelid, 0, true)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE c.relnamespace = current_schema()::regnamespace
"""


@pytest.fixture
def connection(fresh_database_url: str) -> Iterator[Connection]:
    """To a migrated database, as its owner."""
    engine = create_engine(fresh_database_url)
    with engine.connect() as made:
        yield made
    engine.dispose()


def test_migrations_and_tables_agree(connection: Connection) -> None:
    assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize(
    "query", [COLUMNS, CONSTRAINTS, INDEXES], ids=["columns", "constraints", "indexes"]
)
def test_the_code_alone_would_build_the_same(connection: Connection, query: str) -> None:
    """Alembic compares neither checks nor defaults, nor where an index applies."""
    migrated = {tuple(row) for row in connection.execute(text(query))}
    connection.execute(text("CREATE SCHEMA code; SET search_path = code"))
    metadata.create_all(connection)
    built = {tuple(row) for row in connection.execute(text(query))}
    assert {row for row in migrated if "alembic_version" not in str(row)} == built


def test_migrating_again_changes_nothing(fresh_database_url: str) -> None:
    engine = create_engine(fresh_database_url)

    def schema() -> list[list[str]]:
        with engine.connect() as connection:
            queries = (COLUMNS, CONSTRAINTS, INDEXES)
            return [sorted(map(str, connection.execute(text(query)))) for query in queries]

    before = schema()
    for _ in range(2):
        upgrade(fresh_database_url)
        assert schema() == before
    engine.dispose()


def test_migrating_again_repairs_the_rights_of_the_gateways(fresh_database_url: str) -> None:
    """Of a role that was made after the migration, or was given more or less by hand."""
    rights = text(
        "SELECT table_name, column_name, privilege_type FROM information_schema.column_privileges "
        "WHERE grantee = 'tenure_gateway' AND table_schema = 'public' ORDER BY 1, 2, 3"
    )
    engine = create_engine(fresh_database_url)
    with engine.connect() as c:
        before = c.execute(rights).all()
        c.execute(text("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM tenure_gateway"))
        assert c.execute(rights).all() == []
        c.execute(text("GRANT UPDATE ON approval TO tenure_gateway"))
        c.commit()
        upgrade(fresh_database_url)
        assert c.execute(rights).all() == before != []
    engine.dispose()


def test_the_database_knows_the_same_moves_as_the_code(connection: Connection) -> None:
    moves = {(row.src, row.dst) for row in connection.execute(select(legal_move))}
    assert moves == {(str(src), str(dst)) for src, dst in LEGAL_MOVES}


@pytest.mark.parametrize("trigger", ["append_only", "no_truncate"])
def test_no_evidence_is_left_out(connection: Connection, trigger: str) -> None:
    query = text("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = :name")
    assert set(connection.execute(query, {"name": trigger}).scalars()) == EVIDENCE
