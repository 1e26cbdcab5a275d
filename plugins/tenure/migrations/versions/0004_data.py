"""Data: the shape that a batch was judged in, who opened which snapshot, files that come back."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "validation", sa.Column("shape", postgresql.JSONB(none_as_null=True), nullable=True)
    )
    op.drop_constraint(
        op.f("uq_validation_dataset_source_digest_suite_digest_config_digest"), "validation"
    )
    op.create_index(
        op.f("ix_validation_dataset_source_key_id"), "validation", ["dataset", "source_key", "id"]
    )
    op.create_table(
        "snapshot_read",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("dataset", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64), nullable=True),
        sa.Column("reader", sa.String(250), nullable=False),
        sa.Column("dag_id", sa.String(250), nullable=True),
        sa.Column("run_id", sa.String(250), nullable=True),
        sa.Column("task_id", sa.String(250), nullable=True),
        sa.Column("map_index", sa.Integer(), server_default="-1", nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshot_read")),
        sa.ForeignKeyConstraint(
            ["dataset", "digest"],
            ["snapshot.dataset", "snapshot.digest"],
            name=op.f("fk_snapshot_read_dataset"),
        ),
        sa.CheckConstraint("reader <> ''", name=op.f("ck_snapshot_read_somebody")),
    )
    op.create_index(op.f("ix_snapshot_read_dataset_digest"), "snapshot_read", ["dataset", "digest"])
    for name, event in (("append_only", "UPDATE OR DELETE"), ("no_truncate", "TRUNCATE")):
        each = "STATEMENT" if event == "TRUNCATE" else "ROW"
        op.execute(
            f"CREATE TRIGGER {name} BEFORE {event} ON snapshot_read "
            f"FOR EACH {each} EXECUTE FUNCTION tenure_refuse_change()"
        )
