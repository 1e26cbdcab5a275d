"""Long-running work over many items: what one of them does never stops the ones after it."""

import logging
import traceback
from collections.abc import Callable, Iterable
from typing import TypeVar

from tenure.errors import ServiceUnreachable, TenureError
from tenure.installation import Installation
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.open_incident import dedupe_key, open_incident, words_of
from tenure.vocabulary import storable

_log = logging.getLogger("tenure.one_by_one")

Item = TypeVar("Item")
Result = TypeVar("Result")


def one_by_one(
    platform: Installation,
    part: str,
    items: Iterable[Item],
    *,
    name: Callable[[Item], str],
    do: Callable[[Item], Result],
) -> list[Result]:
    """Do it for each item; one that fails is set aside with an incident, and tried the next time.

    The incident closes when the item works again, or is no more. A service that does not answer
    for one item (a lock on its rows, an object that times out) may well answer for the next; only
    when it does not for two in a row, or for the last, do the others wait as well.

    Args:
        platform: The installation.
        part: What is done, as its incidents are grouped: `part:item`.
        items: All there are now.
        name: Of an item, for people.
        do: What is done with each.

    Returns:
        What came of those that did not fail.

    Raises:
        ServiceUnreachable: A service does not answer: every other item would meet that as well.
    """
    from tenure.adapters.sql import maintenance

    results: list[Result] = []
    failed: set[str] = set()
    unreachable: tuple[str, ServiceUnreachable] | None = None
    for item in items:
        try:
            results.append(do(item))
        except ServiceUnreachable as error:
            if unreachable is not None:
                raise
            unreachable = name(item), error
            continue
        except Exception as error:  # whatever it is, it is about this one
            failed.add(_key(part, name(item)))
            set_aside(platform, part, name(item), error)
        if unreachable is not None:
            failed.add(_key(part, unreachable[0]))
            set_aside(platform, part, *unreachable)
            unreachable = None
    if unreachable is not None:
        raise unreachable[1]
    with platform.database.begin() as connection:
        still_open = maintenance.open_incidents(connection, f"{part}:")
    for key in {*still_open} - failed:
        close_incident(platform, key)
    return results


def set_aside(platform: Installation, part: str, name: str, error: Exception) -> None:
    """Open the incident about one item; the log has the trace of what is no TenureError."""
    cause = cause_of(error)
    _log.error("set_aside part=%s item=%s cause=%s%s", part, storable(name), cause, trace_of(error))
    summary = f"{name} was set aside by {part}, and the rest went on: {cause}"
    open_incident(
        platform, _key(part, name), type(error).__name__, name, summary, facts=words_of(error)
    )


def _key(part: str, name: str) -> str:
    """As the database holds it, so that what is open can be compared with what failed."""
    return dedupe_key(f"{part}:{name}")


def cause_of(error: Exception) -> str:
    """The words of an incident: of a TenureError what it says, of a bug its class as well."""
    if isinstance(error, TenureError):
        return error.what
    return storable(f"{type(error).__name__}: {error}".strip()[:600])


def trace_of(error: Exception) -> str:
    """Lines for the log about a bug, whatever its message holds; empty for a TenureError."""
    if isinstance(error, TenureError):
        return ""
    return "\n" + storable("".join(traceback.format_exception(error)))
