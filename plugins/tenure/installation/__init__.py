"""What every stage needs: clock, ids, database, store, reports."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from tenure.ports import ObjectStore
from tenure.settings import Settings

if TYPE_CHECKING:
    from tenure.adapters.mlflow_registry import MlflowRegistry
    from tenure.adapters.sql.database import Database
    from tenure.adapters.sql.ledger import SqlLedger
    from tenure.adapters.sql.reports import SqlReports
    from tenure.config import PlatformConfig


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> datetime:
        """The present moment in UTC."""
        return datetime.now(tz=UTC)


class Uuid7:
    """UUIDv7: 48 bits of milliseconds, then random bits (RFC 9562)."""

    def new(self) -> str:
        """A fresh id."""
        milliseconds = int(datetime.now(tz=UTC).timestamp() * 1000)
        random = uuid.uuid4().int & ((1 << 74) - 1)
        value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62
        return str(uuid.UUID(int=value | random & ((1 << 62) - 1)))


@dataclass(frozen=True)
class Installation:
    """The connected installation; parts are opened on first use.

    Args:
        settings: Where things are.
        patience_seconds: After which a transaction is given up; None waits. For processes that
            serve meanwhile.
        delegate: Who does for others what is done here: the ledger names both.
        lock_seconds: How long a statement waits for a lock of somebody else; None is the usual.
    """

    settings: Settings
    patience_seconds: float | None = None
    delegate: str | None = None
    lock_seconds: float | None = None

    @cached_property
    def clock(self) -> SystemClock:
        """Wall clock."""
        return SystemClock()

    @cached_property
    def ids(self) -> Uuid7:
        """Source of ids."""
        return Uuid7()

    @cached_property
    def config(self) -> "PlatformConfig":
        """Roles."""
        from tenure.config import load_platform  # `tenure rollback` needs neither YAML nor numpy

        return load_platform(self.settings.include)

    @cached_property
    def database(self) -> "Database":
        """The lifecycle database."""
        from tenure.adapters.sql.database import LOCK_SECONDS, Database

        return Database(
            self.settings.database_url,
            patience_seconds=self.patience_seconds,
            lock_seconds=self.lock_seconds or LOCK_SECONDS,
        )

    @cached_property
    def ledger(self) -> "SqlLedger":
        """The hash chain."""
        from tenure.adapters.sql.ledger import SqlLedger

        return SqlLedger(self.clock, delegate=self.delegate)

    @cached_property
    def store(self) -> ObjectStore:
        """The object store that the settings name."""
        return open_store(self.settings)

    @cached_property
    def reports(self) -> "SqlReports":
        """The keeper of evidence."""
        from tenure.adapters.sql.reports import SqlReports

        return SqlReports(self.database, self.store)

    @cached_property
    def mlflow(self) -> "MlflowRegistry":
        """The MLflow server, which follows the lifecycle database."""
        from tenure.adapters.mlflow_registry import MlflowRegistry

        return MlflowRegistry(self.settings.mlflow_url)


def open_store(settings: Settings) -> ObjectStore:
    """The store of `settings.store_url`: a folder, or S3 through boto3."""
    if settings.store_url.startswith("s3://"):
        from tenure.adapters.s3_store import S3Store

        return S3Store.from_url(settings.store_url, cache=settings.home / "cache")
    from tenure.adapters.local_store import LocalStore

    return LocalStore.from_url(settings.store_url)
