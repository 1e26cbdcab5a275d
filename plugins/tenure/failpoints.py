"""Named places where a test makes this process die, fail, wait or hang; nothing in production.

`TENURE_FAIL="publish.stored:kill,promote.committed:raise:2"` acts at the named failpoint when it is
passed for the n-th time (the first by default). Honored only with `TENURE_ENV=test`; a process that
finds it set elsewhere stops at its first failpoint.
"""

import os
import signal
import time
from collections import Counter

from tenure.errors import ConfigInvalid

_passed: Counter[str] = Counter()
_SLEEP_SECONDS = 2.0
_HANG_SECONDS = 3600.0


class InjectedFault(Exception):
    """The error that a failpoint raises; no code of ours catches it by name."""


def failpoint(name: str) -> None:
    """Do what `TENURE_FAIL` says of this place: kill, term, raise, sleep or hang; else nothing.

    Raises:
        Injected: When told to raise.
        ConfigInvalid: `TENURE_FAIL` is set outside a test, or cannot be read.
    """
    orders = os.environ.get("TENURE_FAIL")
    if not orders:
        return
    if os.environ.get("TENURE_ENV") != "test":
        raise ConfigInvalid(
            "TENURE_FAIL is set, but TENURE_ENV is not 'test'.",
            still_safe="Nothing was injected and nothing was done.",
            next_step="Unset TENURE_FAIL; faults are injected in tests only.",
        )
    _passed[name] += 1
    for order in orders.split(","):
        place, _, rest = order.strip().partition(":")
        action, _, turn = rest.partition(":")
        if place == name and _passed[name] == int(turn or 1):
            _act(action, name)


def _act(action: str, name: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "term":
        os.kill(os.getpid(), signal.SIGTERM)
    elif action == "raise":
        raise InjectedFault(name)
    elif action == "sleep":
        time.sleep(_SLEEP_SECONDS)
    elif action == "hang":
        time.sleep(_HANG_SECONDS)
    else:
        raise ConfigInvalid(
            f"TENURE_FAIL: {action!r} at {name} is not one of kill, term, raise, sleep, hang.",
            still_safe="Nothing was injected.",
            next_step="Write name:action or name:action:n.",
        )
