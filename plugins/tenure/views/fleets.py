"""Who serves: the gateways of each model."""

from typing import TYPE_CHECKING

from tenure.installation import Installation

if TYPE_CHECKING:
    from tenure.lifecycle.serving.presence import Fleet


def fleets(platform: Installation, model: str | None = None) -> "list[Fleet]":
    """Of every model that has a traffic plan, or of the one. Raises ServiceUnreachable."""
    from tenure.adapters.sql import presence

    with platform.database.begin() as connection:
        return presence.fleets(connection, model)
