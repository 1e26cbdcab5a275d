"""What somebody can do to the ledger who owns its database and knows the code."""

from contextlib import closing

from sqlalchemy import text

from tenure.adapters.sql import chain
from tenure.installation import Installation
from tenure.lifecycle.audit.ledger import GENESIS, event_hash


def as_owner(platform: Installation, *statements: str) -> None:
    """Past every guard of the database."""
    with platform.database.begin() as c:
        c.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            c.execute(text(statement))


def grow(platform: Installation, *names: str) -> None:
    """Honest events."""
    for name in names:
        with platform.database.begin() as c:
            platform.ledger.note(c, subject="s", actor="ada", body={}, op_key=name)


def rechain(platform: Installation) -> None:
    """Make every hash, every link and the head row fit the events as they are now."""
    with platform.database.begin() as c:
        c.execute(text("SET LOCAL session_replication_role = replica"))
        with closing(chain.events(c)) as found:
            events = list(found)
        last = GENESIS
        for event in events:
            columns = {k: v for k, v in vars(event).items() if k != "hash"} | {"prev_hash": last}
            fits = {"p": last, "h": event_hash(**columns), "s": event.seq}
            last = str(fits["h"])
            c.execute(
                text("UPDATE ledger_event SET prev_hash = :p, hash = :h WHERE seq = :s"), fits
            )
        fits = {"s": events[-1].seq, "h": last}
        c.execute(text("UPDATE ledger_head SET seq = :s, hash = :h"), fits)


def rewrite(platform: Installation, seq: int) -> None:
    """Another actor of one event, and a chain that holds."""
    as_owner(platform, f"UPDATE ledger_event SET actor = 'eve' WHERE seq = {seq}")
    rechain(platform)


def cut(platform: Installation, seq: int) -> None:
    """Drop the event and all behind it; the chain holds."""
    as_owner(platform, f"DELETE FROM ledger_event WHERE seq >= {seq}")
    rechain(platform)


def forget(platform: Installation) -> None:
    """Delete every anchor and every checkpoint that the database keeps."""
    as_owner(platform, "DELETE FROM report WHERE stage IN ('ledger', 'checkpoint')")
