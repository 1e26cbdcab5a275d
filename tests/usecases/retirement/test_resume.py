"""Maintenance goes on with what a killed run left, and tells what it cannot do."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from tenure.adapters.sql import versions
from tenure.installation import Installation
from tenure.lifecycle.retirement.decommission import StepAction
from tenure.usecases.operations.reconcile import RetirementCounts, reconcile
from tenure.usecases.retirement.decommissioning import Decommissioning
from tenure.vocabulary import RunRef, State, VersionRef

pytestmark = pytest.mark.service

RUN = RunRef("maintain_platform", "r1", "maintain")


@pytest.fixture
def registry(mirror: Any) -> Any:
    mirror.get_aliases = lambda model: {}
    mirror.set_alias = lambda model, alias, version: False
    return mirror


@pytest.fixture
def left(
    platform: Installation,
    retire: Decommissioning,
    make_version: Callable[..., VersionRef],
    run: RunRef,
) -> VersionRef:
    """A confirmed retirement whose run was killed."""
    ref = make_version()
    retire.request(1, reason="old", successor="", run=run)
    retire.confirm(1, agrees=True, person="grace")
    return ref


def state(platform: Installation, ref: VersionRef) -> State:
    with platform.database.begin() as c:
        return versions.get_by_id(c, ref.id).state


def test_what_a_killed_run_left_is_finished(
    platform: Installation, left: VersionRef, registry: Any
) -> None:
    assert reconcile(platform, RUN, registry).retirements == RetirementCounts(
        unfinished=1, steps=0, failed=0
    )
    with platform.database.begin() as c:
        c.execute(text("UPDATE decommission SET created_at = created_at - interval '1 hour'"))
    assert reconcile(platform, RUN, registry).retirements == RetirementCounts(
        unfinished=1, steps=4, failed=0
    )
    assert state(platform, left) is State.DELETED
    assert reconcile(platform, RUN, registry).retirements == RetirementCounts(
        unfinished=0, steps=0, failed=0
    )


def test_an_archive_that_went_bad_is_reported_and_nothing_is_deleted(
    platform: Installation,
    left: VersionRef,
    registry: Any,
    retire: Decommissioning,
    run: RunRef,
) -> None:
    retire.do(StepAction.NOTIFY, 1, run)
    retire.do(StepAction.ARCHIVE, 1, run)
    platform.store.put("archive/flight_late/1/artifact.skops", b"other bytes")
    with platform.database.begin() as c:
        c.execute(text("UPDATE decommission SET retain_until = now() - interval '1 hour'"))
    assert reconcile(platform, RUN, registry).retirements == RetirementCounts(1, 0, failed=1)
    assert state(platform, left) is State.ARCHIVED
    with platform.database.begin() as c:
        told = c.execute(text("SELECT kind FROM incident WHERE state = 'open'")).scalars().all()
    assert sorted(told) == ["ArchiveIncomplete", "ConfigInvalid"]  # a consumer's webhook as well
