"""What was judged and approved stays as it was; moves are added by migrations only."""

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"

FROZEN = (
    "data_digest",
    "suite_digest",
    "code_digest",
    "config_digest",
    "lock_digest",
    "mlflow_run_id",
    "evaluation_report",
    "bias_report",
    "facts",
)
"""Columns that an approver is shown or that decide with the artifact, as the threshold does."""

FUNCTIONS = """
CREATE FUNCTION tenure_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'tenure: what was approved of %@% cannot change', OLD.model, OLD.version
    USING ERRCODE = 'check_violation';
END $$;

CREATE FUNCTION tenure_legal_move_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'tenure: moves are added by a migration' USING ERRCODE = 'check_violation';
END $$;
"""


def upgrade() -> None:
    """Apply."""
    old, new = (", ".join(f"{row}.{column}" for column in FROZEN) for row in ("OLD", "NEW"))
    op.execute(FUNCTIONS)
    op.execute(
        "CREATE TRIGGER version_frozen BEFORE UPDATE ON model_version FOR EACH ROW "
        f"WHEN (OLD.state NOT IN ('draft', 'trained') AND ({old}) IS DISTINCT FROM ({new})) "
        "EXECUTE FUNCTION tenure_version_frozen()"
    )
    op.execute(
        "CREATE TRIGGER no_insert BEFORE INSERT ON legal_move "
        "FOR EACH ROW EXECUTE FUNCTION tenure_legal_move_insert()"
    )
