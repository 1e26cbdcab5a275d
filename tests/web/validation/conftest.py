"""The pages of a shop's validations, for a reader who is signed in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shop import Shop

from tenure.installation import Installation

if TYPE_CHECKING:
    from fastapi import FastAPI


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
def pages(pages: FastAPI) -> FastAPI:
    """Datasets are seen, unless a test hides them."""
    from tenure.web import security

    pages.dependency_overrides[security.Guard] = OpenGuard
    return pages


@pytest.fixture
def guard() -> type[OpenGuard]:
    """To hide DAGs from the reader."""
    return OpenGuard
