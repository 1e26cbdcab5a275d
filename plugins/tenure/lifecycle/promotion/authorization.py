"""When the owner of a model hears that its authorization ends."""

from datetime import datetime, timedelta

NOTICE_DAYS = (30, 7, 1)
"""So many days before the end the owner is notified, each time once."""


def notice_due(until: datetime, *, now: datetime, valid_days: int) -> int | None:
    """Which notice is due: its days before the end, 0 after it; None while there is time.

    After a pause only the newest one is due. An authorization that is given for no longer than a
    notice's days has not that notice: it would come with the approval.

    >>> from datetime import UTC
    >>> end = datetime(2026, 12, 31, tzinfo=UTC)
    >>> [notice_due(end, now=end - timedelta(days=n), valid_days=90) for n in (31, 30, 8, 7, 1, 0)]
    [None, 30, 30, 7, 1, 0]
    """
    if until <= now:
        return 0
    due = [days for days in NOTICE_DAYS if days < valid_days and until - now <= timedelta(days)]
    return min(due, default=None)
