"""Placeholder: filled by the owner of this migration."""

revision: str = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Apply."""
