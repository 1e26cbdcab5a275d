"""What the steps of a retirement share: one look at the database, one way to enter and to move."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from tenure.config import ModelConfig, load_model
from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.layout import DECOMMISSION_MODEL, dag_id
from tenure.lifecycle.retirement.decommission import (
    DecommissionStep,
    Permit,
    Progress,
    StepAction,
    next_step,
    permit,
)
from tenure.vocabulary import State, VersionRef, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

    Change = Callable[[Connection, VersionRef, Progress], None]

ACTOR = "decommission"
"""The service that moves a version once two people agreed."""


class Mirror(Protocol):
    """MLflow's copy of what the lifecycle database says."""

    def tombstone(self, model: str, version: int, *, run_id: str | None, reason: str) -> list[str]:
        """Delete MLflow's version and its copies of the artifact; returns what. Again is fine."""
        ...


@dataclass(frozen=True)
class StepResult:
    """What a step came to.

    Args:
        note: One sentence for the log and for skipped tasks.
        waiting: Whether the step may not be done yet, so that the run ends here.
        digest: Digest of the evidence, if the step made some.
    """

    note: str
    waiting: bool = False
    digest: str | None = None


@dataclass(frozen=True)
class Retirement:
    """The retirements of one model.

    Args:
        platform: The installation.
        model: Name of the model.
        mirror: MLflow.
    """

    platform: Installation
    model: str
    mirror: Mirror

    @cached_property
    def config(self) -> ModelConfig:
        """The model's YAML."""
        return load_model(self.platform.settings.include, self.model)[0]

    def progress(self, version: int) -> Progress:
        """How far the retirement is.

        Raises:
            StateConflict: Nobody asked for it.
        """
        with self.platform.database.begin() as connection:
            return self.look(connection, version)[1]

    def look(
        self, connection: "Connection", version: int, *, lock: bool = False
    ) -> tuple[VersionRef, Progress]:
        """The version and its retirement as this transaction sees them; raises StateConflict."""
        from tenure.adapters.sql import decommissions, versions

        ref = versions.get(connection, self.model, version)
        progress = decommissions.get(connection, ref.id, lock=lock) if ref else None
        if ref is None or progress is None:
            raise StateConflict(
                f"Nobody asked to retire {self.model}@{version}.",
                still_safe="Nothing was changed.",
                next_step=f"Trigger {dag_id(self.model, DECOMMISSION_MODEL)} with version and "
                "reason.",
            )
        return ref, progress

    def enter(
        self, version: int, action: StepAction, change: "Change | None" = None
    ) -> StepResult | None:
        """Ask whether a step may be done; if so, make its first change in the same transaction.

        Returns:
            None when the step is to be done now, else why not.
        """
        with self.platform.database.begin() as connection:
            ref, progress = self.look(connection, version, lock=True)
            policy = self.config.decommission
            may, words = permit(action, progress, policy, self.platform.clock.now())
            if next_step(progress, policy).action is StepAction.WITHDRAW:
                self._withdraw(connection, progress)
            if may is not Permit.GO:
                return StepResult(words, waiting=may is Permit.WAIT)
            if change is not None:
                change(connection, ref, progress)
        return None

    def note(
        self,
        connection: "Connection",
        progress: Progress,
        event: str,
        *,
        actor: str = ACTOR,
        **body: object,
    ) -> None:
        """Write into the ledger what happened to this attempt; once, however often it is said."""
        self.platform.ledger.note(
            connection,
            subject=f"decommission:{progress.version_id}",
            actor=actor,
            body={"event": event, "version": progress.name, **body},
            op_key=_key(event, progress),
        )

    def move(
        self,
        connection: "Connection",
        ref: VersionRef,
        progress: Progress,
        state: State,
        **body: object,
    ) -> None:
        """Move the version, for the two people who agreed."""
        people = {"requested_by": progress.requested_by, "second_person": progress.second_person}
        self.platform.ledger.move(
            connection,
            ref,
            state,
            actor=ACTOR,
            body={**people, **body},
            op_key=_key(state, progress),
        )

    def _withdraw(self, connection: "Connection", progress: Progress) -> None:
        from tenure.adapters.sql import decommissions

        decommissions.set_columns(connection, progress.id, step=str(DecommissionStep.WITHDRAWN))
        self.note(connection, progress, "withdrawn", state=str(progress.state))


def _key(event: str, progress: Progress) -> str:
    """A new request after a refusal has a new `created_at`, so its events are other events."""
    since = progress.created_at.isoformat()
    return op_key(f"decommission.{event}", progress.name, {"since": since})
