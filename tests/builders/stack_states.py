"""What `tenure up` writes down of a stack."""

import os
from pathlib import Path

import psutil

from tenure.stack import state
from tenure.stack.endpoints import StackEndpoints


def write_state(home: Path, *, lives: bool = True) -> None:
    """Of a stack that this process owns, or that somebody owned who is gone."""
    created = psutil.Process().create_time() - (0.0 if lives else 1e6)
    home.mkdir(parents=True, exist_ok=True)
    state.write(home, state.StackState(os.getpid(), created, StackEndpoints()))
