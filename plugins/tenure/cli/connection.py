"""The installation that the environment names, and who runs the command."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure.wiring.base import Platform


@contextmanager
def connected() -> Iterator["Platform"]:
    """The platform of TENURE_* variables; its database connections end with the block."""
    from tenure.settings import Settings
    from tenure.wiring.base import Platform

    platform = Platform(Settings.from_environment())
    try:
        yield platform
    finally:
        if "database" in platform.__dict__:
            platform.database.dispose()


def login_name() -> str:
    """Who runs the command; `cli` where the system has no name for the user (in a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"
