"""What a person says about a dataset to whoever comes next, and whether its alerts name her.

Alerts go where the installation sends them; nobody's own address is known here. So a subscription
puts the name into the alerts of the dataset, and the receiver tells the person.
"""

from tenure.adapters.sql import notes
from tenure.errors import NotPermitted
from tenure.installation import Installation
from tenure.views.workbench import may_write
from tenure.vocabulary import REASON

_SAFE = "Nothing was changed."


def write_note(platform: Installation, dataset: str, text: str, *, user: str) -> None:
    """Keep a note for good.

    Raises:
        TextRefused: It cannot be kept.
        NotPermitted: The person has no role.
    """
    REASON.require(text, "text", still_safe=_SAFE)
    _require_role(platform, user)
    with platform.database.begin() as connection:
        notes.write(connection, dataset, body=text, author=user)


def subscribe(platform: Installation, dataset: str, *, user: str, is_on: bool) -> bool:
    """Name the person in the alerts of the dataset, or not any more; whether that is new.

    Raises:
        NotPermitted: The person has no role.
    """
    _require_role(platform, user)
    with platform.database.begin() as connection:
        named = notes.subscribers(connection, [dataset]).get(dataset, [])
        if (user in named) == is_on:
            return False
        notes.subscribe(connection, dataset, user, is_on=is_on)
    return True


def _require_role(platform: Installation, user: str) -> None:
    if not may_write(platform, user):
        raise NotPermitted(
            f"{user} has no role in Tenure, so may neither write notes nor subscribe.",
            still_safe=_SAFE,
            next_step="Ask for a role in include/configs/platform.yaml, such as `viewer`.",
        )
