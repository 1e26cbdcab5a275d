"""One engine for the lifecycle database, and transactions that speak Tenure's errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from tenure.errors import ServiceUnreachable, StateConflict

_SAFE = "Nothing was half written: the transaction was rolled back; gateways keep serving."


class Database:
    """Opens transactions; connections are checked before use.

    Args:
        url: SQLAlchemy URL (`postgresql+psycopg://…`).
        application: Name that `pg_stat_activity` shows.
    """

    def __init__(self, url: str, *, application: str = "tenure", pool_size: int = 2) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            pool_pre_ping=True,
            pool_timeout=10,
            connect_args={"connect_timeout": 5, "application_name": application},
        )

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back on any error.

        Raises:
            StateConflict: The database refused the change (a guard, a unique index).
            ServiceUnreachable: The database does not answer or broke the connection.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except IntegrityError as error:
            raise StateConflict(
                f"The lifecycle database refused a change: {_cause(error)}",
                still_safe=_SAFE,
                next_step="Look at the state of the version in the Tenure page; if somebody else "
                "moved it, nothing is to be done.",
            ) from error
        except OperationalError as error:
            raise ServiceUnreachable(
                f"The lifecycle database does not answer: {_cause(error)}",
                still_safe=_SAFE,
                next_step="The task tries again by itself. If it lasts, run `tenure doctor`.",
            ) from error

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _cause(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no detail"
