"""Start a run of a DAG now, as a person, and follow it to its end."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.layout import run_link
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.airflow_rest import AirflowSession

ENDED = frozenset({"success", "failed"})
SILENT_SECONDS = 120.0
"""How long Airflow may not answer while a run is followed."""
APPEAR_SECONDS = 90.0
"""How long a DAG may take to appear whose YAML was just written."""
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class RunChange:
    """Something that changed: a task, or the run itself (`task` is None)."""

    what: str
    state: str
    task: RunRef | None = None
    tries: int = 0
    max_tries: int = 0


@dataclass(frozen=True)
class StartedRun:
    """A run that a person started."""

    session: "AirflowSession"
    dag_id: str
    run_id: str
    url: str

    def follow(self, pause: Callable[[float], None] = time.sleep) -> Iterator[RunChange]:
        """Each change, as it is seen; ends with the run.

        Raises:
            ServiceUnreachable: Airflow did not answer for two minutes; the run goes on without us.
        """
        seen: dict[str, RunChange] = {}
        silent = 0.0
        while True:
            try:
                changes, silent = self._changes(), 0.0
            except ServiceUnreachable:
                changes, silent = [], silent + _LOOK_SECONDS
                if silent > SILENT_SECONDS:
                    raise
            for change in changes:
                if seen.get(change.what) != change:
                    seen[change.what] = change
                    yield change
            if changes and changes[-1].state in ENDED:
                return
            pause(_LOOK_SECONDS)

    def _changes(self) -> list[RunChange]:
        """The run comes last and is asked first, so that no task of an ended run is missed."""
        state = self.session.run_state(self.dag_id, self.run_id)
        tasks = [
            RunChange(
                task.name,
                task.state,
                RunRef(self.dag_id, self.run_id, task.task_id, task.map_index),
                task.tries,
                task.max_tries,
            )
            for task in self.session.tasks(self.dag_id, self.run_id)
            if task.state
        ]
        return [*tasks, RunChange("run", state)]


@contextmanager
def started(
    platform: Installation,
    dag_id: str,
    conf: Mapping[str, object],
    *,
    login: tuple[str, str],
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[StartedRun]:
    """Start a run with these values of its form; the session ends with the block.

    Args:
        platform: Whose Airflow.
        dag_id: What to start.
        conf: Values of its form.
        login: Name and password of the person; Tenure's own checks see the name.
        tell: Takes what is waited for.

    Raises:
        NotPermitted: Airflow refuses the login, or the person may not.
        StateConflict: There is no such DAG, or it is paused.
        ServiceUnreachable: Airflow does not answer.
    """
    from tenure.adapters.airflow_rest import AirflowRest

    airflow_url = platform.settings.airflow_url
    with AirflowRest(airflow_url, *login).session() as session:
        await_dag(session, dag_id, tell)
        run_id = session.trigger(dag_id, conf)
        yield StartedRun(session, dag_id, run_id, run_link(airflow_url, dag_id, run_id))


def await_dag(
    session: "AirflowSession",
    dag_id: str,
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Return when Airflow knows the DAG, or should have long ago."""
    waited = 0.0
    while not session.has(dag_id) and waited < APPEAR_SECONDS:
        if not waited:
            tell(f"Airflow has not read {dag_id} yet: waiting for it, up to {APPEAR_SECONDS:.0f} s")
        pause(_LOOK_SECONDS)
        waited += _LOOK_SECONDS
