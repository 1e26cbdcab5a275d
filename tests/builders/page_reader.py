"""Who reads the pages in tests: somebody whom Airflow let in, with Airflow alive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tenure.views.health import AirflowSigns


class FakeGuard:
    """Lets everybody read everything but the DAGs that it was told to hide."""

    hidden: frozenset[str] = frozenset()
    user = "olga"

    def allows(self, dag_id: str) -> bool:
        return dag_id not in self.hidden

    def require(self, dag_id: str | None) -> None:
        from fastapi import HTTPException

        if dag_id in self.hidden:
            raise HTTPException(403)


def signs(*silent: str) -> AirflowSigns:
    """Airflow's processes, alive but for some that were never started."""
    from tenure.views.health import AIRFLOW_PARTS, AirflowSigns

    now = datetime.now(tz=UTC)
    return AirflowSigns({name: now for name in AIRFLOW_PARTS if name not in silent}, now)


def with_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's database answers the pages: all lives, nothing runs, and nobody is asked."""
    from tenure.web import app

    monkeypatch.setattr(app, "airflow_signs", lambda _session: signs())
    monkeypatch.setattr(app, "is_running", lambda *_: False)
    monkeypatch.setattr(app, "open_windows", lambda *_: [])
