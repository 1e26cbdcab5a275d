"""Placeholder: filled by the owner of this migration."""

revision: str = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """Apply."""
