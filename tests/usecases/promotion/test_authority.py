"""Each revision of platform.yaml is a ledger event, and approvals go by the one in force."""

from collections.abc import Callable
from typing import Any

import pytest

from tenure.adapters.sql import revisions
from tenure.errors import NotPermitted
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.promotion import approval, authority

pytestmark = pytest.mark.service
ONLY_HEIDI = "roles: {approver: [heidi]}\n"


def people(life: Any, text: str) -> None:
    """Somebody edits the file; this process read it before."""
    assert life.platform.config
    (life.platform.settings.configs / "platform.yaml").write_text(text)


def known(life: Any) -> list[Any]:
    with life.platform.database.begin() as connection:
        return revisions.every(connection, authority.SUBJECT)


def test_a_revision_is_one_event_and_one_that_comes_back_another(
    world: Callable[..., Any],
) -> None:
    life = world()
    path = life.platform.settings.configs / "platform.yaml"
    first = path.read_text()
    taken = []
    for text in (first, first, ONLY_HEIDI, first):
        people(life, text)
        taken.append(authority.take_up(life.platform, seen_by="maintain_platform").taken_up)
        assert verify_ledger(life.platform).knows_platform
    assert taken == [1, 0, 1, 1]
    events = known(life)
    assert [one.roles["approver"] for one in events][1:] == [["heidi"], ["grace", "heidi", "ada"]]
    assert events[0].digest == events[2].digest != events[1].digest


def test_verify_says_when_the_file_in_force_has_no_event(world: Callable[..., Any]) -> None:
    life = world()
    authority.take_up(life.platform, seen_by="maintain_platform")
    people(life, ONLY_HEIDI)
    found = verify_ledger(life.platform, invariants=True)
    assert (found.knows_platform, found.ok) == (False, True)


def test_an_approval_goes_by_the_file_as_it_is_now(world: Callable[..., Any]) -> None:
    """Also where this process read another one before, and refers to the revision's event."""
    life = world()
    version = life.validated()
    asked = approval.ask(life.platform, version)
    assert asked is not None
    people(life, ONLY_HEIDI)
    given = (version.id, asked.artifact, asked.evidence)
    run = life.run("review")
    with pytest.raises(NotPermitted, match="grace is not an approver"):
        approval.answer(life.platform, given, user="grace", choice=approval.Choice.APPROVE, run=run)
    approval.answer(life.platform, given, user="heidi", choice=approval.Choice.APPROVE, run=run)
    with life.platform.database.begin() as connection:
        (event,) = revisions.approvals(connection)
    assert event.approver == "heidi"
    assert event.revision == known(life)[-1].digest
    assert verify_ledger(life.platform, invariants=True).ok
