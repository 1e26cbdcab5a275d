"""What the newest rows suggest for a new model: its label, its groups, its features, its gates."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tenure.config import DatasetConfig
from tenure.config.models import Label
from tenure.config.new_files import not_written
from tenure.lifecycle.data.personal import guess_protected
from tenure.lifecycle.data.profiling import BatchProfile, ColumnProfile
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.lifecycle.training import TrainingPolicy
from tenure.lifecycle.training.drafting import (
    ColumnRoles,
    FeatureDraft,
    GateDraft,
    LabelDraft,
    draft_features,
    draft_gates,
    draft_label,
)
from tenure.lifecycle.training.evaluation.leaks import ShiftedLabel
from tenure.usecases.onboarding.newest_rows import SeenRows

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_GROUPS = 20
_TWO_CLASSES = (
    "Name a column with two values; a model of more classes, or of a number, is not trained yet. "
    "--positive says which of the two is looked for."
)
Tell = Callable[[str], None]
"""Takes one line about what is being done."""


@dataclass(frozen=True)
class ModelSpec:
    """What the person said.

    Args:
        name: Of the model.
        dataset: What it is trained on.
        label: Column that is predicted.
        positive: The value that is true; None: guessed.
        protected: Attributes whose groups are audited; empty: guessed.
        subject: Whom a decision is about; None: the dataset's entity, or its key.
        outcomes: Dataset that outcomes land in; None: they are posted.
        owner: Who answers for the model.
    """

    name: str
    dataset: str
    label: str
    positive: str | None = None
    protected: tuple[str, ...] = ()
    subject: str | None = None
    outcomes: str | None = None
    owner: str = ""


@dataclass(frozen=True)
class Audited:
    """Attributes whose groups are compared, and columns that a model does not read.

    Args:
        attributes: Whose groups are compared.
        protected: What the person named, or the law seems to protect, compared or not.
        is_guess: Whether nobody named them.
    """

    attributes: tuple[str, ...]
    protected: tuple[str, ...]
    is_guess: bool

    @property
    def is_protected(self) -> bool:
        """Whether the groups that are compared are protected ones."""
        return set(self.attributes) <= set(self.protected)


@dataclass(frozen=True)
class ModelDraft:
    """What the rows suggest, all of it."""

    label: LabelDraft
    roles: ColumnRoles
    audited: Audited
    features: FeatureDraft
    gates: GateDraft


def draft_model(
    wish: ModelSpec, dataset: DatasetConfig, seen: SeenRows, roles: ColumnRoles, tell: Tell
) -> ModelDraft:
    """Raises ConfigInvalid where the rows are none of a model of two classes."""
    from tenure.adapters.arrow_tables import profile_table
    from tenure.adapters.arrow_tables.likeness import like_pairs

    tell(f"looking at {seen.table.num_columns:,} columns of {seen.table.num_rows:,} rows")
    profile = profile_table(dataset.name, seen.table)
    label = _label(wish, profile, seen)
    audited = _audited(wish, seen.table, profile, roles)
    roles = replace(
        roles,
        protected=audited.protected,
        audited=audited.attributes,
        personal=personal_columns(dataset.contract),
    )
    tell("trying each column alone")
    alone, slipped = _alone(seen.table, profile, as_label(wish, label), roles)
    features = draft_features(profile, like_pairs(seen.table, profile), alone, roles, slipped)
    absent = dict.fromkeys(seen.absent, f"is not in all of the {len(seen.batches)} newest batches")
    features = replace(features, left_out={**features.left_out, **absent})
    if not (features.numeric or features.categorical):
        why = "; ".join(f"{name} {reason}" for name, reason in features.left_out.items())
        raise not_written(
            f"no column is left to learn from: {why}.", "Ingest columns that tell more."
        )
    share = TrainingPolicy().holdout_fraction
    gates = draft_gates(label, features, alone, days=seen.days, holdout_fraction=share)
    return ModelDraft(label, roles, audited, features, gates)


def _label(wish: ModelSpec, profile: BatchProfile, seen: SeenRows) -> LabelDraft:
    column = profile.column(wish.label)
    if column is None:
        raise not_written(
            f"{wish.label} is not in the newest batches ({', '.join(seen.batches)}).",
            "Ingest batches that have it.",
        )
    return draft_label(column, wish.positive, next_step=_TWO_CLASSES)


def as_label(wish: ModelSpec, draft: LabelDraft) -> Label:
    """The label as the YAML states it."""
    return Label(column=wish.label, positive=draft.positive, negative=draft.negative)


def _audited(
    wish: ModelSpec, table: "pa.Table", profile: BatchProfile, roles: ColumnRoles
) -> Audited:
    """The attributes whose groups are compared.

    What the law protects comes first; without it, the column with the fewest groups. A protected
    column of many values (an age) is not read and, without edges, not compared.

    Raises:
        ConfigInvalid: No column sorts rows into groups.
    """
    if wish.protected:
        return Audited(wish.protected, wish.protected, is_guess=False)
    others = {roles.label, roles.time, roles.subject, *roles.key}
    free = [c for c in profile.columns if c.name not in others]
    few = [c for c in free if 2 <= c.distinct <= _MAX_GROUPS]
    by_law = tuple(c.name for c in free if _seems_protected(c, table))
    if compared := tuple(c.name for c in few if c.name in by_law):
        return Audited(compared, by_law, is_guess=True)
    groups = sorted((c for c in few if c.type in {"string", "boolean"}), key=lambda c: c.distinct)
    if not groups:
        raise not_written(
            "no column sorts the rows into groups whose treatment could be compared.",
            "Name one: `--protected COLUMN`.",
        )
    return Audited((groups[0].name,), by_law, is_guess=True)


def _seems_protected(column: ColumnProfile, table: "pa.Table") -> bool:
    some = table.column(column.name).drop_null().slice(0, 200)
    values = some.to_pylist() if column.type == "string" else []
    return guess_protected(column.name, values) is not None


def _alone(
    table: "pa.Table", profile: BatchProfile, label: Label, roles: ColumnRoles
) -> tuple[dict[str, float], dict[str, ShiftedLabel]]:
    """What each column tells by itself of a row's label, and of the label of another row."""
    import pyarrow as pa

    from tenure.adapters.single_columns import alone, shifted

    labelled = table.filter(table.column(label.column).is_valid())
    codes = labelled.column(label.column).combine_chunks().dictionary_encode()
    meanings = np.array([bool(label.rule.meaning(v)) for v in codes.dictionary.to_pylist()])
    others = {roles.label, roles.time, roles.subject, *roles.key}
    tried = [c.name for c in profile.columns if c.type != "timestamp" and c.name not in others]
    times = labelled.column(roles.time).cast(pa.int64()).fill_null(0).to_numpy()
    labels = meanings[codes.indices.to_numpy()]
    return alone(labelled, tried, labels, times), shifted(labelled, tried, labels, times)
