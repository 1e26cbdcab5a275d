"""Living in the foreground of a terminal or a container: signals end the stack in order."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from tenure.stack.embedded import Stack

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_SECONDS = 1.0


@contextmanager
def ends_with(stack: Stack) -> Iterator[Stack]:
    """End every process of the stack at the end of the block, whatever ends that.

    Ctrl-C, SIGTERM and SIGHUP leave the block as KeyboardInterrupt; while the stack ends, they are
    ignored. Outside of the main thread, where Python lets nobody handle signals, only the end of
    the block counts.
    """
    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, _interrupt) for number in _ENDING if main}
    try:
        yield stack
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        try:
            stack.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def hold(stack: Stack, on_exit: Callable[[str], None]) -> NoReturn:
    """Wait until a signal comes; name once each service that ended by itself."""
    said: set[str] = set()
    while True:
        for name in stack.exited():
            if name not in said:
                said.add(name)
                on_exit(name)
        time.sleep(_LOOK_SECONDS)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)
