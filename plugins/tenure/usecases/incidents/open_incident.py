"""Opens incidents: what somebody has to look at."""

from tenure.installation import Installation


def open_incident(
    platform: Installation, dedupe_key: str, kind: str, subject: str, summary: str, **facts: object
) -> None:
    """Open an incident, or count once more in the open one."""
    from tenure.adapters.sql import incidents

    with platform.database.begin() as connection:
        incidents.open_incident(
            connection,
            dedupe_key=dedupe_key[:250],
            kind=kind[:32],
            subject=subject,
            summary=summary,
            facts=facts,
            at=platform.clock.now(),
        )
