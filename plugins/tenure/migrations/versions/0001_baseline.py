"""The lifecycle database of the first release; its SQL lies in `sql/0001_baseline/`."""

from pathlib import Path

from alembic import op

revision: str = "0001"
down_revision: str | None = None

SQL = Path(__file__).parents[1] / "sql" / Path(__file__).stem
FILES = (
    "tables_data",
    "tables_models",
    "tables_serving",
    "tables_decisions",
    "tables_monitoring",
    "tables_retirement",
    "tables_ledger",
    "guards_append_only",
    "guards_approvals",
    "guards_moves",
    "guards_versions",
    "guards_traffic",
    "guards_ledger",
    "guards_reviews",
    "guards_feedback",
    "guards_segments",
    "guards_suites",
    "guards_incidents",
    "guards_watermark",
)
"""In this order: tables refer to earlier ones, triggers to tables and functions."""


def upgrade() -> None:
    """Apply. The files are sent as they stand: no colon or percent sign in them is a parameter."""
    connection = op.get_bind()
    for name in FILES:
        statements = (SQL / f"{name}.sql").read_text(encoding="utf-8")
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
