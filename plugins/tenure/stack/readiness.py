"""Whether commands that start a run find Airflow: it starts for a minute, in another terminal."""

import os
import time
from collections.abc import Callable

from tenure.errors import ServiceUnreachable
from tenure.settings import Settings
from tenure.stack import health, state

SEEN_SECONDS = 60.0
"""How long one is waited for that is not seen: it was just started, or will be now."""
START_SECONDS = 240.0
"""How long one may take to start."""
_OF_ONES_OWN = ("TENURE_AIRFLOW_URL", "TENURE_AIRFLOW_PASSWORD")
"""Who sets one of them has an Airflow of her own."""
_LOOK_SECONDS = 1.0


def schedules(settings: Settings) -> bool:
    """Whether Airflow answers and its scheduler lives."""
    return health.probe("scheduler", settings).healthy


def await_airflow(
    tell: Callable[[str], None],
    is_ready: Callable[[Settings], bool] = schedules,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the stack of this home can run something, or should long have been able to.

    Its ports are known once it has begun, so what was read of the environment before may be wrong.
    An Airflow of one's own is not asked.

    Args:
        tell: Takes what is waited for.
        is_ready: Asks once.
        pause: Waits so many seconds.

    Raises:
        ServiceUnreachable: No stack of the home runs.
    """
    if any(variable in os.environ for variable in _OF_ONES_OWN):
        return
    waited, told = 0.0, ""
    while not is_ready(settings := Settings.from_environment()):
        is_begun = _is_begun(settings)
        patience = START_SECONDS if is_begun else SEEN_SECONDS
        if waited >= patience:
            if is_begun:
                return
            raise _not_running(settings)
        what = (
            "Airflow of the stack is not ready yet"
            if is_begun
            else f"No stack of {settings.home} is seen; `tenure up` in another terminal starts it"
        )
        if what != told:
            told = what
            tell(f"{what}: waiting for it, up to {patience:.0f} s")
        pause(_LOOK_SECONDS)
        waited += _LOOK_SECONDS


def _not_running(settings: Settings) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"No stack of {settings.home} is running, so nothing can be started in Airflow.",
        still_safe="What lies in the landing folders stays, and so does all that was stored.",
        next_step="Start `tenure up` in a terminal of its own, in this folder, and give the "
        "command again. With an Airflow of your own, set TENURE_AIRFLOW_URL.",
    )


def _is_begun(settings: Settings) -> bool:
    """Whether `tenure up` has got so far that it says where things are."""
    found = state.read(settings.home)
    return found is not None and found.owner_lives
