"""What the gateway gets from outside: the lifecycle database, verified models, files, keys."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tenure.errors import ConfigInvalid, StateConflict
from tenure.lifecycle.serving import Catalog, ServingPolicy, TrafficPlan
from tenure.settings import Settings
from tenure.vocabulary import is_id, op_key
from tenure.wiring.base import Platform
from tenure.wiring.serving_models import ServingPolicies, VerifiedLoader

Scope = Literal["score", "outcome", "admin"]
SCOPES: tuple[Scope, ...] = ("score", "outcome", "admin")

_KEY_BYTES = 32


def create_key(
    platform: Platform, name: str, scopes: Sequence[Scope], *, actor: str = "cli"
) -> str:
    """A new API key. It is shown once: the database keeps its SHA-256. In force within a second.

    A second key under the same name is how a client rotates: give it the new one, then revoke.

    Raises:
        ConfigInvalid: The name is no id, or a scope is unknown or missing.
    """
    if not is_id(name) or not scopes or set(scopes) - set(SCOPES):
        raise ConfigInvalid(
            f"A key needs a name (a-z, 0-9, _ and -) and scopes of {', '.join(SCOPES)}; "
            f"got {name!r} with {list(scopes)}.",
            still_safe="No key was made.",
            next_step="Correct the command: tenure key create NAME --scope score.",
        )
    from tenure.adapters.sql import serving

    secret = f"tnr_{secrets.token_urlsafe(_KEY_BYTES)}"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    with platform.database.begin() as connection:
        serving.add_key(connection, digest=digest, name=name, scopes=scopes)
        platform.ledger.note(
            connection,
            subject=f"key:{name}",
            actor=actor,
            body={"created": digest[:12], "scopes": list(scopes)},
            op_key=op_key("key", name, {"created": digest}),
        )
    return secret


def revoke_key(platform: Platform, name: str, *, actor: str = "cli") -> int:
    """Take every key of this name out of force, within a second; returns how many there were."""
    from tenure.adapters.sql import serving

    with platform.database.begin() as connection:
        digests = serving.revoke_keys(connection, name)
        if digests:
            platform.ledger.note(
                connection,
                subject=f"key:{name}",
                actor=actor,
                body={"revoked": [digest[:12] for digest in digests]},
                op_key=op_key("key", name, {"revoked": sorted(digests)}),
            )
    return len(digests)


class GatewayPlatform:
    """The outside of one gateway process.

    Args:
        platform: The connected installation.
        gateway: Id of the gateway.
    """

    def __init__(self, platform: Platform, gateway: str) -> None:
        self.platform = platform
        self.gateway = gateway

    @property
    def folder(self) -> Path:
        """State of this gateway: segments, last known plans, copies of artifacts."""
        return self.platform.settings.home / "gateway" / self.gateway

    @cached_property
    def source(self) -> "PlanSource":
        """The lifecycle database."""
        return PlanSource(self.platform, self.gateway)

    @cached_property
    def loader(self) -> VerifiedLoader:
        """Models by digest and signature."""
        return VerifiedLoader(self.platform, self.folder / "artifacts")

    def policy(self) -> Callable[[str], ServingPolicy]:
        """The serving policies of the model YAMLs."""
        return ServingPolicies(self.platform.settings)

    @cached_property
    def subject_key(self) -> bytes:
        """Secret of the pseudonyms; gateways that share a home share it.

        TENURE_SUBJECT_KEY (hexadecimal, 32 bytes) hands the same one to gateways elsewhere.
        """
        given = os.environ.get("TENURE_SUBJECT_KEY")
        if given is not None:
            return _from_hex(given)
        path = self.platform.settings.home / "keys" / "subject.key"
        return bytes.fromhex(_made_once(path, lambda: secrets.token_hex(_KEY_BYTES)))

    def decisions_to_parquet(
        self,
        columns: Mapping[str, Sequence[Any]],
        numeric: Sequence[str],
        categorical: Sequence[str],
    ) -> bytes:
        """A decision file."""
        from tenure.adapters.decision_tables import decisions_to_parquet

        return decisions_to_parquet(columns, numeric=numeric, categorical=categorical)

    def outcomes_to_parquet(self, columns: Mapping[str, Sequence[Any]]) -> bytes:
        """An outcome file."""
        from tenure.adapters.decision_tables import outcomes_to_parquet

        return outcomes_to_parquet(columns)

    def advance_watermark(self, model: str, reached: datetime) -> None:
        """Move the outcome watermark forward, never back. Raises ServiceUnreachable."""
        from tenure.adapters.sql import serving

        with self.platform.database.begin() as connection:
            serving.advance_watermark(connection, model, reached)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the gateway's folder; the kernel lets go of it however the process ends.

        Raises:
            StateConflict: Another process with the same id serves from it.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateConflict(
                    f"Another gateway with the id {self.gateway} runs on this home.",
                    still_safe="That one keeps serving; this one did not touch its log.",
                    next_step="End it first, or set TENURE_GATEWAY_ID to another id.",
                ) from error
            yield


def gateway_platform(settings: Settings) -> GatewayPlatform:
    """The gateway of this home; TENURE_GATEWAY_ID gives it another id.

    Raises:
        ConfigInvalid: The id may not stand in a path.
    """
    gateway = os.environ.get("TENURE_GATEWAY_ID") or _made_once(
        settings.home / "gateway" / "id", lambda: f"gw-{secrets.token_hex(4)}"
    )
    if not is_id(gateway):
        raise ConfigInvalid(
            f"TENURE_GATEWAY_ID is {gateway!r}; allowed are up to 64 of a-z, 0-9, _ and -.",
            still_safe="Nothing was started.",
            next_step="Choose another id and start again.",
        )
    return GatewayPlatform(Platform(settings), gateway)


class PlanSource:
    """The lifecycle database as the follower uses it."""

    def __init__(self, platform: Platform, gateway: str) -> None:
        self._platform = platform
        self._gateway = gateway

    @cached_property
    def _hints(self) -> Any:
        from tenure.adapters.sql.serving import PlanHints

        return PlanHints(self._platform.database)

    def read(self, known_versions: frozenset[int]) -> Catalog:
        """Everything now, with the rows of the named versions that are not known yet."""
        from tenure.adapters.sql import serving

        with self._platform.database.begin() as connection:
            catalog = serving.catalog(connection)
            named = {i for plan in catalog.plans for i in plan.version_ids} - known_versions
            rows = serving.version_rows(connection, sorted(named)) if named else {}
        return replace(catalog, versions=rows)

    def acknowledge(self, plan: TrafficPlan) -> None:
        """Write that this gateway serves by the plan."""
        from tenure.adapters.sql import serving

        with self._platform.database.begin() as connection:
            serving.acknowledge(
                connection, gateway=self._gateway, plan=plan, seen_at=self._platform.clock.now()
            )

    def report_refusal(self, model: str, version: int, cause: str) -> None:
        """Open an incident, or count one more in the open one."""
        from tenure.adapters.sql import serving

        subject = f"{model}@{version}"
        with self._platform.database.begin() as connection:
            serving.open_incident(
                connection,
                dedupe_key=f"artifact:{subject}",
                kind="artifact_refused",
                subject=subject,
                summary=f"Gateway {self._gateway} cannot load {subject}: {cause}"[:1000],
            )

    def wait(self, seconds: float) -> None:
        """Until the next published plan, at most so long."""
        self._hints.wait(seconds)

    def close(self) -> None:
        """Let go of every connection."""
        self._hints.close()
        self._platform.database.dispose()


def _made_once(path: Path, make: Callable[[], str]) -> str:
    """The text of a file that only its owner may read; whoever comes first makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(make())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return path.read_text().strip()


def _from_hex(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if 16 <= len(key) <= 64:
        return key
    raise ConfigInvalid(
        "TENURE_SUBJECT_KEY is not 16 to 64 bytes in hexadecimal.",
        still_safe="Nothing was started.",
        next_step="Use the value of keys/subject.key of the other gateway.",
    )
