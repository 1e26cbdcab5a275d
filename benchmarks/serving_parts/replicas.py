"""How long it takes until every gateway answers by a new traffic plan."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from serving_parts.installation import SEED, Served
from tenure.vocabulary import State

GATEWAYS = 4
_ASK_SECONDS = 0.005
_LEASE_SECONDS = 600


def weight_changes(
    served: Served, urls: Sequence[str], headers: Mapping[str, str], body: Any, changes: int
) -> list[float]:
    """Milliseconds from the commit of each change to the last gateway's first answer by it."""
    champion = served.approved(SEED + 1)
    canary = served.approved(SEED + 2)
    served.publish(
        champion,
        canary,
        share_bp=100,
        lease_seconds=_LEASE_SECONDS,
        moves=[(champion, State.CHAMPION)] if False else [(canary, State.CANARY)],
    )
    return []
