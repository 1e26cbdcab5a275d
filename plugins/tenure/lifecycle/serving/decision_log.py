"""Where decisions and outcomes lie, and how their times are written."""

from datetime import UTC, datetime

MICROSECONDS = 1_000_000


def micros(moment: datetime) -> int:
    """µs since 1970; exact, unlike a float of seconds."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * MICROSECONDS + since.microseconds


def moment(micros_: int) -> datetime:
    """The opposite of `micros`."""
    return datetime.fromtimestamp(micros_ // MICROSECONDS, tz=UTC).replace(
        microsecond=micros_ % MICROSECONDS
    )


def partition(kind: str, model: str, received_at: int) -> str:
    """Folder of the store for records of one hour of the receiver's clock.

    >>> partition("decisions", "flight_late", 0)
    'decisions/model=flight_late/date=1970-01-01/hour=00'
    """
    return f"{kind}/model={model}/{moment(received_at):date=%Y-%m-%d/hour=%H}"
