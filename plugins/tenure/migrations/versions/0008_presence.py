"""Presence: a gateway says again and again that it is there."""

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Apply. Nobody knows more of the rows that are there than when each took up its plan."""
    at = sa.DateTime(timezone=True)
    op.add_column(
        "gateway_ack", sa.Column("alive_at", at, server_default=sa.text("now()"), nullable=False)
    )
    op.execute("UPDATE gateway_ack SET alive_at = least(seen_at, now())")
    # A log has several kinds of trouble by now: what is open closes under the name of its kind.
    op.execute(
        "UPDATE incident SET dedupe_key = 'log_damaged:' || substr(dedupe_key, 5) "
        "WHERE kind = 'log_damaged' AND state = 'open' AND dedupe_key LIKE 'log:%'"
    )
