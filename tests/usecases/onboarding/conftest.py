"""What the tests of a new model share."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tenure.usecases.onboarding.model_draft import ModelSpec
from tenure.usecases.onboarding.new_model import NewModel, create

WISH = ModelSpec("loan_new", "loans", "ok", subject="branch", owner="ada")


@pytest.fixture
def published(world: Any) -> Any:
    """Three months of loans."""
    for month in (1, 2, 3):
        world.publish(month)
    return world


@pytest.fixture
def made(world: Any) -> Callable[..., NewModel]:
    """A model from the loans that are published; keyword arguments are what a person says."""

    def make(**other: Any) -> NewModel:
        return create(world.platform, replace(WISH, **other))

    return make
