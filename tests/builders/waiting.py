"""Waiting for what another thread or process will do."""

import time
from collections.abc import Callable
from typing import Any


def wait_for(claim: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer. Fails when there is none in time, which a busy machine may need."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := claim():
            return answer
        time.sleep(0.01)
    raise AssertionError(f"not true within {seconds} s")
