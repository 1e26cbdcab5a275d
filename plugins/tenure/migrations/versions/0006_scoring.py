"""Placeholder: filled by the owner of this migration."""

revision: str = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """Apply."""
