"""The one file that knows Airflow's API server: who may read what, and what a task's state is.

Routes of a plugin are public unless they depend on this (FACTS), so every route does.
"""

from __future__ import annotations

from typing import Annotated, Any

from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.jobs.job import Job
from airflow.models.dag import DagModel, DagTag
from airflow.models.dagrun import DagRun
from airflow.models.errors import ParseImportError
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from fastapi import Depends, HTTPException, Request
from sqlalchemy import func, select

from tenure.layout import dag_id as dag_id_of
from tenure.views.approval_page import ASKING_TASK, OpenWindow
from tenure.views.health import AirflowSigns
from tenure.views.tasks import TaskStatus

__all__ = [
    "GetUserDep",
    "Guard",
    "SessionDep",
    "airflow_signs",
    "is_running",
    "open_windows",
    "signed_in",
    "task_status",
    "token_of",
]

_PARTS = {
    "SchedulerJob": "scheduler",
    "TriggererJob": "triggerer",
    "DagProcessorJob": "dag-processor",
}

signed_in = Depends(get_user)
"""For the app itself: no route of it answers without a login (401) or with a bad one (403)."""


def token_of(request: Request) -> str:
    """The JWT by which Airflow let this request in; empty when it was by another way."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")


class Guard:
    """Asks Airflow whether this request's user may read a DAG's runs."""

    def __init__(self, request: Request, user: GetUserDep) -> None:
        self._request = request
        self._user = user

    @property
    def user(self) -> str:
        """Name of who is logged in, as the roles of `platform.yaml` spell it."""
        return str(self._user.get_name())

    def require(self, dag_id: str | None) -> None:
        """Raise 403 unless the user may read the DAG; None asks for DAGs in general."""
        check: Any = requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE, param_dag_id=dag_id)
        check(self._request, self._user)

    def allows(self, dag_id: str) -> bool:
        """The same as an answer, to leave rows out of a list."""
        try:
            self.require(dag_id)
        except HTTPException:
            return False
        return True


GuardDep = Annotated[Guard, Depends(Guard)]


def task_status(
    session: Any, dag_id: str, run_id: str, task_id: str, map_index: int
) -> TaskStatus | None:
    """What Airflow knows about the task instance; None when there is none."""
    ti = TaskInstance
    rows = session.execute(
        select(
            ti.task_id,
            ti.map_index,
            ti.state,
            ti.try_number,
            ti.max_tries,
        ).where(ti.dag_id == dag_id, ti.run_id == run_id)
    ).all()
    mine = {row.map_index: row for row in rows if row.task_id == task_id}
    if not mine:
        return None
    tagged = session.scalar(
        select(DagTag.name).where(DagTag.dag_id == dag_id, DagTag.name.startswith("stage:"))
    )
    copies = tuple(sorted((i, row.state or "none") for i, row in mine.items() if i >= 0))
    row = mine.get(map_index)
    failed = {r.task_id for r in rows if r.state == "failed" and r.task_id != task_id}
    return TaskStatus(
        state=row.state if row else None,
        try_number=row.try_number if row else 0,
        max_tries=row.max_tries if row else 0,
        is_ours=tagged is not None,
        culprits=tuple(sorted(failed)),
        mapped=() if row else copies,
    )


def open_windows(session: Any, dag_id: str) -> list[OpenWindow]:
    """Required actions of the DAG that ask approvers and wait, the oldest first."""
    ti = TaskInstance
    rows = session.execute(
        select(ti.run_id, ti.task_id, ti.map_index, ti.trigger_timeout, HITLDetail.created_at)
        .join(HITLDetail, HITLDetail.ti_id == ti.id)
        .where(ti.dag_id == dag_id, ti.task_id == ASKING_TASK, ti.state == "awaiting_input")
        .where(HITLDetail.responded_at.is_(None))
        .order_by(HITLDetail.created_at, ti.map_index)
    ).all()
    return [
        OpenWindow(row.run_id, row.task_id, row.map_index, row.created_at, row.trigger_timeout)
        for row in rows
    ]


def airflow_signs(session: Any) -> AirflowSigns:
    """What Airflow's database says of its own processes, also while they are dead."""
    beats = session.execute(
        select(Job.job_type, func.max(Job.latest_heartbeat))
        .where(Job.job_type.in_(_PARTS))
        .group_by(Job.job_type)
    ).all()
    return AirflowSigns(
        heartbeats={_PARTS[kind]: at for kind, at in beats if at is not None},
        parsed_at=session.scalar(select(func.max(DagModel.last_parsed_time))),
        import_errors=session.scalar(select(func.count()).select_from(ParseImportError)) or 0,
    )


def is_running(session: Any, owner: str | None = None) -> bool:
    """Whether a run is queued or running: of a model's or dataset's DAGs, or of any."""
    going = select(DagRun.id).where(DagRun.state.in_(("queued", "running")))
    if owner is not None:
        going = going.where(DagRun.dag_id.startswith(dag_id_of(owner, ""), autoescape=True))
    return session.scalar(going.limit(1)) is not None
