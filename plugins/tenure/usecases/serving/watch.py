"""Watches the watchers: a silent database, scheduler or maintenance is posted by who is alive.

Any number of watchers agree by marks in the object store, so that an outage is posted once, and
once more when it is over, also while the database is away. Where the store is away as well, each
watcher posts by itself.
"""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tenure.errors import ArtifactRefused, ConfigInvalid, ObjectMissing, TenureError
from tenure.installation import Installation
from tenure.layout import LEDGER_VERIFICATION, MAINTAIN_PLATFORM, outage_key, outage_mark_key
from tenure.lifecycle.incidents.webhook import FROM_ENVIRONMENT
from tenure.lifecycle.serving.silence import MISSED, LifeSign, outages
from tenure.ports import ObjectStore
from tenure.vocabulary import canonical_json

AIRFLOW_PARTS = ("scheduler", "triggerer", "dag-processor")
_BEATS = {"maintenance": MAINTAIN_PLATFORM, "verification": LEDGER_VERIFICATION}
INCIDENT = "silent"
"""Kind of the incident, and the beginning of its key."""
_PROBE_SECONDS = 3.0
_STILL_SAFE = {
    "database": "Gateways serve by the plans that they knew last; nothing is promoted or approved.",
    "gateway": "The lifecycle database and Airflow are not affected.",
    "verification": "Nothing that serves is affected. What was verified before held.",
}
_SAFE = "Gateways keep serving by the plans in force; nothing is trained, judged or promoted."

_log = logging.getLogger("tenure.watch")


@dataclass
class Probes:
    """Where a watcher looks, and when it heard of each part last.

    Args:
        platform: The installation.
        began: When it began to look: a part that never gave a sign of life is missed from then on.
        with_database: Whether it may read the lifecycle database.
        with_gateway: Whether it asks the gateway.
        expects_all: Whether what it never heard of is missed; a gateway may live where no Airflow
            can be reached.
    """

    platform: Installation
    began: datetime
    with_database: bool = True
    with_gateway: bool = False
    expects_all: bool = False
    heard: dict[str, datetime] = field(default_factory=dict)

    def look(self) -> list[LifeSign]:
        """The last sign of life of each part that it knows of. Never raises."""
        signs = [*self._database()] if self.with_database else []
        signs += [*self._airflow()]
        return signs + ([self._gateway()] if self.with_gateway else [])

    def _sign(self, name: str, seen_at: datetime | None, period: float | None = None) -> LifeSign:
        """What was heard before counts when nothing is heard now."""
        if seen_at is not None:
            self.heard[name] = seen_at
        elif self.expects_all or name == "database":
            self.heard.setdefault(name, self.began)
        looked = self.platform.config.watch.look_seconds
        return LifeSign(name, self.heard.get(name), period or looked)

    def _database(self) -> Iterable[LifeSign]:
        from tenure.adapters.sql import health

        try:
            with self.platform.database.begin() as connection:
                there = health.now(connection)
                beats = health.heartbeats(connection)
        except TenureError as error:
            _log.warning("database=silent cause=%s", error.what)
            yield self._sign("database", None)
            return
        now = self.platform.clock.now()
        yield self._sign("database", now)
        for name, key in _BEATS.items():
            if (beat := beats.get(key)) is not None:  # by its clock: ours may be another
                yield self._sign(name, now - (there - beat.seen_at), beat.period_seconds)

    def _airflow(self) -> Iterable[LifeSign]:
        from tenure.adapters.health_probe import airflow_components

        url = self.platform.settings.airflow_url
        found = airflow_components(url, timeout_seconds=_PROBE_SECONDS) if url else None
        if found is None:
            yield self._sign("api-server", None)
            return
        yield self._sign("api-server", self.platform.clock.now())
        for one in found:
            yield self._sign(one.name, one.heartbeat)

    def _gateway(self) -> LifeSign:
        from tenure.adapters.health_probe import answers

        url = f"{self.platform.settings.gateway_url}/v2/health/live"
        is_there = not answers(url, timeout_seconds=_PROBE_SECONDS)
        return self._sign("gateway", self.platform.clock.now() if is_there else None)


class Outages:
    """Marks in the object store by which watchers agree on an outage and whose turn it is.

    Args:
        store: The object store that all watchers share.
        watcher: Id of this one.
    """

    def __init__(self, store: ObjectStore, watcher: str) -> None:
        self._store = store
        self._watcher = watcher

    def begin(self, part: str, since: datetime) -> str:
        """Id of the outage that is going on; the first watcher that sees it gives it one."""
        self._mark(outage_key(part), {"outage": f"{since:%Y%m%dT%H%M%SZ}-{self._watcher}"})
        return self.current(part) or self.begin(part, since)

    def current(self, part: str) -> str | None:
        """Id of the outage that is going on, as far as somebody saw one."""
        try:
            return str(json.loads(self._store.get(outage_key(part)))["outage"])
        except ObjectMissing:
            return None

    def end(self, part: str) -> None:
        """Nothing is going on any more; again is fine."""
        self._store.delete(outage_key(part))

    def is_posted(self, part: str, outage: str, kind: str) -> bool:
        """Whether somebody posted it."""
        return self._store.exists(outage_mark_key(part, outage, f"{kind}-posted"))

    def is_my_turn(self, part: str, outage: str, kind: str, turn: int) -> bool:
        """Whether this watcher posts in this turn: one of all does; who fails is followed."""
        key = outage_mark_key(part, outage, f"{kind}-turn-{turn}")
        return self._mark(key, {"watcher": self._watcher})

    def posted(self, part: str, outage: str, kind: str) -> None:
        """Say that it was."""
        self._mark(outage_mark_key(part, outage, f"{kind}-posted"), {"watcher": self._watcher})

    def _mark(self, key: str, body: Mapping[str, object]) -> bool:
        """Whether the mark is ours; one that is there stays."""
        if self._store.exists(key):
            return False
        with tempfile.TemporaryDirectory(prefix="tenure-watch-") as folder:
            draft = Path(folder) / "mark.json"
            draft.write_bytes(canonical_json(dict(body)))
            try:
                self._store.put_once(key, draft)
            except ArtifactRefused:
                return False
        return True


class Watch:
    """Looks again and again, and posts what changed.

    Args:
        platform: The installation.
        watcher: Id of this process.
        look: Gives the signs of life.
        env: Where an `env:NAME` address is found.
    """

    def __init__(
        self,
        platform: Installation,
        watcher: str,
        look: Callable[[], Iterable[LifeSign]],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._platform = platform
        self._watcher = watcher
        self._look = look
        self._env = os.environ if env is None else env
        self._outages = Outages(platform.store, watcher)
        self._known: dict[str, bool] = {}
        """Whether each part was silent at the last look that was dealt with to its end."""
        self._alone: set[tuple[str, str]] = set()
        """What was posted without the store."""

    @property
    def look_seconds(self) -> float:
        """From one look to the next."""
        return self._platform.config.watch.look_seconds

    def deaf(self) -> str:
        """Why nothing that it sees could be posted; empty when there is an address."""
        address = self._platform.config.watch.webhook
        if not address:
            return "watch.webhook of platform.yaml is not set: what is silent is only logged."
        try:
            self._address(address)
        except ConfigInvalid as error:
            return error.what
        return ""

    def look(self) -> dict[str, bool]:
        """Look once; returns whether each part is silent. What fails is tried at the next look."""
        now = self._platform.clock.now()
        signs = {sign.name: sign for sign in self._look()}
        found = outages(signs.values(), now)
        for name, is_silent in found.items():
            if self._known.get(name) is is_silent:
                continue
            try:
                self._report(signs[name], now, is_silent=is_silent)
            except Exception as error:  # the receiver, the store or a bug: the others go on
                _log.warning("part=%s report=failed error=%s", name, error)
            else:
                self._known[name] = is_silent
        return found

    def _report(self, sign: LifeSign, now: datetime, *, is_silent: bool) -> None:
        if is_silent:
            _log.warning("part=%s silent since=%s", sign.name, sign.seen_at)
        try:
            outage = (
                self._outages.begin(sign.name, sign.seen_at or now)
                if is_silent
                else self._outages.current(sign.name)
            )
        except Exception as error:
            _log.warning("marks=unreachable error=%s", type(error).__name__)
            self._post_alone(sign, now, is_silent=is_silent)
            return
        if outage is None:
            return
        kind = "silent" if is_silent else "over"
        if not self._outages.is_posted(sign.name, outage, kind):
            turn = int(now.timestamp() // self._platform.config.watch.period_seconds)
            if not self._outages.is_my_turn(sign.name, outage, kind, turn):
                raise _NotYetPosted(f"another watcher posts the outage of {sign.name}")
            self._post(sign, now, kind, f"{sign.name}-{outage}-{kind}")
            self._outages.posted(sign.name, outage, kind)
        self._incident(sign, now, is_silent=is_silent)
        if not is_silent:
            self._outages.end(sign.name)

    def _post_alone(self, sign: LifeSign, now: datetime, *, is_silent: bool) -> None:
        """Without marks nobody knows of the others: rather twice than never."""
        kind = "silent" if is_silent else "over"
        if kind == "over" and (sign.name, "silent") not in self._alone:
            return
        self._post(sign, now, kind, f"{sign.name}-{self._watcher}-{now:%Y%m%dT%H%M%SZ}-{kind}")
        self._alone.discard((sign.name, "silent"))
        if is_silent:
            self._alone.add((sign.name, kind))

    def _post(self, sign: LifeSign, now: datetime, kind: str, message_id: str) -> None:
        address = self._platform.config.watch.webhook
        if not address:
            _log.warning("part=%s kind=%s posted=nowhere reason=no-webhook", sign.name, kind)
            return
        from tenure.adapters.webhook import Webhook

        webhook = Webhook(self._platform.config.webhook_hosts)
        body = notice(sign, now, kind, self._watcher)
        webhook.post(self._address(address), body, message_id=message_id)
        _log.info("part=%s kind=%s posted=yes", sign.name, kind)

    def _address(self, address: str) -> str:
        if not address.startswith(FROM_ENVIRONMENT):
            return address
        name = address.removeprefix(FROM_ENVIRONMENT)
        if not self._env.get(name):
            raise ConfigInvalid(
                f"The environment variable {name}, which watch.webhook names, is not set.",
                still_safe="The outage is written down and posted when the variable is set.",
                next_step=f"Set {name} for gateways and `tenure watch`.",
            )
        return self._env[name]

    def _incident(self, sign: LifeSign, now: datetime, *, is_silent: bool) -> None:
        """Where the database lives; of the database itself only the notices tell."""
        from tenure.adapters.sql import incidents

        if sign.name == "database":
            return
        key = f"{INCIDENT}:{sign.name}"
        try:
            with self._platform.database.begin() as connection:
                if not is_silent:
                    incidents.close_incident(connection, dedupe_key=key, at=now)
                elif incidents.open_summary(connection, key) is None:
                    incidents.open_incident(
                        connection,
                        dedupe_key=key,
                        kind=INCIDENT,
                        subject=sign.name,
                        summary=sentence(sign, now),
                        at=now,
                        facts={"watcher": self._watcher},
                    )
        except TenureError as error:
            _log.warning("part=%s incident=not_written cause=%s", sign.name, error.what)


class _NotYetPosted(Exception):
    """Another watcher has the turn: whether it succeeded is looked at again."""


def sentence(sign: LifeSign, now: datetime) -> str:
    """That the part is silent, in numbers."""
    age, allowed = now - (sign.seen_at or now), MISSED * (sign.period_seconds or 0.0)
    return f"{sign.name} has given no sign of life for {_span(age)}; {allowed:g} s are allowed."


def notice(sign: LifeSign, now: datetime, kind: str, watcher: str) -> dict[str, object]:
    """What is posted: `silent` and, once, `over`."""
    is_over = kind == "over"
    return {
        "topic": "watch",
        "kind": kind,
        "part": sign.name,
        "last_heard": sign.seen_at.isoformat() if sign.seen_at else None,
        "watcher": watcher,
        "cause": f"{sign.name} gives signs of life again." if is_over else sentence(sign, now),
        "still_safe": _STILL_SAFE.get(sign.name, _SAFE),
        "next_step": "Nothing: look at what waited meanwhile."
        if is_over
        else "Run `tenure status` and `tenure doctor` on the machine that runs it.",
    }


def _span(age: timedelta) -> str:
    seconds = age.total_seconds()
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
