"""Airflow's public REST API: what became of tasks and runs; starts a run for a person."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from tenure.errors import NotPermitted, ServiceUnreachable, StateConflict
from tenure.lifecycle.audit.reconciliation import FailedTask, TaskProgress

_PAGE = 100
_NOT_FOUND = 404


@dataclass(frozen=True)
class AirflowRest:
    """A login at `/api/v2`.

    Args:
        url: Base URL of the API server.
        user: Name of a user: who reads must be allowed to read every DAG.
        password: Her password.
    """

    url: str
    user: str
    password: str = field(repr=False)
    timeout_seconds: float = 20.0

    def failed_tasks(self, since: datetime, *, most: int = 1_000) -> list[FailedTask]:
        """Task instances that failed since a moment, the newest first.

        Raises:
            NotPermitted: The login is refused.
            ServiceUnreachable: No answer, or one other than 2xx.
        """
        query: dict[str, Any] = {
            "state": "failed",
            "end_date_gte": since.isoformat(),
            "order_by": "-end_date",
            "limit": _PAGE,
        }
        found: list[FailedTask] = []
        with closing(self._client()) as client:
            while len(found) < most:
                page = self._get(
                    client, "/dags/~/dagRuns/~/taskInstances", {**query, "offset": len(found)}
                )["task_instances"]
                found += [_task(one) for one in page]
                if len(page) < _PAGE:
                    break
        return found

    def has_active_run(self, dag_id: str) -> bool:
        """Whether a run of the DAG is queued or running; raises as `failed_tasks`."""
        with closing(self._client()) as client:
            query = {"state": ["queued", "running"], "limit": 1}
            return bool(self._get(client, f"/dags/{dag_id}/dagRuns", query)["dag_runs"])

    def import_errors(self) -> dict[str, str]:
        """Why DAG files cannot be imported, by file; raises as `failed_tasks`."""
        with closing(self._client()) as client:
            found = self._get(client, "/importErrors", {"limit": _PAGE})["import_errors"]
        return {str(one["filename"]): str(one["stack_trace"]) for one in found}

    def pools(self) -> dict[str, int]:
        """Slots of each pool; -1 is as many as there are workers. Raises as `failed_tasks`."""
        found: dict[str, int] = {}
        with closing(self._client()) as client:
            while True:
                query = {"limit": _PAGE, "offset": len(found), "order_by": "id"}
                page = self._get(client, "/pools", query)["pools"]
                found |= {str(one["name"]): int(one["slots"]) for one in page}
                if len(page) < _PAGE:
                    return found

    @contextmanager
    def session(self) -> Iterator["AirflowSession"]:
        """Logged in for the length of a block; raises as `failed_tasks`."""
        with closing(self._client()) as client:
            yield AirflowSession(client, self.user)

    def _client(self) -> httpx.Client:
        client = httpx.Client(base_url=self.url, timeout=self.timeout_seconds, trust_env=False)
        login = {"username": self.user, "password": self.password}
        try:
            answer = client.post("/auth/token", json=login)
        except httpx.HTTPError as error:
            client.close()
            raise _unreachable(f"{type(error).__name__} at login") from error
        if answer.status_code in {401, 403}:
            client.close()
            raise NotPermitted(
                f"Airflow refuses the login of {self.user} ({answer.status_code}).",
                still_safe="Serving does not depend on it; nothing was started.",
                next_step="Correct login and password, for the watchdog those of the connection "
                "tenure_airflow.",
            )
        if not answer.is_success:
            client.close()
            raise _unreachable(f"{answer.status_code} at login")
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    def _get(self, client: httpx.Client, path: str, query: Mapping[str, Any]) -> Any:
        answer = _call(client, "GET", path, params=dict(query))
        if not answer.is_success:
            raise _unreachable(f"{answer.status_code} at {path}")
        return answer.json()


@dataclass(frozen=True)
class AirflowAs:
    """Airflow in the name of a person who is logged in there: her token, so her permissions.

    Args:
        url: Base URL of the API server.
        user: Her name, for messages.
        token: Her JWT.
    """

    url: str
    user: str
    token: str = field(repr=False)
    timeout_seconds: float = 20.0

    def clear(
        self, dag_id: str, run_id: str, tasks: Sequence[tuple[str, int]], *, dry_run: bool
    ) -> list[TaskProgress]:
        """Clear failed tasks of a run and what failed after them; what else they are stays.

        Args:
            dag_id: Of the run.
            run_id: The run.
            tasks: Task id and map index, -1 for the whole task.
            dry_run: Only say which would be cleared.

        Returns:
            Task instances that were failed, or upstream_failed, before.

        Raises:
            NotPermitted: She may not.
            StateConflict: There is no such run.
            ServiceUnreachable: No answer, or one that is none of these.
        """
        body: dict[str, object] = {
            "dry_run": dry_run,
            "dag_run_id": run_id,
            "task_ids": [[name, at] if at >= 0 else name for name, at in tasks],
            "only_failed": True,
            "include_downstream": True,
            "reset_dag_runs": True,
        }
        with closing(self._client()) as client:
            path = f"/dags/{dag_id}/clearTaskInstances"
            found = AirflowSession(client, self.user)._ask("POST", dag_id, path, body)
        return [_progress(row) for row in found["task_instances"]]

    def import_errors(self) -> dict[str, str]:
        """Why DAG files that she may see cannot be imported, by file; raises as `clear`."""
        with closing(self._client()) as client:
            found = AirflowSession(client, self.user)._ask(
                "GET", "its files", f"/importErrors?limit={_PAGE}"
            )
        return {str(one["filename"]): str(one["stack_trace"]) for one in found["import_errors"]}

    def _client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(
            base_url=self.url, timeout=self.timeout_seconds, headers=headers, trust_env=False
        )


@dataclass(frozen=True)
class AirflowSession:
    """A person who is logged in: starts a run and looks how far it is."""

    client: httpx.Client = field(repr=False)
    user: str

    def has(self, dag_id: str) -> bool:
        """Whether there is such a DAG by now; other troubles are told by `trigger`."""
        return _call(self.client, "GET", f"/dags/{dag_id}").status_code != _NOT_FOUND

    def trigger(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """Start a run by hand; returns its run id.

        Raises:
            NotPermitted: The person may not.
            StateConflict: There is no such DAG, or it is paused.
            ServiceUnreachable: No answer, or one that is none of these.
        """
        if self._ask("GET", dag_id, f"/dags/{dag_id}")["is_paused"]:
            raise StateConflict(
                f"The DAG {dag_id} is paused: a run would wait until it is not.",
                still_safe="Nothing was started.",
                next_step="Unpause it in Airflow, then start it again.",
            )
        body = {"logical_date": None, "conf": dict(conf)}
        return str(self._ask("POST", dag_id, f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """`queued`, `running`, `success` or `failed`; raises as `trigger`."""
        return str(self._ask("GET", dag_id, f"/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[TaskProgress]:
        """How far each task of the run is; raises as `trigger`."""
        found: list[TaskProgress] = []
        while True:
            page = f"?limit={_PAGE}&offset={len(found)}&order_by=id"
            path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances{page}"
            rows = self._ask("GET", dag_id, path)["task_instances"]
            found += [_progress(row) for row in rows]
            if len(rows) < _PAGE:
                return found

    def _ask(self, method: str, dag_id: str, path: str, body: object = None) -> Any:
        answer = _call(self.client, method, path, json=body)
        if answer.status_code in {401, 403}:
            raise NotPermitted(
                f"Airflow does not let {self.user} do this with {dag_id} ({answer.status_code}).",
                still_safe="Nothing was started.",
                next_step="Ask as somebody who may, or let Airflow's administrator allow it.",
            )
        if answer.status_code == _NOT_FOUND:
            raise StateConflict(
                f"Airflow has no DAG {dag_id}, or no such run of it.",
                still_safe="Nothing was started.",
                next_step="A new YAML appears within a minute; `tenure check` says what is wrong.",
            )
        if not answer.is_success:
            raise _unreachable(f"{answer.status_code} at {path}: {answer.text[:200]}")
        return answer.json()


def _call(client: httpx.Client, method: str, path: str, **arguments: Any) -> httpx.Response:
    try:
        return client.request(method, f"/api/v2{path}", **arguments)
    except httpx.HTTPError as error:
        raise _unreachable(f"{type(error).__name__} at {path}") from error


def _progress(value: Mapping[str, Any]) -> TaskProgress:
    index = int(value["map_index"])
    return TaskProgress(
        task_id=str(value["task_id"]),
        map_index=index,
        label=str(value.get("rendered_map_index") or index),
        state=value.get("state"),
        tries=int(value.get("try_number") or 0),
        max_tries=int(value.get("max_tries") or 0),
    )


def _task(value: Mapping[str, Any]) -> FailedTask:
    ended = value.get("end_date")
    return FailedTask(
        dag_id=str(value["dag_id"]),
        run_id=str(value["dag_run_id"]),
        task_id=str(value["task_id"]),
        map_index=int(value["map_index"]),
        ended_at=datetime.fromisoformat(ended) if ended else None,
        tries=int(value.get("try_number") or 1),
        host=str(value.get("hostname") or ""),
    )


def _unreachable(what: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"Airflow's REST API: {what}.",
        still_safe="Serving does not depend on it; killed tasks are found at the next run.",
        next_step="Nothing at first. If it lasts, look at the api-server and at tenure_airflow.",
    )
