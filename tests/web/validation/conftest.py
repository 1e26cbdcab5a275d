"""The pages of a shop's validations, for a reader who is signed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_reader import with_airflow
from shop import Shop

from tenure.installation import Installation

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient


class OpenGuard:
    """Lets everybody read everything but the DAGs that it was told to hide."""

    hidden: frozenset[str] = frozenset()
    user: str = "anybody"

    def allows(self, dag_id: str) -> bool:
        return dag_id not in self.hidden

    def require(self, dag_id: str | None) -> None:
        from fastapi import HTTPException

        if dag_id in self.hidden:
            raise HTTPException(403)


@pytest.fixture
def shop(platform: Installation, tmp_path: Path) -> Shop:
    """A shop without any batch."""
    return Shop(platform, tmp_path)


@pytest.fixture
def pages(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """The pages for a reader who is signed in."""
    from airflow.api_fastapi.common.db.common import _get_session
    from airflow.api_fastapi.core_api.security import get_user

    from tenure.web import app, security

    monkeypatch.setattr(app, "platform", lambda: platform)
    with_airflow(monkeypatch)
    built = app.build()
    built.dependency_overrides |= {
        get_user: lambda: "reader",
        security.Guard: OpenGuard,
        _get_session: lambda: None,
    }
    return built


@pytest.fixture
def client(pages: FastAPI) -> Iterator[TestClient]:
    from fastapi.testclient import TestClient

    with TestClient(pages, root_path="/tenure") as http:
        yield http


@pytest.fixture
def guard() -> type[OpenGuard]:
    """To hide DAGs from the reader."""
    return OpenGuard
