"""What follows the lifecycle database, and how it is put right when it does not."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tenure.layout import PLATFORM_DAGS, parse_dag_id

ORPHAN_GRACE = timedelta(seconds=60)
"""A controller that is taken over by its next try may miss one lease."""
SPEAK_GRACE = timedelta(seconds=60)
"""A failed task's own card may be on its way for so long."""
DEAD_AFTER = timedelta(minutes=15)
"""A retrain request that no run has worked on for so long was left behind."""


@dataclass(frozen=True)
class AliasRepair:
    """An alias in MLflow that points elsewhere than the lifecycle database says.

    Args:
        alias: `champion` or `challenger`.
        found: Version number that it points to, or None.
        wanted: Version number that it must point to, or None to remove it.
        by_hand: Whether somebody moved it: `found` never had that place by the ledger.
    """

    alias: str
    found: int | None
    wanted: int | None
    by_hand: bool


def alias_repairs(
    wanted: Mapping[str, int | None],
    found: Mapping[str, int],
    earlier: Mapping[str, Collection[int]],
) -> list[AliasRepair]:
    """What to change in MLflow, by alias.

    Args:
        wanted: Version of each alias by the lifecycle database; None for nobody.
        found: Version of each alias by MLflow.
        earlier: Versions that ever had the alias's place by the ledger: pointing to one of them is
            mere lateness, pointing to another one is somebody's doing.
    """
    return [
        AliasRepair(
            alias,
            found.get(alias),
            version,
            by_hand=alias in found and found[alias] not in earlier.get(alias, ()),
        )
        for alias, version in sorted(wanted.items())
        if found.get(alias) != version
    ]


@dataclass(frozen=True)
class TaskProgress:
    """How far a task instance of a run is, as Airflow reports it.

    `label` is what Airflow shows for a mapped one; `state` is None before it is scheduled.
    """

    task_id: str
    map_index: int
    label: str
    state: str | None
    tries: int
    max_tries: int

    @property
    def name(self) -> str:
        """As a person would call it: `train`, `ingest landing/flights/2013-02.parquet`."""
        return f"{self.task_id} {self.label}" if self.map_index >= 0 else self.task_id


@dataclass(frozen=True)
class FailedTask:
    """A failed task instance as Airflow tells it; `host` is where it ran, as far as it is known."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    ended_at: datetime | None
    tries: int
    host: str = ""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What its failure card is found by."""
        return self.dag_id, self.run_id, self.task_id, self.map_index

    @property
    def owner(self) -> str | None:
        """The model or dataset whose DAG it is; None for DAGs of the platform."""
        return parse_dag_id(self.dag_id).owner


def is_ours(dag_id: str, names: Collection[str]) -> bool:
    """Whether Tenure made the DAG: of a known model or dataset, or one of the platform's.

    >>> is_ours("m__train_model", ["m"]), is_ours("x__train_model", ["m"]), is_ours("other", [])
    (True, False, False)
    """
    owner = parse_dag_id(dag_id).owner
    return dag_id in PLATFORM_DAGS if owner is None else owner in names


def silent_deaths(
    failed: Sequence[FailedTask],
    *,
    spoken: Mapping[tuple[str, str, str, int], int],
    names: Collection[str],
    now: datetime,
) -> list[FailedTask]:
    """Failed tasks of ours that never said why: they were killed before they could.

    Args:
        failed: What Airflow calls failed.
        spoken: The newest try of each task that has a failure card: an earlier try that said why
            does not speak for one that was killed.
        names: Known models and datasets.
        now: The present moment.
    """
    return [
        task
        for task in failed
        if spoken.get(task.key, 0) < task.tries
        and is_ours(task.dag_id, names)
        and (task.ended_at is None or task.ended_at + SPEAK_GRACE <= now)
    ]
