"""Opens an incident for each pool that a model's tasks wait for and Airflow cannot give them.

Airflow never starts a task whose pool is absent or has fewer slots than it asks for, and says so
only in the scheduler's log.
"""

from dataclasses import dataclass
from typing import Protocol

from tenure.config import ModelConfig, load_all
from tenure.installation import Installation
from tenure.usecases.incidents.close_incident import close_others
from tenure.usecases.incidents.open_incident import open_incident

_KEY = "pool"


class Pools(Protocol):
    """What is asked of Airflow."""

    def pools(self) -> dict[str, int]:
        """Slots of each pool; -1 is without a limit."""
        ...


@dataclass(frozen=True)
class PoolCounts:
    """Pools that models name, and those of them that cannot start a task."""

    named: int
    absent: int


def report_pools(platform: Installation, airflow: Pools) -> PoolCounts:
    """One incident a pool; it closes when Airflow has the slots, or no YAML asks for them."""
    asked: dict[str, list[ModelConfig]] = {}
    for model in load_all(platform.settings.include).models.values():
        for pool in {where.pool for where in model.workers.stages if where.pool}:
            asked.setdefault(pool, []).append(model)
    slots = airflow.pools() if asked else {}
    absent = {pool: users for pool, users in asked.items() if not _is_enough(pool, users, slots)}
    for pool, users in absent.items():
        needed, names = max(_slots(one, pool) for one in users), [one.name for one in users]
        has = f"has {slots[pool]} slots" if pool in slots else "is absent in Airflow"
        open_incident(
            platform,
            f"{_KEY}:{pool}",
            "pool_absent",
            pool,
            f"The pool {pool} {has}; tasks of {', '.join(names)} ask for {needed} at once "
            "and never start.",
            facts={"model": names[0], "owner": ", ".join(dict.fromkeys(u.owner for u in users))},
        )
    close_others(platform, _KEY, absent)
    return PoolCounts(len(asked), len(absent))


def _is_enough(pool: str, users: list[ModelConfig], slots: dict[str, int]) -> bool:
    found = slots.get(pool)
    return found is not None and (found < 0 or found >= max(_slots(one, pool) for one in users))


def _slots(model: ModelConfig, pool: str) -> int:
    return max(where.slots for where in model.workers.stages if where.pool == pool)
