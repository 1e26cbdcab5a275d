"""The migrations build exactly what the code's tables say."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, select

from tenure.adapters.sql.tables import legal_move, metadata
from tenure.migrations import upgrade
from tenure.vocabulary import LEGAL_MOVES


def test_migrations_and_tables_agree(fresh_database_url: str) -> None:
    engine = create_engine(fresh_database_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_migrating_again_changes_nothing(fresh_database_url: str) -> None:
    upgrade(fresh_database_url)
    upgrade(fresh_database_url)


def test_the_database_knows_the_same_moves_as_the_code(fresh_database_url: str) -> None:
    engine = create_engine(fresh_database_url)
    with engine.connect() as connection:
        moves = {(row.src, row.dst) for row in connection.execute(select(legal_move))}
    engine.dispose()
    assert moves == {(str(src), str(dst)) for src, dst in LEGAL_MOVES}
