"""Who approved was allowed to, by the revision in force then."""

import pytest

from tenure.lifecycle.audit.authority import GivenApproval, RoleRevision, unauthorized

FIRST = RoleRevision(1, "a", frozenset({"grace"}))
SECOND = RoleRevision(5, "b", frozenset({"mallory"}))
AGAIN = RoleRevision(9, "a", frozenset({"grace"}))
OTHER, NOBODY = "does not refer to", "names no such approver"


@pytest.mark.parametrize(
    ("seq", "approver", "revision", "says"),
    [
        pytest.param(2, "grace", "a", None, id="named"),
        pytest.param(2, "GRACE", "a", None, id="in whatever case"),
        pytest.param(2, "mallory", "a", NOBODY, id="not named yet"),
        pytest.param(6, "mallory", "b", None, id="named since"),
        pytest.param(6, "grace", "b", NOBODY, id="not named any more"),
        pytest.param(6, "grace", "a", OTHER, id="by an older revision"),
        pytest.param(2, "mallory", "b", OTHER, id="by a later revision"),
        pytest.param(10, "grace", "a", None, id="named again"),
        pytest.param(2, "grace", None, OTHER, id="by no revision"),
        pytest.param(1, "grace", "a", OTHER, id="before any revision"),
    ],
)
def test_who_was_allowed(seq: int, approver: str, revision: str | None, says: str | None) -> None:
    given = [GivenApproval(seq, approver, revision)]
    found = list(unauthorized(given, [FIRST, SECOND, AGAIN]))
    assert [why for _, why in found if says and says in why] == [why for _, why in found]
    assert len(found) == (says is not None)
