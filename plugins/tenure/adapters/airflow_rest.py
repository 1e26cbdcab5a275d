"""Asks Airflow's public REST API what became of tasks and runs; changes nothing."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from tenure.errors import NotPermitted, ServiceUnreachable
from tenure.lifecycle.audit.reconciliation import FailedTask

_PAGE = 100


@dataclass(frozen=True)
class AirflowRest:
    """A reader of `/api/v2`.

    Args:
        url: Base URL of the API server.
        user: Name of a user who may read every DAG.
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
                still_safe="Serving does not depend on the watchdog.",
                next_step="Correct login and password of the connection tenure_airflow.",
            )
        if not answer.is_success:
            client.close()
            raise _unreachable(f"{answer.status_code} at login")
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    def _get(self, client: httpx.Client, path: str, query: Mapping[str, Any]) -> Any:
        try:
            answer = client.get(f"/api/v2{path}", params=dict(query))
        except httpx.HTTPError as error:
            raise _unreachable(f"{type(error).__name__} at {path}") from error
        if not answer.is_success:
            raise _unreachable(f"{answer.status_code} at {path}")
        return answer.json()


def _task(value: Mapping[str, Any]) -> FailedTask:
    ended = value.get("end_date")
    return FailedTask(
        dag_id=str(value["dag_id"]),
        run_id=str(value["dag_run_id"]),
        task_id=str(value["task_id"]),
        map_index=int(value["map_index"]),
        ended_at=datetime.fromisoformat(ended) if ended else None,
        tries=int(value.get("try_number") or 1),
    )


def _unreachable(what: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"Airflow's REST API: {what}.",
        still_safe="Serving does not depend on it; killed tasks are found at the next run.",
        next_step="Nothing at first. If it lasts, look at the api-server and at tenure_airflow.",
    )
