"""Which gateways are there, and by which generation each of them serves."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

ALIVE_SECONDS = 30
"""A gateway that has said nothing for so long is silent: killed, cut off, or told to end."""
RENEW_SECONDS = 10.0
"""So often a gateway says that it is there: two of three may get lost."""


class GatewayHealth(StrEnum):
    """What is to be said of a gateway."""

    CURRENT = "current"
    BEHIND = "behind"
    SILENT = "silent"


@dataclass(frozen=True)
class Presence:
    """One gateway of one model.

    Args:
        gateway: Its id.
        generation: The newest traffic plan that it took up.
        newest: The traffic plan in force.
        taken_at: When it took up its own, by its clock.
        alive_at: When it was heard of last, by the database's clock.
        quiet: How long ago that is.
    """

    gateway: str
    generation: int
    newest: int
    taken_at: datetime
    alive_at: datetime
    quiet: timedelta

    @property
    def is_alive(self) -> bool:
        """Whether it is there, as far as anybody can know."""
        return self.quiet < timedelta(seconds=ALIVE_SECONDS)

    @property
    def standing(self) -> GatewayHealth:
        """Alive and up to date, alive and not, or silent."""
        if not self.is_alive:
            return GatewayHealth.SILENT
        return GatewayHealth.CURRENT if self.generation >= self.newest else GatewayHealth.BEHIND

    @property
    def since(self) -> datetime:
        """Since when: it serves by its generation, or nobody has heard of it."""
        return self.taken_at if self.is_alive else self.alive_at


@dataclass(frozen=True)
class Fleet:
    """The gateways of a model that has a traffic plan.

    Args:
        model: Its name.
        generation: The traffic plan in force.
        gateways: All that are remembered, the living first.
    """

    model: str
    generation: int
    gateways: tuple[Presence, ...]

    @property
    def alive(self) -> frozenset[str]:
        """Ids of those that are there."""
        return frozenset(one.gateway for one in self.gateways if one.is_alive)

    @property
    def is_current(self) -> bool:
        """Whether somebody serves, and everybody who does so by the plan in force."""
        found = {one.standing for one in self.gateways} - {GatewayHealth.SILENT}
        return found == {GatewayHealth.CURRENT}
