"""What the newest rows suggest for a new model: its task, its groups, its features, its gates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tenure.config import DatasetConfig
from tenure.config.models import Label
from tenure.config.new_files import not_written
from tenure.lifecycle.data.personal import guess_protected
from tenure.lifecycle.data.profiling import BatchProfile, ColumnProfile
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.task import Task
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
from tenure.lifecycle.training.evaluation.leaks import GIVEN_AWAY, LIMITS, ShiftedLabel
from tenure.lifecycle.training.task_draft import (
    ClassesDraft,
    ClassesGateDraft,
    ErrorGateDraft,
    NumberDraft,
    NumberScan,
    TaskGuess,
    draft_class_gates,
    draft_classes,
    draft_error_gates,
    draft_numbers,
    guess_task,
    rounded_up,
)
from tenure.usecases.onboarding.newest_rows import SeenRows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_MAX_GROUPS = 20
_TWO_CLASSES = (
    "Name a column with two values, or give the task: --task multiclass or regression. "
    "--positive says which of two values is looked for."
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
        subject: Whom a decision is about; None: the dataset's entity, or its key, if it has one.
        outcomes: Dataset that outcomes land in; None: they are posted.
        owner: Who answers for the model.
        task: What is predicted; None: guessed.
        time: Column that says when a row happened; None: the dataset's, if it has one.
    """

    name: str
    dataset: str
    label: str
    positive: str | None = None
    protected: tuple[str, ...] = ()
    subject: str | None = None
    outcomes: str | None = None
    owner: str = ""
    task: Task | None = None
    time: str | None = None


@dataclass(frozen=True)
class Audited:
    """Attributes whose groups are compared, and columns that a model does not read.

    Args:
        attributes: Whose groups are compared.
        protected: What the person named, or the law seems to protect, compared or not.
        is_guess: Whether nobody named them.
        edges: Where the bands of an attribute begin that is a number of many values.
    """

    attributes: tuple[str, ...]
    protected: tuple[str, ...]
    is_guess: bool
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def is_protected(self) -> bool:
        """Whether the groups that are compared are protected ones."""
        return set(self.attributes) <= set(self.protected)


@dataclass(frozen=True)
class ClassDraft:
    """A label of two classes, and the bounds that it suggests."""

    label: LabelDraft
    gates: GateDraft


@dataclass(frozen=True)
class AmountDraft:
    """A label of numbers, and the bounds that it suggests."""

    label: NumberDraft
    gates: ErrorGateDraft


@dataclass(frozen=True)
class ClassesTarget:
    """A label of several classes, and the bounds that it suggests."""

    label: ClassesDraft
    gates: ClassesGateDraft


AnyLabel = LabelDraft | ClassesDraft | NumberDraft
Target = ClassDraft | ClassesTarget | AmountDraft


@dataclass(frozen=True)
class ModelDraft:
    """What the rows suggest, all of it."""

    task: TaskGuess
    target: Target
    roles: ColumnRoles
    audited: Audited
    features: FeatureDraft


@dataclass(frozen=True)
class ColumnsAlone:
    """What each column tells by itself.

    Args:
        told: The measure of the task, by column.
        measure: What it is called, and from where on a column tells too much.
        shifted: Columns that give the label of another row away.
        numbers: The errors of each column, of a regression.
    """

    told: Mapping[str, float]
    measure: tuple[str, float]
    shifted: Mapping[str, ShiftedLabel] = field(default_factory=dict)
    numbers: NumberScan | None = None


def draft_model(
    wish: ModelSpec, dataset: DatasetConfig, seen: SeenRows, roles: ColumnRoles, tell: Tell
) -> ModelDraft:
    """Raises ConfigInvalid where the rows are none of a model of the task."""
    from tenure.adapters.arrow_tables import profile_table
    from tenure.adapters.arrow_tables.likeness import like_pairs

    tell(f"looking at {seen.table.num_columns:,} columns of {seen.table.num_rows:,} rows")
    profile = profile_table(dataset.name, seen.table)
    column = _label_column(wish, profile, seen)
    task = TaskGuess(wish.task) if wish.task else _guessed_task(wish, column)
    label = _label(wish, task.task, column)
    audited = _audited(wish, seen.table, profile, roles)
    roles = replace(
        roles,
        protected=audited.protected,
        audited=audited.attributes,
        personal=personal_columns(dataset.contract),
    )
    tell("trying each column alone")
    alone = _alone(seen.table, profile, as_label(wish, label), label, roles)
    features = draft_features(
        profile,
        like_pairs(seen.table, profile),
        alone.told,
        roles,
        alone.shifted,
        measure=alone.measure,
    )
    absent = dict.fromkeys(seen.absent, f"is not in all of the {len(seen.batches)} newest batches")
    features = replace(features, left_out={**features.left_out, **absent})
    if not features.all:
        why = "; ".join(f"{name} {reason}" for name, reason in features.left_out.items())
        raise not_written(
            f"no column is left to learn from: {why}.", "Ingest columns that tell more."
        )
    return ModelDraft(task, _target(label, features, alone, seen), roles, audited, features)


def _target(label: AnyLabel, features: FeatureDraft, alone: ColumnsAlone, seen: SeenRows) -> Target:
    share = TrainingPolicy().holdout_fraction
    if isinstance(label, LabelDraft):
        gates = draft_gates(label, features, alone.told, days=seen.days, holdout_fraction=share)
        return ClassDraft(label, gates)
    if isinstance(label, ClassesDraft):
        bounds = draft_class_gates(label, days=seen.days, holdout_fraction=share)
        return ClassesTarget(label, bounds)
    assert alone.numbers is not None
    return AmountDraft(
        label,
        draft_error_gates(label, features, alone.numbers, days=seen.days, holdout_fraction=share),
    )


def _label_column(wish: ModelSpec, profile: BatchProfile, seen: SeenRows) -> ColumnProfile:
    column = profile.column(wish.label)
    if column is None:
        raise not_written(
            f"{wish.label} is not in the newest batches ({', '.join(seen.batches)}).",
            "Ingest batches that have it.",
        )
    return column


def _guessed_task(wish: ModelSpec, column: ColumnProfile) -> TaskGuess:
    """What the values say; who names a positive value means two classes."""
    if wish.positive is not None:
        return TaskGuess("binary", "a positive value was named")
    return guess_task(column)


def _label(wish: ModelSpec, task: Task, column: ColumnProfile) -> AnyLabel:
    if task == "binary":
        return draft_label(column, wish.positive, next_step=_TWO_CLASSES)
    if wish.positive is not None:
        raise not_written(
            f"--positive {wish.positive}: a {task} model has no positive value.",
            "Leave it out, or take --task binary.",
        )
    if task == "multiclass":
        return draft_classes(column, learned_share=1 - TrainingPolicy().holdout_fraction)
    return draft_numbers(column)


def as_label(wish: ModelSpec, draft: AnyLabel) -> Label:
    """The label as the YAML states it."""
    if not isinstance(draft, LabelDraft):
        return Label(column=wish.label)
    return Label(column=wish.label, positive=draft.positive, negative=draft.negative)


def _audited(
    wish: ModelSpec, table: "pa.Table", profile: BatchProfile, roles: ColumnRoles
) -> Audited:
    """The attributes whose groups are compared.

    What the law protects comes first; without it, the column with the fewest groups, and where
    there are numbers alone, bands of one. A protected number of many values (an age) is compared by
    bands too.

    Raises:
        ConfigInvalid: No column sorts rows into groups.
    """
    if wish.protected:
        edges = _edges(profile, wish.protected)
        return Audited(wish.protected, wish.protected, is_guess=False, edges=edges)
    others = {roles.label, roles.time, roles.subject, *roles.key}
    free = [c for c in profile.columns if c.name not in others and c.values]
    few = [c for c in free if 2 <= c.distinct <= _MAX_GROUPS]
    by_law = tuple(c.name for c in free if _seems_protected(c, table))
    banded = _edges(profile, by_law)
    if compared := tuple(n for n in by_law if n in banded or n in {c.name for c in few}):
        return Audited(compared, by_law, is_guess=True, edges=banded)
    groups = sorted((c for c in few if c.type in {"string", "boolean"}), key=lambda c: c.distinct)
    numbers = [c for c in few if c.type in {"integer", "number"}]
    if chosen := next(iter([*groups, *numbers]), None):
        return Audited((chosen.name,), by_law, is_guess=True)
    edges = _edges(profile, [c.name for c in free if c.name not in by_law])
    if not edges:
        raise not_written(
            "no column sorts the rows into groups whose treatment could be compared.",
            "Name one: `--protected COLUMN`.",
        )
    first = next(iter(edges))
    return Audited((first,), by_law, is_guess=True, edges={first: edges[first]})


def _edges(profile: BatchProfile, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Bands of about a quarter of the rows each, of numbers that have too many values for groups.

    An edge is rounded up to three digits, so that people can read it.
    """
    found = {}
    for name in names:
        column = profile.column(name)
        if column is None or column.distinct <= _MAX_GROUPS or not column.quantiles:
            continue
        quarters = (column.quantiles[share] for share in (0.25, 0.5, 0.75))
        edges = sorted({_readable(value) for value in quarters})
        kept = tuple(e for e in edges if isinstance(column.low, int | float) and e > column.low)
        if kept:
            found[name] = kept
    return found


def _readable(value: float) -> float:
    return rounded_up(value) if value >= 0 else -rounded_up(-value)


def _seems_protected(column: ColumnProfile, table: "pa.Table") -> bool:
    some = table.column(column.name).drop_null().slice(0, 200)
    values = some.to_pylist() if column.type == "string" else []
    return guess_protected(column.name, values) is not None


def _alone(
    table: "pa.Table",
    profile: BatchProfile,
    label: Label,
    draft: AnyLabel,
    roles: ColumnRoles,
) -> ColumnsAlone:
    """What each column tells by itself of a row's label, and of the label of another row."""
    labelled = _as_numbers(table.filter(table.column(label.column).is_valid()))
    others = {roles.label, roles.time, roles.subject, *roles.key}
    tried = [c.name for c in profile.columns if c.name not in others]
    times = None if roles.time is None else labelled.column(roles.time).fill_null(0).to_numpy()
    if isinstance(draft, NumberDraft):
        return _of_numbers(labelled, tried, label.column, times)
    if isinstance(draft, ClassesDraft):
        return _of_several(labelled, tried, label.column, times)
    return _of_classes(labelled, tried, label, times)


def _as_numbers(table: "pa.Table") -> "pa.Table":
    """Moments as whole numbers, so that they are looked at in their order."""
    import pyarrow as pa

    for n, field_ in enumerate(table.schema):
        if pa.types.is_timestamp(field_.type):
            table = table.set_column(n, field_.name, table.column(n).cast(pa.int64()))
    return table


def _of_classes(
    table: "pa.Table", tried: list[str], label: Label, times: "NDArray[np.int64] | None"
) -> ColumnsAlone:
    from tenure.adapters.single_columns import alone, shifted

    codes = table.column(label.column).combine_chunks().dictionary_encode()
    meanings = np.array([bool(label.rule.meaning(v)) for v in codes.dictionary.to_pylist()])
    labels = meanings[codes.indices.to_numpy()]
    return ColumnsAlone(
        told=alone(table, tried, labels, times),
        measure=("an ROC AUC", GIVEN_AWAY),
        shifted=shifted(table, tried, labels, times),
    )


def _of_several(
    table: "pa.Table",
    tried: list[str],
    label: str,
    times: "NDArray[np.int64] | None",
) -> ColumnsAlone:
    """The mean over the most frequent classes, each against the rest: the gate of leaks' rule."""
    from tenure.adapters.single_columns import of_classes

    written = np.array([spell(value) for value in table.column(label).to_pylist()])
    found = of_classes(table, tried, written, times)
    measure = ("a mean ROC AUC of the classes", LIMITS["mean_roc_auc"])
    return ColumnsAlone(found.told, measure, found.shifted)


def _of_numbers(
    table: "pa.Table", tried: list[str], label: str, times: "NDArray[np.int64] | None"
) -> ColumnsAlone:
    import pyarrow as pa

    from tenure.adapters.single_columns import alone, errors_alone, shifted

    labels = table.column(label).cast(pa.float64(), safe=False).to_numpy()
    return ColumnsAlone(
        told=alone(table, tried, labels, times),
        measure=("an R² of the ranks", GIVEN_AWAY),
        shifted=shifted(table, tried, labels, times),
        numbers=errors_alone(table, tried, labels, times),
    )
