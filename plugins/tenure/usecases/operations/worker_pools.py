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
    absent = {}
    for pool, users in asked.items():
        if waiting := [one for one in users if _waits(one, pool, slots.get(pool))]:
            absent[pool] = waiting
    for pool, waiting in absent.items():
        has = f"has {slots[pool]} slots in Airflow" if pool in slots else "is absent in Airflow"
        owners = ", ".join(dict.fromkeys(one.owner for one in waiting))
        for one in waiting:  # a model that joins later is a member of what is known
            open_incident(
                platform,
                f"{_KEY}:{pool}",
                "pool_absent",
                pool,
                f"The pool {pool} {has}; tasks of {one.name} take {_slots(one, pool)} each and "
                "never start. The members are all models of which that holds.",
                member=one.name,
                facts={"model": one.name, "owner": owners},
            )
    close_others(platform, _KEY, absent)
    return PoolCounts(len(asked), len(absent))


def _waits(model: ModelConfig, pool: str, slots: int | None) -> bool:
    """Whether a task of the model can never start there; -1 slots are without a limit."""
    return slots is None or 0 <= slots < _slots(model, pool)


def _slots(model: ModelConfig, pool: str) -> int:
    return max(where.slots for where in model.workers.stages if where.pool == pool)
