"""Trials: a gateway loads a version before any traffic moves to it."""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"

WORDS = """
CREATE FUNCTION tenure_trial_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('tenure_plan', 'trial');
  RETURN NEW;
END $$;
CREATE TRIGGER asked AFTER INSERT ON trial FOR EACH ROW EXECUTE FUNCTION tenure_trial_asked();
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_gateway') THEN
    GRANT SELECT ON trial TO tenure_gateway;
    GRANT SELECT, INSERT ON trial_answer TO tenure_gateway;
  END IF;
END $$;
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "trial",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=250), nullable=False),
        _now("asked_at"),
        sa.ForeignKeyConstraint(
            ["model_version_id"], ["model_version.id"], name=op.f("fk_trial_model_version_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trial")),
    )
    op.create_table(
        "trial_answer",
        sa.Column("trial_id", sa.BigInteger(), nullable=False),
        sa.Column("gateway_id", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        _now("answered_at"),
        sa.CheckConstraint("verdict IN ('ok', 'refused')", name=op.f("ck_trial_answer_known")),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trial.id"], name=op.f("fk_trial_answer_trial_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("trial_id", "gateway_id", name=op.f("pk_trial_answer")),
    )
    op.execute(WORDS)


def _now(name: str) -> sa.Column[object]:
    at = sa.DateTime(timezone=True)
    return sa.Column(name, at, server_default=sa.text("now()"), nullable=False)
