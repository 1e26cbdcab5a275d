"""The installation that the environment names, and who runs the command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tenure.installation.identity import login_name

if TYPE_CHECKING:
    from tenure.installation import Installation

__all__ = ["connected", "login_name"]


@contextmanager
def connected(
    delegate: str | None = None, *, lock_seconds: float | None = None
) -> Iterator["Installation"]:
    """The platform of TENURE_* variables; its database connections end with the block.

    `delegate` does for somebody else what the block does; `lock_seconds` is how long a statement
    waits for somebody else's lock, None the usual time.
    """
    from tenure.installation import Installation
    from tenure.settings import Settings

    settings = Settings.from_environment()
    platform = Installation(settings, delegate=delegate, lock_seconds=lock_seconds)
    try:
        yield platform
    finally:
        if "database" in platform.__dict__:
            platform.database.dispose()
