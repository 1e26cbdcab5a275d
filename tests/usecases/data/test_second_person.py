"""Who may answer a proposal: whoever may and did not make it; its author may take it back."""

from contextlib import nullcontext

import pytest

from tenure.errors import NotPermitted
from tenure.installation import Installation
from tenure.usecases.data.second_person import require_second_person


@pytest.mark.service
@pytest.mark.parametrize(
    ("user", "accept", "why"),
    [
        ("grace", True, None),  # an approver
        ("sam", True, "sam proposed release 3 of orders: a second person accepts it"),
        ("SAM", True, "SAM proposed release 3 of orders"),
        ("sam", False, None),
        ("olga", True, "olga may not answer proposals: that needs the role steward or approver"),
        ("olga", False, "olga may not answer proposals"),
    ],
)
def test_who_answers(platform: Installation, user: str, accept: bool, why: str | None) -> None:
    with nullcontext() if why is None else pytest.raises(NotPermitted, match=why):
        require_second_person(
            platform,
            "release 3 of orders",
            proposed_by="sam",
            user=user,
            accept=accept,
            still_safe="Nothing was changed.",
        )
