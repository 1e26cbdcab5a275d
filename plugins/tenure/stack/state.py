"""`<home>/stack.json`: what runs where, for `tenure status`, `tenure down` and other shells."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from tenure.stack.endpoints import StackEndpoints
from tenure.stack.environment import write_private


@dataclass(frozen=True)
class StackState:
    """What a running stack wrote down.

    Args:
        owner: Process id of `tenure up` or whoever started it.
        owner_created: Its creation time (seconds), so that a recycled id is not taken for it.
        endpoints: Ports.
        pids: Process id by service.
        sessions: Session id (as text, for JSON) → creation time of its leader.
        environment: TENURE_* variables of the services.
    """

    owner: int
    owner_created: float
    endpoints: StackEndpoints
    pids: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, float] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def owner_lives(self) -> bool:
        """Whether the process that started the stack is still there."""
        try:
            created = psutil.Process(self.owner).create_time()
        except psutil.Error:
            return False
        return abs(created - self.owner_created) < 1.0

    def leaders(self) -> dict[int, float]:
        """The sessions with their ids as numbers."""
        return {int(session): created for session, created in self.sessions.items()}


def path(home: Path) -> Path:
    """Where the state of the stack of this home is kept."""
    return home / "stack.json"


def read(home: Path) -> StackState | None:
    """The state that was written last; None when no stack was started or it was ended."""
    try:
        found = json.loads(path(home).read_text())
        return StackState(**{**found, "endpoints": StackEndpoints(**found["endpoints"])})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write(home: Path, state: StackState) -> None:
    """Replace it as a whole; it holds the password of PostgreSQL, so only the owner reads it."""
    write_private(path(home), json.dumps(asdict(state), indent=2))
