"""Batch scoring: its runs and shards. The queue of decisions that a person looks at."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"


QUEUE = """
CREATE FUNCTION tenure_review_is_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'review % is % and stays so', OLD.decision_id, OLD.state
    USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER closed BEFORE UPDATE OR DELETE ON review
  FOR EACH ROW WHEN (OLD.state IN ('answered', 'expired'))
  EXECUTE FUNCTION tenure_review_is_closed();
DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'tenure_gateway') THEN
    GRANT SELECT, INSERT ON review TO tenure_gateway;
  END IF;
END $$;
"""


def upgrade() -> None:
    """Apply."""
    _batch_scoring()
    _reviews()


def _reviews() -> None:
    op.create_table(
        "review",
        sa.Column("decision_id", sa.String(length=36), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("decision", sa.Boolean(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("fallback_level", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), server_default="open", nullable=False),
        sa.Column("claimed_by", sa.String(length=250), nullable=True),
        sa.Column("claim_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.String(length=250), nullable=True),
        sa.Column("answer", sa.Boolean(), nullable=True),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "state IN ('open', 'claimed', 'answered', 'expired')",
            name=op.f("ck_review_known_state"),
        ),
        sa.CheckConstraint(
            "(state = 'answered') = (answer IS NOT NULL)", name=op.f("ck_review_answered")
        ),
        sa.CheckConstraint(
            "(answer IS NULL) = (answered_by IS NULL)", name=op.f("ck_review_by_somebody")
        ),
        sa.ForeignKeyConstraint(["model"], ["model.name"], name=op.f("fk_review_model")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_review")),
    )
    op.create_index("ix_review_due", "review", ["state", "expires_at"])
    op.execute(QUEUE)


def _batch_scoring() -> None:
    op.create_table(
        "scoring_run",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_key", sa.String(length=64), nullable=False),
        sa.Column("model_version_id", sa.BigInteger(), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("shard_rows", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.String(length=250), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("report_digest", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_version.id"],
            name=op.f("fk_scoring_run_model_version_id"),
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshot.id"], name=op.f("fk_scoring_run_snapshot_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scoring_run")),
        sa.UniqueConstraint("run_key", name=op.f("uq_scoring_run_run_key")),
    )
    op.create_table(
        "scoring_shard",
        sa.Column("scoring_run_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("positive", sa.BigInteger(), nullable=False),
        sa.Column("decisions_key", sa.Text(), nullable=False),
        sa.Column("scores_key", sa.Text(), nullable=False),
        sa.Column("scores_digest", sa.String(length=64), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("rows > 0", name=op.f("ck_scoring_shard_not_empty")),
        sa.ForeignKeyConstraint(
            ["scoring_run_id"], ["scoring_run.id"], name=op.f("fk_scoring_shard_scoring_run_id")
        ),
        sa.PrimaryKeyConstraint("scoring_run_id", "number", name=op.f("pk_scoring_shard")),
    )
