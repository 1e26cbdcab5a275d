"""What the gateway gets from outside: the lifecycle database, verified models, files, keys."""

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.errors import ConfigInvalid, StateConflict
from tenure.files import disk_errors, made_once
from tenure.installation import Installation
from tenure.installation.keys import SUBJECTS
from tenure.lifecycle.promotion.trial_loads import Trial, TrialAnswer
from tenure.lifecycle.serving import (
    Catalog,
    GatewayPolicy,
    ServingPolicy,
    TrafficPlan,
)
from tenure.lifecycle.training.numbers import OutcomeRule
from tenure.settings import Settings
from tenure.usecases.serving.gateway_incidents import GatewayIncidents
from tenure.usecases.serving.loading import LabelRules, ServingPolicies, VerifiedLoader
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.usecases.serving.subject_keys import SubjectVault
from tenure.usecases.serving.watch import Probes, Watch
from tenure.vocabulary import is_id

PATIENCE_SECONDS = 10.0
"""After which a gateway takes the lifecycle database for unreachable, however it hangs."""
_ROWS_AT_ONCE = 5_000
if TYPE_CHECKING:
    from tenure.adapters.web_tokens import JwtVerifier


class GatewayInstallation:
    """The outside of one gateway process.

    Args:
        platform: The connected installation.
        gateway: Id of the gateway.
    """

    def __init__(self, platform: Installation, gateway: str) -> None:
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
        return VerifiedLoader(self.platform, self.folder, self.policy())

    def warm_up(self) -> None:
        """Begin with the imports of model processes, and make our own before the first request."""
        self.loader.warm_up()
        from tenure.adapters import decision_tables, segment_files  # noqa: F401

    def policy(self) -> Callable[[str], ServingPolicy]:
        """The serving policies of the model YAMLs."""
        return ServingPolicies(self.platform.settings)

    def labels(self) -> Callable[[str], OutcomeRule]:
        """What the model YAMLs say about labels."""
        return LabelRules(self.platform.settings)

    @cached_property
    def limits(self) -> GatewayPolicy:
        """What one gateway takes on, as `platform.yaml` says."""
        return self.platform.config.gateway

    @cached_property
    def tokens(self) -> "JwtVerifier | None":
        """What verifies an identity provider's tokens, where `platform.yaml` names one."""
        if self.limits.jwt is None:
            return None
        from tenure.adapters.web_tokens import JwtVerifier

        return JwtVerifier(self.limits.jwt, base=self.platform.settings.include)

    @cached_property
    def subject_key(self) -> bytes:
        """Secret of the pseudonyms."""
        return SUBJECTS.read(self.platform.settings.home)

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

    def enqueue_reviews(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Queue decisions for people, for as long as the model's policy says.

        In pieces: a transaction that takes longer than our patience would never be done.
        """
        from tenure.adapters.sql import reviews

        policy = self.policy()
        models = {row["model"] for row in rows}
        waits = {model: timedelta(hours=policy(model).review_hours) for model in models}
        due = [{**row, "expires_at": row["received_at"] + waits[row["model"]]} for row in rows]
        for start in range(0, len(due), _ROWS_AT_ONCE):
            with self.platform.database.begin() as connection:
                reviews.add(connection, due[start : start + _ROWS_AT_ONCE])

    def keep_feedback(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep what people think of decisions, each once; in pieces, as reviews."""
        from tenure.adapters.sql import feedback

        for start in range(0, len(rows), _ROWS_AT_ONCE):
            with self.platform.database.begin() as connection:
                feedback.add(connection, rows[start : start + _ROWS_AT_ONCE])

    @cached_property
    def log_files(self) -> RecordedFiles:
        """Where the logs are shipped to."""
        return RecordedFiles(self.platform, self.gateway)

    @cached_property
    def vault(self) -> SubjectVault:
        """Keys of personal features."""
        return SubjectVault(self.platform, self.folder / "wal" / "keys")

    @cached_property
    def watch(self) -> Watch:
        """What misses a silent database, scheduler or maintenance."""
        probes = Probes(self.platform, self.platform.clock.now())
        return Watch(self.platform, self.gateway, probes.look)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the gateway's folder; the kernel lets go of it however the process ends.

        Raises:
            StateConflict: Another process with the same id serves from it.
            ServiceUnreachable: Nothing can be written there.
        """
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            stream = (self.folder / "lock").open("w")
        with stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateConflict(
                    f"Another gateway with the id {self.gateway} runs on this home.",
                    still_safe="That one keeps serving; this one did not touch its log.",
                    next_step="End it first, or set TENURE_GATEWAY_ID to another id.",
                ) from error
            yield


def gateway_installation(settings: Settings) -> GatewayInstallation:
    """The gateway of this home; TENURE_GATEWAY_ID gives it another id.

    Raises:
        ConfigInvalid: The id may not stand in a path.
        ServiceUnreachable: The home cannot be written.
    """
    with disk_errors(settings.home):
        gateway = os.environ.get("TENURE_GATEWAY_ID") or made_once(
            settings.home / "gateway" / "id", lambda: f"gw-{secrets.token_hex(4)}"
        )
    if not is_id(gateway):
        raise ConfigInvalid(
            f"TENURE_GATEWAY_ID is {gateway!r}; allowed are up to 64 of a-z, 0-9, _ and -.",
            still_safe="Nothing was started.",
            next_step="Choose another id and start again.",
        )
    return GatewayInstallation(Installation(settings, PATIENCE_SECONDS), gateway)


class PlanSource(GatewayIncidents):
    """The lifecycle database as the follower uses it."""

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

    def renew(self) -> dict[str, int]:
        """Write that this gateway is there."""
        from tenure.adapters.sql import presence

        with self._platform.database.begin() as connection:
            return presence.renew(connection, self._gateway)

    def leave(self) -> None:
        """Write that it is not any more."""
        from tenure.adapters.sql import presence

        with self._platform.database.begin() as connection:
            presence.leave(connection, self._gateway)

    def note_use(self, digests: Sequence[str]) -> None:
        """Write that these keys were used just now."""
        from tenure.adapters.sql import serving

        with self._platform.database.begin() as connection:
            serving.note_use(connection, digests, at=self._platform.clock.now())

    def trials(self) -> list[Trial]:
        """What somebody asks about, and this gateway has not answered for."""
        from tenure.adapters.sql import trials

        with self._platform.database.begin() as connection:
            return trials.asked(connection, self._gateway)

    def answer_trial(self, trial_id: int, refusal: str) -> None:
        """Write what this gateway found."""
        from tenure.adapters.sql import trials

        given = TrialAnswer(self._gateway, not refusal, refusal)
        with self._platform.database.begin() as connection:
            trials.answer(connection, trial_id, given)

    def wait(self, seconds: float) -> None:
        """Until the next published plan or trial, at most so long."""
        self._hints.wait(seconds)

    def close(self) -> None:
        """Let go of every connection."""
        self._hints.close()
        self._platform.database.dispose()
