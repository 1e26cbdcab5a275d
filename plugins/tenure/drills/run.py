"""Runs one drill: break, wait until it is found and told, mend, wait until all is right."""

import logging
import time
from collections.abc import Callable

from tenure.drills.faults import FAULTS, Fault
from tenure.drills.sandbox import sandbox
from tenure.errors import TenureError
from tenure.installation import SystemClock
from tenure.lifecycle.incidents.drill import DrillResult
from tenure.settings import Settings

LONGEST_SECONDS = 600.0
"""From the fault; a drill that is not over then has failed."""
_log = logging.getLogger("tenure.drill")


def run(name: str, real: Settings) -> DrillResult:
    """Run a drill in a sandbox copy of the installation.

    Args:
        name: One of `FAULTS`.
        real: Of the installation; nothing of it is touched.

    Raises:
        ServiceUnreachable: The sandbox does not come up.
        ConfigInvalid: `platform.yaml` is broken.
    """
    with sandbox(real) as box:
        fault = FAULTS[name](box)
        fault.prepare()
        began_at, began = SystemClock().now(), time.monotonic()
        times: dict[str, float] = {}
        problem = ""
        try:
            fault.inject()
            for step, is_there in zip(
                _STEPS, (fault.is_found, fault.is_told, fault.is_back), strict=True
            ):
                if step == "back":
                    fault.mend()
                _wait(fault, is_there, began + LONGEST_SECONDS)
                times[step] = time.monotonic() - began
                _log.info("drill=%s step=%s seconds=%.1f", name, step, times[step])
        except TimeoutError:
            missed = next(step for step in _STEPS if step not in times)
            problem = f"not {missed} within {LONGEST_SECONDS:g} s"
        except TenureError as error:
            problem = error.what
        found, told, back = (times.get(step) for step in _STEPS)
        return DrillResult(name, began_at, found, told, back, problem)


_STEPS = ("found", "told", "back")


def _wait(fault: Fault, is_there: Callable[[], bool], until: float) -> None:
    """Look, as often as the installation does, until it is there.

    Raises:
        TimeoutError: It is not in time.
    """
    fault.look()
    while not is_there():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(fault.pause_seconds)
        fault.look()
