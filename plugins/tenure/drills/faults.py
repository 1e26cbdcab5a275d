"""The faults of drills: each breaks one thing, looks as the installation does, and mends it."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, datetime

from tenure.drills.sandbox import DATASET, SAFE, Sandbox
from tenure.errors import DataRejected, ServiceUnreachable
from tenure.layout import INGEST_DATA, MAINTAIN_PLATFORM, dag_id
from tenure.lifecycle.incidents.failure_card import describe
from tenure.usecases.incidents.alerts import deliver_alerts
from tenure.usecases.incidents.close_incident import list_open
from tenure.vocabulary import RunRef, op_key

_INGEST = RunRef(dag_id(DATASET, INGEST_DATA), "drill", "ingest")
_MAINTAIN = RunRef(MAINTAIN_PLATFORM, "drill", "maintain")
_ROWS = 40
_START_SECONDS = 120.0


class Fault(ABC):
    """One fault in one sandbox.

    Args:
        box: The sandbox.
    """

    kind = ""
    """Of the incident by which it is found."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    @abstractmethod
    def prepare(self) -> None:
        """Bring the sandbox to the state in which nothing is wrong."""

    @abstractmethod
    def inject(self) -> None:
        """Break it."""

    @abstractmethod
    def look(self) -> None:
        """What the installation does all the time anyway."""

    @abstractmethod
    def mend(self) -> None:
        """What a person does after the alert."""

    @property
    def pause_seconds(self) -> float:
        """From one look to the next."""
        return 0.2

    def is_found(self) -> bool:
        """Whether something says that it is wrong."""
        return "open" in self._states()

    def is_told(self) -> bool:
        """Whether the receiver was told."""
        return bool(self.box.receiver.taken)

    def is_back(self) -> bool:
        """Whether all is right again: nothing is open, and what had to be there is."""
        return "open" not in self._states()

    def _states(self) -> list[str]:
        """Of the incidents of the kind that nobody closed."""
        return [one.state for one in list_open(self.box.platform) if one.kind == self.kind]


class RejectedBatch(Fault):
    """A batch whose column lost half of its values."""

    kind = "DataRejected"

    def prepare(self) -> None:
        """One good batch is published."""
        self._land([1.0] * _ROWS, "first")
        self.look()

    def inject(self) -> None:
        """The bad one lands."""
        self._land([None, 1.0] * (_ROWS // 2), "second")

    def look(self) -> None:
        """A run of the dataset's ingest DAG, and the notices after its task."""
        from tenure.usecases.data.ingestion import ingestion
        from tenure.usecases.incidents.failure_cards import repaired, save

        ingest = ingestion(self.box.platform, DATASET)
        for key in ingest.discover():
            try:
                ingest.ingest(key, _INGEST)
            except DataRejected as error:
                save(self.box.platform, describe(error, dataset=DATASET), _INGEST, item=key)
            else:
                repaired(self.box.platform, _INGEST, item=key)
        deliver_alerts(self.box.platform, self.box.receiver)

    def mend(self) -> None:
        """The repaired file takes the place of the bad one."""
        self._land([2.0] * _ROWS, "second")

    def _land(self, values: list[float | None], name: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.box.settings.home / "store" / "landing" / DATASET / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        start = datetime(2026, 1, 1, tzinfo=UTC)
        columns: Mapping[str, object] = {
            "id": [f"{name}-{row}" for row in range(len(values))],
            "at": pa.array([start] * len(values), pa.timestamp("us", "UTC")),
            "value": pa.array(values, pa.float64()),
        }
        draft = path.with_name(f".{path.name}")
        pq.write_table(pa.table(columns), draft)
        draft.rename(path)


class Silence(Fault):
    """A part that gives no sign of life; who watches misses it."""

    part = ""
    with_gateway = False

    def prepare(self) -> None:
        """The watcher has heard of the part."""
        from tenure.usecases.serving.watch import Probes, Watch

        platform = self.box.platform
        probes = Probes(platform, platform.clock.now(), with_gateway=self.with_gateway)
        self._watch = Watch(platform, "drill", probes.look)
        last = time.monotonic() + _START_SECONDS
        while self.part not in self._looked():
            if time.monotonic() > last:
                raise ServiceUnreachable(
                    f"The {self.part} of the sandbox did not come up within {_START_SECONDS:g} s.",
                    still_safe=SAFE,
                    next_step="Run it on a machine that is less busy.",
                )
            time.sleep(0.2)

    def look(self) -> None:
        """As `tenure watch` does."""
        self._is_silent = self._looked().get(self.part, False)

    @property
    def pause_seconds(self) -> float:
        """By `watch.period_seconds` of the installation."""
        return self._watch.look_seconds

    def is_found(self) -> bool:
        """Whether it is missed."""
        return self._is_silent

    def is_told(self) -> bool:
        """Whether the notice was taken."""
        return "silent" in self._notices()

    def is_back(self) -> bool:
        """Whether it gives signs of life again, and the receiver was told that it is over."""
        return not self._is_silent and "over" in self._notices()

    def _looked(self) -> Mapping[str, bool]:
        return self._watch.look()

    def _notices(self) -> list[object]:
        return [one["kind"] for one in self.box.receiver.taken if one.get("part") == self.part]


class GatewayKilled(Silence):
    """A gateway is ended by SIGKILL."""

    part = "gateway"
    with_gateway = True

    def prepare(self) -> None:
        """It runs."""
        self.box.start_gateway()
        super().prepare()

    def inject(self) -> None:
        """End it."""
        self.box.kill_gateway()

    def mend(self) -> None:
        """Start it again, on the same disk."""
        self.box.start_gateway()

    def is_back(self) -> bool:
        """As of any part; and its incident is closed."""
        return super().is_back() and not list_open(self.box.platform)


class DatabaseDown(Silence):
    """PostgreSQL is ended by SIGKILL."""

    part = "database"

    def prepare(self) -> None:
        """Something is committed."""
        _note(self.box)
        super().prepare()

    def inject(self) -> None:
        """End it."""
        self.box.kill_database()

    def mend(self) -> None:
        """Start it on the same data."""
        self.box.start_database()

    def is_back(self) -> bool:
        """As of any part; and what was committed is there, and the ledger holds."""
        return super().is_back() and _holds(self.box)


class LedgerChanged(Fault):
    """Somebody with all rights rewrites an event."""

    kind = "LedgerBroken"

    def prepare(self) -> None:
        """A ledger of a few events holds."""
        _note(self.box)
        self.look()

    def inject(self) -> None:
        """Rewrite the first event, past every guard."""
        self._rewrite("jsonb_set(body, '{drill}', '\"changed\"')")

    def look(self) -> None:
        """The parts of `maintain_platform` that reconcile, and the alerts after them."""
        from tenure.usecases.operations.reconcile import reconcile

        reconcile(self.box.platform, _MAINTAIN, _NoAliases())
        deliver_alerts(self.box.platform, self.box.receiver)

    def mend(self) -> None:
        """The event as it was, as from a backup."""
        self._rewrite("jsonb_set(body, '{drill}', '\"before\"')")

    def is_back(self) -> bool:
        """Service is restored: what is left is its remediation."""
        return self._states() == ["restored"] and _holds(self.box)

    def _rewrite(self, body: str) -> None:
        import psycopg

        with psycopg.connect(self.box.server.conninfo("tenure")) as connection:
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute(f"UPDATE ledger_event SET body = {body} WHERE subject = 'drill'")  # noqa: S608


class _NoAliases:
    """MLflow without any model, which the sandbox does not have."""

    def get_aliases(self, model: str) -> dict[str, int]:
        return {}

    def set_alias(self, model: str, alias: str, version: int | None) -> bool:
        return False

    def tombstone(self, model: str, version: int, *, run_id: str | None, reason: str) -> list[str]:
        return []


def _note(box: Sandbox) -> None:
    """An event of the sandbox's ledger."""
    with box.platform.database.begin() as connection:
        box.platform.ledger.note(
            connection,
            subject="drill",
            actor="drill",
            body={"drill": "before"},
            op_key=op_key("drill.note", "drill", {}),
        )


def _holds(box: Sandbox) -> bool:
    from tenure.usecases.audit.ledger import check_chain

    chain = check_chain(box.platform).chain
    return chain.broken is None and chain.events > 0


FAULTS: Mapping[str, type[Fault]] = {
    "rejected-batch": RejectedBatch,
    "gateway-killed": GatewayKilled,
    "database-down": DatabaseDown,
    "ledger-changed": LedgerChanged,
}
"""The fault of each drill of `lifecycle/incidents/drill.py`."""
