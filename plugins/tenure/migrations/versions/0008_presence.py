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
