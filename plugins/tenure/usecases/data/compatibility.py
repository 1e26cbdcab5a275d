"""Whether a model can still read the snapshots that it is to learn from.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from tenure.adapters.sql import reads
from tenure.config import DatasetConfig, ModelConfig, load_all
from tenure.config.references import column_faults
from tenure.errors import SchemaBroken
from tenure.installation import Installation
from tenure.installation.keys import PSEUDONYMS
from tenure.lifecycle.data.schema import (
    Compatibility,
    Reader,
    SchemaChange,
    SchemaChangeKind,
    Shape,
    changes,
    stopped,
)
from tenure.lifecycle.data.sensitivity import Key, personal_columns
from tenure.lifecycle.training import PublishedSnapshot
from tenure.usecases.data.privacy import contract_shape, reader

if TYPE_CHECKING:
    from sqlalchemy import Connection

SHOWN = 3
"""Breaks that one message spells out before it counts the others."""


def require_readable(
    connection: "Connection",
    platform: Installation,
    model: ModelConfig,
    dataset: DatasetConfig,
    chosen: Sequence[PublishedSnapshot],
) -> None:
    """Refuse a training whose model reads a column that changed under it; names both.

    Raises:
        SchemaBroken: The contract, or a snapshot, does not have what the model reads.
    """
    today = platform.clock.now().date()
    broken = _of_contract(model, dataset, today) or of_snapshots(
        connection, platform, model, dataset, chosen
    )
    if broken:
        raise _refusal(model, dataset, broken)


@dataclass(frozen=True)
class Incompatibility:
    """Why a model cannot read something: the present contract (no batch), or a batch."""

    model: str
    column: str
    said: str
    verdict: Compatibility
    batch: str = ""

    def __str__(self) -> str:
        return f"{self.said}{f' in batch {self.batch}' if self.batch else ''} ({self.verdict})"


def breaks(platform: Installation, dataset: DatasetConfig) -> list[Incompatibility]:
    """What stops each model that reads the dataset, over all that is published of it."""
    from tenure.adapters.sql.training import published

    models = load_all(platform.settings.include).models
    readers = [m for _, m in sorted(models.items()) if m.dataset == dataset.name]
    today, found = platform.clock.now().date(), []
    with platform.database.begin() as connection:
        newest = {s.batch: s for s in published(connection, dataset.name)}
        for model in readers:
            found += _of_contract(model, dataset, today)
            found += of_snapshots(connection, platform, model, dataset, list(newest.values()))
    return found


def other_names(model: ModelConfig, dataset: DatasetConfig) -> dict[str, list[str]]:
    """Each column that the model names to the names it may have in a snapshot, newest first."""
    renamed = dataset.contract.renamed()
    found = {}
    for column in reader(model, dataset).columns | model.columns:
        new = renamed.get(column, column)
        found[column] = [new, *(old for old, name in renamed.items() if name == new)]
    return found


def _expected(platform: Installation, dataset: DatasetConfig, who: Reader) -> Shape:
    """The contract as this reader may see it: personal columns in clear only for a reason."""
    is_personal = bool(personal_columns(dataset.contract))
    home = platform.settings.home
    key = Key.of_dataset(PSEUDONYMS.read(home), dataset.name) if is_personal else None
    return contract_shape(dataset, list(who.clear), key)


def _of_contract(model: ModelConfig, dataset: DatasetConfig, today: date) -> list[Incompatibility]:
    """What the model's YAML says that the present contract does not allow."""
    verdicts = {True: Compatibility.NEEDS_MAPPING, False: Compatibility.BREAKING}
    return [
        Incompatibility(model.name, fault.column, fault.said, verdicts[fault.is_absent])
        for fault in column_faults(model, dataset, today)
    ]


def of_snapshots(
    connection: "Connection",
    platform: Installation,
    model: ModelConfig,
    dataset: DatasetConfig,
    chosen: Sequence[PublishedSnapshot],
) -> list[Incompatibility]:
    """What the model reads that a snapshot does not have; older ones have no shape to compare."""
    who = reader(model, dataset)
    expected = _expected(platform, dataset, who)
    shapes = reads.shapes_of(connection, [snapshot.id for snapshot in chosen])
    found = []
    for snapshot in chosen:
        if snapshot.id in shapes:
            seen = changes(expected, shapes[snapshot.id], renamed=dataset.contract.renamed())
            hits = stopped(seen, [who]).get(who.name, ())
            found += [
                Incompatibility(model.name, c.column, _change_sentence(c), v, snapshot.batch)
                for c, v in hits
            ]
    return found


def _change_sentence(change: SchemaChange) -> str:
    if change.kind is SchemaChangeKind.RENAMED:
        return f"{change.column} is not there (perhaps it is called {change.other} now)"
    return change.said


def _refusal(
    model: ModelConfig, dataset: DatasetConfig, broken: Sequence[Incompatibility]
) -> SchemaBroken:
    more = f"; and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    listed = "; ".join(str(one) for one in broken[:SHOWN]) + more
    return SchemaBroken(
        f"{model.name} cannot train on {dataset.name}: {listed}.",
        still_safe="No version was made; whatever serves now keeps serving. Models that do not "
        "read these columns train on.",
        next_step=f"Ask {dataset.steward}, the steward of {dataset.name}. A renamed column gets an "
        f"entry under contract.renames in include/configs/datasets/{dataset.name}.yaml; a lost one "
        "a repaired file, dropped again; one that is gone for good leaves "
        f"include/configs/models/{model.name}.yaml. Then clear this task.",
    )
