"""One engine for the lifecycle database, and transactions that speak Tenure's errors."""

import contextlib
import math
import os
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, Row, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from tenure.errors import ServiceUnreachable, StateConflict

_CONNECT_SECONDS = 5.0
LOCK_SECONDS = 10.0
"""How long a statement waits for a lock by default."""
_LOCK_NOT_AVAILABLE = "55P03"
_HOLDERS = text(
    """
    SELECT a.pid, a.usename, a.application_name, a.state,
        extract(epoch FROM clock_timestamp() - a.xact_start) AS seconds
    FROM pg_stat_activity a
    WHERE a.datname = current_database()
        AND a.pid <> pg_backend_pid()
        AND cardinality(pg_blocking_pids(a.pid)) = 0
        AND EXISTS (
            SELECT 1
            FROM pg_locks l
            WHERE l.pid = a.pid
                AND l.granted
                AND (l.locktype IN ('transactionid', 'advisory')
                    OR l.mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                        AND l.locktype = 'relation')
        )
    ORDER BY a.xact_start NULLS LAST, a.pid
    LIMIT 3
    """
)
"""Sessions that hold what others wait for, and wait for nobody: the oldest transactions first."""
_UNKNOWN_NAMES = frozenset({"42P01", "42703", "42883"})
"""SQLSTATEs: no such table, column, function."""
_SAFE = "Nothing was half written: the transaction was rolled back; gateways keep serving."
_UNKNOWN = (
    "Nothing was half written: the connection broke off at COMMIT, so all of the transaction or "
    "nothing of it stands; gateways keep serving."
)


class Database:
    """Opens transactions; connections are checked before use.

    Args:
        url: SQLAlchemy URL (`postgresql+psycopg://…`).
        application: Name that `pg_stat_activity` shows; by default the process and its machine.
        pool_size: Connections that are kept.
        patience_seconds: After which a transaction is given up, however it hangs: a network that
            swallows packets gives no error by itself. None waits; for long scans.
        pool_seconds: How long to wait for a connection when all are busy.
        lock_seconds: How long a statement waits for a lock; half of the patience at most, so that
            who holds it can still be named.
    """

    def __init__(
        self,
        url: str,
        *,
        application: str = "",
        pool_size: int = 2,
        patience_seconds: float | None = None,
        pool_seconds: float = 10.0,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._open: weakref.WeakSet[Any] = weakref.WeakSet()
        half = math.inf if patience_seconds is None else patience_seconds / 2
        self._lock_seconds = min(lock_seconds, half)
        connect = min(_CONNECT_SECONDS, patience_seconds or _CONNECT_SECONDS)
        self.engine: Engine = create_engine(
            url,
            hide_parameters=True,  # errors are logged; notes, keys and reasons must not be
            pool_size=pool_size,
            pool_pre_ping=True,
            pool_timeout=pool_seconds,
            connect_args={
                "connect_timeout": math.ceil(connect),
                "application_name": application or _process_name(),
                "options": f"-c lock_timeout={math.ceil(self._lock_seconds * 1000)}",
            },
        )
        event.listen(self.engine, "do_connect", self._connect)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back on any error.

        Raises:
            StateConflict: The database refused the change (a guard, a unique index).
            ServiceUnreachable: The database does not answer, broke the connection, has an older
                schema, somebody holds a lock for too long, or all connections are busy. At COMMIT
                it `may_be_done` all the same.
        """
        at_commit = False
        try:
            with self.patience(), self.engine.begin() as connection:
                yield connection
                at_commit = True
        except IntegrityError as error:
            raise StateConflict(
                f"The lifecycle database refused a change: {_cause(error)}",
                still_safe=_SAFE,
                next_step="Look at the state of the version in the Tenure page; if somebody else "
                "moved it, nothing is to be done.",
            ) from error
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                raise self._locked_out() from error
            if _is_ours(error):
                raise
            raise _unreachable(error, may_be_done=at_commit and error.connection_invalidated) from (
                error
            )
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) not in _UNKNOWN_NAMES:
                raise
            raise ServiceUnreachable(
                f"The lifecycle database is not up to date with this code: {_cause(error)}; "
                "`tenure migrate` brings it there.",
                still_safe=_SAFE,
                next_step="Run `tenure migrate`, then do it again.",
            ) from error
        except PoolExhausted as error:
            raise ServiceUnreachable(
                "Every connection of this process to the lifecycle database is busy.",
                still_safe=_SAFE,
                next_step="It is tried again by itself. If it lasts, look for a transaction that "
                "hangs (`pg_stat_activity`).",
            ) from error

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Break every connection of this process when the block takes too long.

        The one that hangs cannot be told apart while it is being opened or checked; the others
        are opened anew by whoever needs them.
        """
        if self._patience_seconds is None:
            yield
            return
        timer = threading.Timer(self._patience_seconds, self._break)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def _locked_out(self) -> ServiceUnreachable:
        """Who holds the locks of now: our own transaction is over, and holds none any more."""
        found: list[Row[Any]] = []
        with contextlib.suppress(DBAPIError, PoolExhausted), self.engine.connect() as connection:
            found = list(connection.execute(_HOLDERS))
        held = "; ".join(map(_holder, found)) or "whoever held it has let go of it meanwhile"
        end = f" `SELECT pg_terminate_backend({found[0].pid})` ends the first." if found else ""
        return ServiceUnreachable(
            f"Somebody else holds a lock in the lifecycle database, for which this waited "
            f"{self._lock_seconds:g} s: {held}.{end}",
            still_safe=_SAFE,
            next_step="Do it again (a task tries again by itself); if it lasts, ask them.",
        )

    def _connect(self, dialect: Any, _record: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        connection = dialect.connect(*args, **kwargs)
        self._open.add(connection)
        return connection

    def _break(self) -> None:
        """Whoever waits for an answer finds the connection closed instead."""
        for connection in list(self._open):
            with (
                contextlib.suppress(Exception),  # it may be closed by now
                socket.socket(fileno=os.dup(connection.fileno())) as other,
            ):
                other.shutdown(socket.SHUT_RDWR)


def _process_name() -> str:
    """As long as PostgreSQL keeps it: 63 bytes."""
    return f"tenure pid {os.getpid()} on {socket.gethostname()}"[:63]


def _holder(row: Row[Any]) -> str:
    since = "" if row.seconds is None else f", {row.state} in a transaction of {row.seconds:,.0f} s"
    return f"pid {row.pid} ({row.usename}, {row.application_name or 'no application name'}{since})"


def _is_ours(error: OperationalError) -> bool:
    """Whether the statement itself is at fault, over a sound connection: no try of it will do.

    libpq refuses over 65,535 parameters, without a SQLSTATE; class 54 says that a limit of
    PostgreSQL is exceeded.
    """
    if error.statement is None or error.connection_invalidated:
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state is None or state.startswith("54")


def _unreachable(error: OperationalError, *, may_be_done: bool) -> ServiceUnreachable:
    found = ServiceUnreachable(
        f"The lifecycle database does not answer: {_cause(error)}",
        still_safe=_UNKNOWN if may_be_done else _SAFE,
        next_step="The task tries again by itself"
        + ("; what was done is not done twice." if may_be_done else ".")
        + " If it lasts, run `tenure doctor`.",
    )
    found.may_be_done = may_be_done
    return found


def _cause(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no detail"
