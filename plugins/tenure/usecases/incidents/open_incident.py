"""Opens incidents: what somebody has to look at."""

from tenure.installation import Installation
from tenure.vocabulary import digest_json, storable

LONGEST_KEY = 250
"""Characters of a dedupe key that the database holds."""


def dedupe_key(text: str) -> str:
    """The text as a key; two long ones that begin alike are two incidents all the same."""
    key = storable(text)
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 13]} {digest_json(key)[:12]}"


def open_incident(
    platform: Installation, key: str, kind: str, subject: str, summary: str, **facts: object
) -> None:
    """Open an incident, or count once more in the open one."""
    from tenure.adapters.sql import incidents

    with platform.database.begin() as connection:
        incidents.open_incident(
            connection,
            dedupe_key=dedupe_key(key),
            kind=kind[:32],
            subject=subject,
            summary=summary,
            facts=facts,
            at=platform.clock.now(),
        )
