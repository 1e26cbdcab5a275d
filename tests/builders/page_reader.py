"""Who reads the pages in tests: somebody whom Airflow let in, with Airflow alive."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from fastapi import FastAPI

    from tenure.views.health import AirflowSigns

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
"""None where it is not installed."""


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


@contextmanager
def served(pages: FastAPI, guard: type[FakeGuard]) -> Iterator[str]:
    """The pages behind a real server, as the guard's user sees them; yields their URL."""
    import uvicorn
    from airflow.api_fastapi.common.db.common import _get_session
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import FastAPI

    from tenure.web import security

    pages.dependency_overrides |= {
        get_user: lambda: "reader",
        security.Guard: guard,
        _get_session: lambda: None,
    }
    outer = FastAPI()
    outer.mount("/tenure", pages)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(outer, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/tenure"
        server.should_exit = True
        thread.join(20)
