"""Who runs a command."""

import os
import pwd

from tenure.vocabulary import RunRef


def login_name() -> str:
    """The user of this process; `cli` where the system has no name for it (in a container).

    The system says so: an environment variable could name anybody.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "cli"


def as_command(name: str) -> RunRef:
    """A command of `tenure` as the records name it: `data diff`."""
    return RunRef("cli", name, name, user=login_name())
