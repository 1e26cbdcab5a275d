"""Takes outcomes that come as a dataset: each snapshot once, into the same log as posted ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.config import ModelConfig, load_all
from tenure.config.references import outcome_faults
from tenure.errors import ConfigInvalid
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.installation.keys import SUBJECTS
from tenure.lifecycle.decisions.decision_log import micros, partition
from tenure.lifecycle.serving import caller_digest
from tenure.lifecycle.training.numbers import OutcomeRule
from tenure.usecases.incidents.one_by_one import cause_of, one_by_one
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.sql.outcome_intake import OutcomeSnapshot


@dataclass(frozen=True)
class IntakeCounts:
    """Snapshots and outcomes that were taken, outcomes refused, and snapshots set aside."""

    files: int
    rows: int
    refused: int
    aside: int = 0


@dataclass(frozen=True)
class _WaitingSnapshot:
    """A snapshot of outcomes that a model has not taken, and what its dataset lacks."""

    config: ModelConfig
    snapshot: "OutcomeSnapshot"
    faults: Sequence[str]

    @property
    def name(self) -> str:
        return f"{self.config.name}: snapshot {self.snapshot.digest[:12]}"


def take_outcomes(platform: Installation, run: RunRef) -> IntakeCounts:
    """Take every published snapshot of every outcomes dataset that was not taken yet.

    A snapshot is stored under a key of its own before its row says that it was taken, so a run
    that dies in between only writes the same file again. One that holds no outcomes is set aside
    with an incident and tried again; the others are taken.
    """
    waiting = _waiting(platform)

    def take(one: _WaitingSnapshot) -> tuple[int, int]:
        if one.faults:
            raise _no_outcomes(one.name, "; ".join(one.faults))
        try:
            return _take(platform, one.config.name, one.snapshot, run, one.config.outcome_rule)
        except (LookupError, TypeError, ValueError) as error:  # what a file may hold
            raise _no_outcomes(one.name, cause_of(error)) from error

    taken = one_by_one(platform, "outcomes", waiting, name=lambda one: one.name, do=take)
    rows, refused = (sum(numbers) for numbers in zip(*taken, strict=True)) if taken else (0, 0)
    return IntakeCounts(len(taken), rows, refused, aside=len(waiting) - len(taken))


def _waiting(platform: Installation) -> list[_WaitingSnapshot]:
    from tenure.adapters.sql import outcome_intake

    every = load_all(platform.settings.include)
    found = []
    for name, config in every.models.items():
        if config.outcomes is None:
            continue
        with platform.database.begin() as connection:
            waiting = outcome_intake.waiting(connection, name, config.outcomes.dataset)
        dataset = every.datasets.get(config.outcomes.dataset)
        faults = list(outcome_faults(config, dataset)) if dataset and waiting else []
        found += [_WaitingSnapshot(config, one, faults) for one in waiting]
    return found


def _take(
    platform: Installation,
    model: str,
    snapshot: "OutcomeSnapshot",
    run: RunRef,
    rule: OutcomeRule,
) -> tuple[int, int]:
    """Store it, then move the watermark and remember it in one transaction."""
    from tenure.adapters import landed_outcomes
    from tenure.adapters.decision_tables import outcomes_to_parquet
    from tenure.adapters.sql import outcome_intake, serving
    from tenure.usecases.data.snapshots import open_snapshot

    digest, published = snapshot.digest, snapshot.created_at
    path = open_snapshot(
        platform, snapshot.dataset, digest, purpose="outcomes", run=run, model=model
    )
    found = landed_outcomes.read(path, digest=digest, received_at=published, rule=rule)
    rows = len(found.columns["label"])
    if rows:
        columns = found.columns | _whose(platform, found.columns.get("caller"))
        files = RecordedFiles(platform, "landed")
        files.put(_key(model, digest, published), outcomes_to_parquet(columns))
    failpoint("outcomes.stored")
    with platform.database.begin() as connection:
        if found.complete_until is not None:
            until = min(found.complete_until, published)
            serving.advance_watermark(connection, model, until)
        outcome_intake.took(connection, model, digest, rows=rows, refused=found.refused)
    return rows, found.refused


def _whose(platform: Installation, callers: list[str | None] | None) -> dict[str, list[str | None]]:
    """Callers as the gateways' logs name them."""
    if callers is None:
        return {}
    secret = SUBJECTS.read(platform.settings.home)
    digests = {name: caller_digest(secret, name) for name in set(callers) if name}
    return {"caller": [digests[name] if name else None for name in callers]}


def _key(model: str, digest: str, published: datetime) -> str:
    return f"{partition('outcomes', model, micros(published))}/landed-{digest[:32]}.parquet"


def _no_outcomes(name: str, why: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{name} is no file of outcomes ({why}). An outcomes dataset has the columns decision_id "
        "or request_id, label (boolean, 0 and 1, or the values that `label.positive` and "
        "`label.negative` of the model's YAML declare; classes, or numbers for a regression) and "
        "observed_at (timestamp).",
        still_safe="Nothing of it was taken; other outcomes were.",
        next_step="Correct the contract of the dataset, or the model's YAML; it is tried again.",
    )
