"""Who is on call, as a program reaches them, and a clock that goes when it is told to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tenure.errors import ServiceUnreachable


@dataclass
class Pager:
    """A receiver that may be away; it keeps what it took."""

    is_away: bool = False
    asked: int = 0
    taken: list[Mapping[str, object]] = field(default_factory=list)

    def send(self, body: Mapping[str, object], *, message_id: str) -> None:
        self.asked += 1
        if self.is_away:
            raise ServiceUnreachable("The pager answered 503.", still_safe="s", next_step="n")
        assert body["message_id"] == message_id
        self.taken.append(body)

    @property
    def events(self) -> list[str]:
        return [f"{one['kind']} {one['event']}" for one in self.taken]


@dataclass
class Clock:
    """Moves the clock of this process."""

    by: timedelta = timedelta(0)
