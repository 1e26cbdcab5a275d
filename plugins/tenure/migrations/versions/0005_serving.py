"""Keys of the gateway: which models, which rate, when used last. Outcomes that were landed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0005"
down_revision: str | None = "0004"

KEYS_OF_THE_GATEWAY = """
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_gateway') THEN
    GRANT UPDATE (last_used_at) ON gateway_key TO tenure_gateway;
  END IF;
END $$;
"""


def upgrade() -> None:
    """Apply."""
    _keys()
    _log()


KEYS_OF_SUBJECTS = """
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_gateway') THEN
    GRANT SELECT, INSERT ON subject_key TO tenure_gateway;
  END IF;
END $$;
"""


def _log() -> None:
    op.create_table(
        "outcome_intake",
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("snapshot_digest", sa.String(length=64), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(["model"], ["model.name"], name=op.f("fk_outcome_intake_model")),
        sa.PrimaryKeyConstraint("model", "snapshot_digest", name=op.f("pk_outcome_intake")),
    )
    op.execute(KEYS_OF_SUBJECTS)


def _keys() -> None:
    op.add_column(
        "gateway_key",
        sa.Column("models", postgresql.JSONB(none_as_null=True, astext_type=sa.Text())),
    )
    op.add_column("gateway_key", sa.Column("rows_per_second", sa.Integer()))
    op.add_column("gateway_key", sa.Column("last_used_at", sa.DateTime(timezone=True)))
    op.create_check_constraint("positive_rate", "gateway_key", "rows_per_second > 0")
    op.execute(KEYS_OF_THE_GATEWAY)
