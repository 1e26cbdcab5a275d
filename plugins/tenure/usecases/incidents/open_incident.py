"""Opens incidents: what somebody has to look at."""

from collections.abc import Mapping

from tenure.errors import TenureError
from tenure.installation import Installation
from tenure.vocabulary import digest_json, storable

LONGEST_KEY = 250
"""Characters of a dedupe key that the database holds."""
_LONGEST_KIND = 64


def dedupe_key(text: str) -> str:
    """The text as a key; two long ones that begin alike are two incidents all the same."""
    key = storable(text)
    if len(key) <= LONGEST_KEY:
        return key
    return f"{key[: LONGEST_KEY - 13]} {digest_json(key)[:12]}"


def open_incident(
    platform: Installation,
    key: str,
    kind: str,
    subject: str,
    summary: str,
    *,
    member: str = "",
    facts: Mapping[str, object] | None = None,
) -> int:
    """Open an incident, or count once more in the open one; a repetition announces nothing.

    Args:
        platform: The installation.
        key: The cause: kind, subject, and the column or file.
        kind: One of `lifecycle/incidents/kinds.py`, or the class of an error.
        subject: What it is about.
        summary: What happened, with numbers.
        member: The item that joins it, where an incident has several.
        facts: `model`, `dataset` (or `datasets`), `owner`, `report`, `still_safe`, `next_step` and
            `stage` are read by pages and alerts; a new `stage` announces it once more.

    Returns:
        Its number.
    """
    from tenure.adapters.sql import incidents
    from tenure.adapters.sql.incident_members import Member

    with platform.database.begin() as connection:
        return incidents.open_incident(
            connection,
            dedupe_key=dedupe_key(key),
            kind=kind[:_LONGEST_KIND],
            subject=subject,
            summary=summary,
            facts=facts,
            member=Member(item=member) if member else None,
            at=platform.clock.now(),
        )


def words_of(error: Exception) -> dict[str, object]:
    """What an error says is safe and to be done, as facts; nothing of a bug."""
    if not isinstance(error, TenureError):
        return {}
    return {"still_safe": storable(error.still_safe), "next_step": storable(error.next_step)}
