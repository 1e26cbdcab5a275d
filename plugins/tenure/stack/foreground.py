"""Living in the foreground of a terminal or a container: signals end the stack in order."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from tenure.stack.embedded import Stack

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 1.0


@contextmanager
def ends_with(stack: Stack) -> Iterator[Stack]:
    """Ctrl-C, SIGTERM and SIGHUP leave the block as KeyboardInterrupt; the stack ends with it.

    While it ends, further signals wait.
    """
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        yield stack
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        stack.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def hold(stack: Stack, on_exit: Callable[[str], None]) -> None:
    """Wait until a signal comes; say once of each service that it ended by itself."""
    said: set[str] = set()
    while True:
        for name in stack.exited():
            if name not in said:
                said.add(name)
                on_exit(name)
        time.sleep(_LOOK_SECONDS)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)
