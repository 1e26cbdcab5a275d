"""What confines the processes that run models on this machine: asked of one that was started.

Nothing is read from a config: a process is forked as a gateway forks them, confines itself, tries
what must not work, and the kernel tells what it holds.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tenure.adapters.model_process import ModelProcess, Nursery
from tenure.usecases.serving.loading import CHILD, LOAD_SECONDS
from tenure.usecases.serving.model_process import LoadOrder

_MEMORY_MB = 256
_FILTER = "2"
"""SECCOMP_MODE_FILTER. Source: linux/seccomp.h."""


@dataclass(frozen=True)
class Wall:
    """One wall around a model process: what it is, and why it does not hold (empty: it holds)."""

    name: str
    gap: str


def measure(folder: Path, module: str = CHILD) -> tuple[Wall, ...]:
    """The walls of a model process that is started for it, and ended.

    Args:
        folder: Its working folder; nothing is written there.
        module: Main module of the warm process.

    Raises:
        OSError, EOFError, ValueError: No process starts here, or it does not answer.
    """
    nursery = Nursery(module, folder)
    try:
        process = nursery.process()
        try:
            return _walls(process)
        finally:
            process.close()
    finally:
        nursery.close()


def _walls(process: ModelProcess) -> tuple[Wall, ...]:
    gaps = _asked(process)
    status = process.status()
    rights = [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(status[name], 16)]
    filtered = "" if status["Seccomp"] == _FILTER else f"the kernel tells mode {status['Seccomp']}"
    raised = "" if status["NoNewPrivs"] == "1" else "a program could give it new ones"
    held = f"the kernel tells {', '.join(rights)}" if rights else ""
    return (
        Wall("seccomp", gaps.get("calls", filtered)),
        Wall("Landlock", gaps.get("files", "")),
        Wall("no capabilities", gaps.get("rights", held)),
        Wall("no new privileges", raised),
    )


def _asked(process: ModelProcess) -> dict[str, str]:
    """What it says itself: walls that it could not build, and those that do not stop it."""
    order = LoadOrder(None, _MEMORY_MB, b"", may_be_unconfined=True)
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        process.pipe.socket.settimeout(LOAD_SECONDS)
        process.pipe.send(msgspec.msgpack.encode(order), [nothing])
    finally:
        os.close(nothing)
    return msgspec.msgpack.decode(process.pipe.receive(), type=dict[str, str])
