"""What the demo's people do in Airflow, through its public REST API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tenure.errors import ServiceUnreachable

_UNFINISHED = ("scheduled", "queued", "running", "restarting", "up_for_retry")
"""States in which Airflow itself has something to do; `deferred` waits for somebody else."""


@dataclass(frozen=True)
class UnfinishedTask:
    """A task instance that Airflow has still to do something about."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str
    tries: int


class AirflowUser:
    """One logged-in person.

    Args:
        url: Airflow's base URL.
        name: User name.
        password: Password of the user.
    """

    def __init__(self, url: str, name: str, password: str) -> None:
        self.name = name
        self._url = url.rstrip("/")
        self.password = password
        self._client = httpx.Client(timeout=60)
        self._token: str | None = None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def call(
        self, method: str, path: str, *, json: Mapping[str, object] | None = None, **params: Any
    ) -> Any:
        """One call of `/api/v2`; logs in when needed.

        Raises:
            ServiceUnreachable: No answer, or an answer other than 2xx.
        """
        try:
            response = self._send(method, path, json, params)
        except httpx.HTTPError as error:
            raise self._unreachable(f"{method} {path} gave no answer: {error}") from error
        if not response.is_success:
            raise self._unreachable(f"{method} {path} gave {response.status_code}: {response.text}")
        return response.json() if response.content else None

    def _send(
        self, method: str, path: str, json: Mapping[str, object] | None, params: dict[str, Any]
    ) -> httpx.Response:
        if self._token is None:
            answer = self._client.post(
                f"{self._url}/auth/token",
                json={"username": self.name, "password": self.password},
            )
            answer.raise_for_status()
            self._token = str(answer.json()["access_token"])
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._client.request(
            method, f"{self._url}/api/v2{path}", json=json, params=params, headers=headers
        )

    def open_questions(self) -> list[dict[str, Any]]:
        """Required actions that wait for an answer, oldest first."""
        found = self.call(
            "GET", "/dags/~/dagRuns/~/hitlDetails", response_received="false", limit=50
        )
        return [q for q in found["hitl_details"] if not q["response_received"]]

    def answer(self, question: Mapping[str, Any], option: str) -> None:
        """Choose an option of a required action; where it has a field, say why."""
        fields = dict.fromkeys(question["params"] or (), f"{option}: it is a demonstration.")
        task = question["task_instance"]
        self.call(
            "PATCH",
            f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/"
            f"{task['task_id']}/{task['map_index']}/hitlDetails",
            json={"chosen_options": [option], "params_input": fields},
        )

    def trigger(self, dag_id: str, conf: Mapping[str, object]) -> str:
        """Start a run by hand; returns its run id."""
        run = self.call(
            "POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": dict(conf)}
        )
        return str(run["dag_run_id"])

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Runs of the DAG, newest first."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns", order_by="-start_date", limit=20)
        return list(found["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        found = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")
        return list(found["task_instances"])

    def unfinished_tasks(self) -> list[UnfinishedTask]:
        """Task instances of all DAGs that Airflow has still to do something about."""
        found = self.call(
            "GET", "/dags/~/dagRuns/~/taskInstances", state=list(_UNFINISHED), limit=100
        )
        return [
            UnfinishedTask(
                dag_id=str(task["dag_id"]),
                run_id=str(task["dag_run_id"]),
                task_id=str(task["task_id"]),
                map_index=int(task["map_index"]),
                state=str(task["state"]),
                tries=int(task["try_number"] or 0),
            )
            for task in found["task_instances"]
        ]

    def import_errors(self) -> list[str]:
        """Messages of Airflow's import banner."""
        found = self.call("GET", "/importErrors")
        return [str(row["stack_trace"]) for row in found["import_errors"]]

    def _unreachable(self, what: str) -> ServiceUnreachable:
        return ServiceUnreachable(
            f"Airflow, as {self.name}: {what[:500]}",
            still_safe="Nothing was changed by this call.",
            next_step="Look at `tenure status` and at the logs under the home folder.",
        )
