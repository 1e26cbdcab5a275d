"""Takes outcomes that come as a dataset: each snapshot once, into the same log as posted ones."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.config import load_all
from tenure.config.references import outcome_faults
from tenure.errors import ConfigInvalid, ServiceUnreachable, TenureError
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.installation.keys import SUBJECTS
from tenure.lifecycle.decisions.decision_log import micros, partition
from tenure.lifecycle.serving import caller_digest
from tenure.lifecycle.training.labels import LabelRule
from tenure.usecases.incidents.one_by_one import cause_of
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.sql.outcome_intake import OutcomeSnapshot


@dataclass(frozen=True)
class IntakeCounts:
    """Snapshots and outcomes that were taken, and outcomes that were refused."""

    files: int
    rows: int
    refused: int


def take_outcomes(platform: Installation, run: RunRef) -> IntakeCounts:
    """Take every published snapshot of every outcomes dataset that was not taken yet.

    A snapshot is stored under a key of its own before its row says that it was taken, so a run
    that dies in between only writes the same file again.

    Raises:
        ConfigInvalid: A dataset does not have the columns; after the others were taken.
    """
    from tenure.adapters.sql import outcome_intake

    files = rows = refused = 0
    broken: list[str] = []
    found = load_all(platform.settings.include)
    for name, config in found.models.items():
        if config.outcomes is None:
            continue
        rule = config.label.rule
        with platform.database.begin() as connection:
            waiting = outcome_intake.waiting(connection, name, config.outcomes.dataset)
        dataset = found.datasets.get(config.outcomes.dataset)
        faults = list(outcome_faults(config.label, dataset)) if dataset and waiting else []
        if faults:
            said = "; ".join(faults)
            broken += [f"{name}: snapshot {one.digest[:12]} ({said})" for one in waiting]
            continue
        for snapshot in waiting:
            try:
                took, left = _take(platform, name, snapshot, run, rule)
            except ServiceUnreachable:
                raise
            except (LookupError, TypeError, ValueError, TenureError) as error:  # about this one
                broken.append(f"{name}: snapshot {snapshot.digest[:12]} ({cause_of(error)})")
                continue
            files, rows, refused = files + 1, rows + took, refused + left
    if broken:
        raise _no_outcomes(broken)
    return IntakeCounts(files, rows, refused)


def _take(
    platform: Installation,
    model: str,
    snapshot: "OutcomeSnapshot",
    run: RunRef,
    rule: LabelRule,
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


def _no_outcomes(broken: list[str]) -> ConfigInvalid:
    return ConfigInvalid(
        f"{len(broken)} snapshots are no outcomes: {'; '.join(broken[:3])}.",
        still_safe="Nothing of them was taken; outcomes of other models were.",
        next_step="An outcomes dataset has the columns decision_id or request_id, label (boolean, "
        "0 and 1, or the values that `label.positive` and `label.negative` of the model's YAML "
        "declare) and observed_at (timestamp). Correct its contract, or the model's YAML.",
    )
