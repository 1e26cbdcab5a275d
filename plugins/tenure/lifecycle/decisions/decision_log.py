"""Where decisions and outcomes lie, how their times are written, and what may befall them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from tenure.layout import hour_folder, log_prefix

MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class Trouble:
    """Names of the segments of a log that have it, none when it is over, and the last cause."""

    segments: tuple[str, ...] = ()
    cause: str = field(default="", compare=False)


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
    return log_prefix(kind, model, hour_folder(moment(received_at))).rstrip("/")
