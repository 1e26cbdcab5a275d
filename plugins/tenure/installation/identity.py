"""Who runs a command."""

import getpass

from tenure.vocabulary import RunRef


def login_name() -> str:
    """The user of this process; `cli` where the system has no name for it (in a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"


def as_command(name: str) -> RunRef:
    """A command of `tenure` as the records name it: `data diff`."""
    return RunRef("cli", name, name, user=login_name())
