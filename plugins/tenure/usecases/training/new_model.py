"""A model from a dataset: its YAML, drafted from the published rows, written whole or not at all.

Import it inside functions: it loads SQLAlchemy.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tenure.adapters.sql import training
from tenure.config import DatasetConfig, ModelConfig, load_all, load_dataset, load_model
from tenure.config.model_yaml import Notes, model_yaml
from tenure.config.models import Features, Label, LandedOutcomes
from tenure.config.new_files import new_configs
from tenure.config.references import broken
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.lifecycle.data.personal import guess_protected
from tenure.lifecycle.data.profiling import BatchProfile, ColumnProfile
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.lifecycle.promotion.canary import CanaryMetric, CanaryPolicy
from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.training import PublishedSnapshot, TrainingPolicy, choose_snapshots
from tenure.lifecycle.training.bias import BiasPolicy
from tenure.lifecycle.training.drafting import (
    ColumnRoles,
    FeatureDraft,
    GateDraft,
    LabelDraft,
    draft_features,
    draft_gates,
    draft_label,
)
from tenure.lifecycle.training.evaluation import EvaluationPolicy, MetricGate
from tenure.usecases.data.snapshots import open_snapshot
from tenure.vocabulary import is_id

if TYPE_CHECKING:
    import pyarrow as pa

ENOUGH_ROWS = 20_000
"""Newest batches are taken until they hold so many rows."""
MAX_BATCHES = 12
MAX_ROWS = 200_000
"""Rows that are looked at, evenly over those of the batches."""
_MAX_GROUPS = 20
_FOUR_FIFTHS = 0.8
_UNPROTECTED_DIFFERENCE = 0.25
_BOUNDS = {
    True: "the lowest of a group over the highest: the four-fifths rule",
    False: "the highest of a group less the lowest",
}
_CONFIRM = "to be confirmed"
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
class SeenRows:
    """What the draft rests on.

    Args:
        table: Rows of the newest batches, at most `MAX_ROWS`.
        rows: How many the batches have.
        batches: Their names, oldest first.
        span: First and last moment.
        days: Between the two.
        absent: Columns of the contract that not every batch has.
    """

    table: "pa.Table"
    rows: int
    batches: tuple[str, ...]
    span: tuple[str, str]
    days: float
    absent: tuple[str, ...]


@dataclass(frozen=True)
class NewModel:
    """What was written, and what a person should look at."""

    model: ModelConfig
    path: Path
    rows: int
    batches: tuple[str, ...]
    label: LabelDraft
    left_out: Mapping[str, str]
    confirm: tuple[str, ...]


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


def create(platform: Installation, wish: ModelSpec, tell: Tell = lambda _: None) -> NewModel:
    """Draft the YAML of a model from the newest published rows; it passes `tenure check`.

    Args:
        platform: The installation.
        wish: What the person said.
        tell: Takes what is being done, for people who wait.

    Raises:
        ConfigInvalid: The name is taken, a column is none, or the rows hold no label of two
            classes; nothing was written.
        GateInconclusive: Nothing of the dataset is published yet.
        ServiceUnreachable: The database or the store does not answer.
    """
    settings = platform.settings
    path = settings.configs / "models" / f"{wish.name}.yaml"
    _refuse_name(wish, path)
    dataset, _ = load_dataset(settings.include, wish.dataset)
    time, subject = _check_columns(wish, dataset), _subject(wish, dataset)
    tell(f"reading the newest batches of {dataset.name}")
    seen = _rows(platform, dataset, time)
    draft = _draft(
        wish, dataset, seen, ColumnRoles(wish.label, time, subject, dataset.contract.key), tell
    )
    notes = dict(_notes(wish, draft))
    config = _config(wish, draft, len(seen.batches))
    text = model_yaml(config, heading=_heading(wish, seen, draft.features), notes=notes)
    model = _check(platform, path, text)
    new_configs({path: text})
    return NewModel(
        model, path, seen.rows, seen.batches, draft.label, draft.features.left_out, _open(notes)
    )


def _draft(
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
    alone = _alone(seen.table, profile, _as_label(wish, label), roles)
    features = draft_features(profile, like_pairs(seen.table, profile), alone, roles)
    absent = dict.fromkeys(seen.absent, f"is not in all of the {len(seen.batches)} newest batches")
    features = replace(features, left_out={**features.left_out, **absent})
    if not (features.numeric or features.categorical):
        why = "; ".join(f"{name} {reason}" for name, reason in features.left_out.items())
        raise _invalid(f"no column is left to learn from: {why}.", "Ingest columns that tell more.")
    share = TrainingPolicy().holdout_fraction
    gates = draft_gates(label, features, alone, days=seen.days, holdout_fraction=share)
    return ModelDraft(label, roles, audited, features, gates)


def _label(wish: ModelSpec, profile: BatchProfile, seen: SeenRows) -> LabelDraft:
    column = profile.column(wish.label)
    if column is None:
        raise _invalid(
            f"{wish.label} is not in the newest batches ({', '.join(seen.batches)}).",
            "Ingest batches that have it.",
        )
    return draft_label(column, wish.positive, next_step=_TWO_CLASSES)


def _as_label(wish: ModelSpec, draft: LabelDraft) -> Label:
    return Label(column=wish.label, positive=draft.positive, negative=draft.negative)


def _open(notes: Notes) -> tuple[str, ...]:
    """What a person has to confirm, by key."""
    return tuple(
        f"{'.'.join(map(str, at))}: {said.removesuffix(f': {_CONFIRM}')}"
        for at, said in notes.items()
        if said.endswith(_CONFIRM)
    )


_TWO_CLASSES = (
    "Name a column with two values; a model of more classes, or of a number, is not trained yet. "
    "--positive says which of the two is looked for."
)


def _refuse_name(wish: ModelSpec, path: Path) -> None:
    if not is_id(wish.name):
        raise _invalid(
            f"{wish.name!r} is not an id.", "Use a-z, 0-9, _ and -, and no double underscore."
        )
    if path.exists() or path.is_symlink():
        raise _invalid(f"{wish.name} is there already: {path}.", "Choose another, or edit it.")


def _check_columns(wish: ModelSpec, dataset: DatasetConfig) -> str:
    """The time column; every column that was named is there. Raises ConfigInvalid."""
    if dataset.time_column is None:
        raise _invalid(
            f"{dataset.name} has no time_column: training splits its rows by time.",
            f"Name one in datasets/{dataset.name}.yaml.",
        )
    known = dataset.contract.columns
    named = [("--label", wish.label), *(("--protected", one) for one in wish.protected)]
    named += [("--subject", wish.subject)] if wish.subject else []
    for option, column in named:
        if column not in known:
            raise _invalid(
                f"{option}: {dataset.name} has no column {column!r}.",
                f"Choose one of: {', '.join(known)[:300]}.",
            )
    if wish.label in {dataset.time_column, *dataset.contract.key, *wish.protected}:
        raise _invalid(
            f"--label: {wish.label} is the time, the key or a protected attribute.",
            "Name the column that a model shall predict.",
        )
    return dataset.time_column


def _subject(wish: ModelSpec, dataset: DatasetConfig) -> str:
    """Raises ConfigInvalid where nothing names whom a row is about."""
    key = dataset.contract.key
    found = wish.subject or dataset.entity_column or (key[0] if len(key) == 1 else None)
    if found is None:
        raise _invalid(
            f"{dataset.name} has neither an entity_column nor a key of one column: nothing names "
            "whom a decision is about.",
            "Say --subject COLUMN.",
        )
    return found


def _rows(platform: Installation, dataset: DatasetConfig, time: str) -> SeenRows:
    """The newest batches. Raises GateInconclusive when nothing is published."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with platform.database.begin() as connection:
        published = training.published(connection, dataset.name)
    chosen = _newest(published, dataset.name)
    run = as_command("new model")
    files = [
        open_snapshot(platform, dataset.name, one.digest, purpose="suggest", run=run)
        for one in chosen
    ]
    there = [set(pq.read_schema(file).names) for file in files]
    columns = [c for c in dataset.contract.columns if all(c in one for one in there)]
    parts = [_some(pq.read_table(file, columns=columns), len(files)) for file in files]
    names = ", ".join(one.batch for one in chosen)
    try:
        table = pa.concat_tables(parts, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
        raise _invalid(
            f"the newest batches of {dataset.name} ({names}) hold one column in different types: "
            f"{str(error).splitlines()[0]}.",
            "Publish the older ones again in the new type.",
        ) from None
    bounds = pc.min_max(table.column(time)).as_py() if time in columns else {}
    first, last = bounds.get("min"), bounds.get("max")
    if first is None or last is None:
        raise _invalid(
            f"the time column {time} of {dataset.name} has no value in {len(chosen)} batches "
            f"({names}), or not all of them have it.",
            "Publish batches that say when what a row tells happened.",
        )
    return SeenRows(
        table=table,
        rows=sum(one.rows for one in chosen),
        batches=tuple(one.batch for one in chosen),
        span=(f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"),
        days=(last - first) / timedelta(days=1),
        absent=tuple(c for c in dataset.contract.columns if c not in columns),
    )


def _newest(published: Sequence[PublishedSnapshot], dataset: str) -> list[PublishedSnapshot]:
    """So many of the newest batches that they hold enough rows, oldest first."""
    chosen = [*choose_snapshots(published, dataset=dataset, window_batches=1)]
    in_force = {one.batch: one.id for one in published}
    for count in range(2, 1 + min(MAX_BATCHES, len({*in_force.values()}))):
        if sum(one.rows for one in chosen) >= ENOUGH_ROWS:
            break
        chosen = [*choose_snapshots(published, dataset=dataset, window_batches=count)]
    return chosen


def _some(table: "pa.Table", files: int) -> "pa.Table":
    """Rows of one batch, evenly, so that all together are few enough."""
    step = math.ceil(table.num_rows * files / MAX_ROWS)
    return table.take([*range(0, table.num_rows, step)]) if step > 1 else table


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
        raise _invalid(
            "no column sorts the rows into groups whose treatment could be compared.",
            "Say --protected COLUMN.",
        )
    return Audited((groups[0].name,), by_law, is_guess=True)


def _seems_protected(column: ColumnProfile, table: "pa.Table") -> bool:
    some = table.column(column.name).drop_null().slice(0, 200)
    values = some.to_pylist() if column.type == "string" else []
    return guess_protected(column.name, values) is not None


def _alone(
    table: "pa.Table", profile: BatchProfile, label: Label, roles: ColumnRoles
) -> dict[str, float]:
    """What each column tells of the label by itself, of the rows that have one."""
    import pyarrow as pa

    from tenure.adapters.single_columns import alone

    labelled = table.filter(table.column(label.column).is_valid())
    codes = labelled.column(label.column).combine_chunks().dictionary_encode()
    meanings = np.array([bool(label.rule.meaning(v)) for v in codes.dictionary.to_pylist()])
    others = {roles.label, roles.time, roles.subject, *roles.key}
    tried = [c.name for c in profile.columns if c.type != "timestamp" and c.name not in others]
    times = labelled.column(roles.time).cast(pa.int64()).fill_null(0).to_numpy()
    return alone(labelled, tried, meanings[codes.indices.to_numpy()], times)


def _config(wish: ModelSpec, draft: ModelDraft, batches: int) -> ModelConfig:
    audited, features, gates = draft.audited, draft.features, draft.gates
    label = _as_label(wish, draft.label)
    return ModelConfig(
        name=wish.name,
        purpose=f"Tell {wish.label} of {wish.dataset} before it is known.",
        owner=wish.owner,
        dataset=wish.dataset,
        label=label.model_copy(update={"horizon_hours": float(gates.gap_hours)}),
        outcomes=LandedOutcomes(dataset=wish.outcomes) if wish.outcomes else None,
        subject_column=draft.roles.subject,
        features=Features(numeric=features.numeric, categorical=features.categorical),
        training=TrainingPolicy(window_batches=batches, gap_hours=gates.gap_hours),
        evaluation=EvaluationPolicy(
            threshold=gates.threshold,
            min_rows=gates.min_rows,
            gates=(
                MetricGate(metric="roc_auc", minimum=gates.roc_auc),
                MetricGate(metric="brier", maximum=gates.brier),
            ),
        ),
        bias=BiasPolicy(
            attributes=audited.attributes,
            min_ratio=_FOUR_FIFTHS if audited.is_protected else None,
            max_difference=None if audited.is_protected else _UNPROTECTED_DIFFERENCE,
            min_group_rows=gates.min_group_rows,
            small_groups="report",
        ),
        serving=ServingPolicy(fallback_score=round(gates.base_rate, 3)),
        canary=CanaryPolicy(
            metrics=(
                CanaryMetric(event="error", margin=1.5, required=False),
                CanaryMetric(event="wrong_label", margin=1.15),
            )
        ),
    )


def _heading(wish: ModelSpec, seen: SeenRows, features: FeatureDraft) -> list[str]:
    first, last = seen.span
    many = f"the {len(seen.batches)} newest batches" if len(seen.batches) > 1 else "the one batch"
    looked = seen.table.num_rows
    part = "" if looked == seen.rows else f"; {looked:,} of them were looked at"
    return [
        f"Made by `tenure new model` from {seen.rows:,} rows in {many} of {wish.dataset}, {first} "
        f"to {last}{part}.",
        f"Guesses are marked: {_CONFIRM}. Then delete the mark.",
        f"Columns that the model does not read ({len(features.left_out)}):",
        *(f"  {name} {reason}" for name, reason in features.left_out.items()),
    ]


def _notes(wish: ModelSpec, draft: ModelDraft) -> Iterator[tuple[tuple[str | int, ...], str]]:
    label, audited, gates = draft.label, draft.audited, draft.gates
    yield ("purpose",), f"what it is for, in a sentence: {_CONFIRM}"
    yield (
        ("risk_tier",),
        f"minimal, limited or high (two approvers), by what a wrong decision does to a person: "
        f"{_CONFIRM}",
    )
    true = "true" if label.positive is None else spell(label.positive)
    yield (
        ("label",),
        f"{label.share:.1%} of {label.rows:,} rows are {true!r}"
        f"{' (a guess that this is what the model looks for)' if label.is_guess else ''}; "
        f"horizon_hours: from the event until the label is known for sure: {_CONFIRM}",
    )
    mark = "" if wish.subject else f": {_CONFIRM}"
    yield ("subject_column",), f"the same subject always gets the same arm of a canary{mark}"
    yield ("training", "window_batches"), "newest batches that are trained on"
    yield (
        ("evaluation", "threshold"),
        f"scores from here on decide {true!r}; what a wrong answer costs sets it: {_CONFIRM}",
    )
    best = "no column alone tells it"
    if gates.best is not None:
        name, reached = gates.best
        best = f"{name} alone reaches {reached:.2f} on the newest quarter; two standard errors less"
    yield ("evaluation", "gates", 0), f"{best}: {_CONFIRM}"
    constant = gates.base_rate * (1 - gates.base_rate)
    yield (
        ("evaluation", "gates", 1),
        f"one score for everybody, the share of {true!r}, has {constant:.3f}: {_CONFIRM}",
    )
    yield ("bias", "attributes"), _about(audited)
    yield (
        ("bias", "min_ratio" if audited.is_protected else "max_difference"),
        f"of the shares decided {true!r}, {_BOUNDS[audited.is_protected]}: {_CONFIRM}",
    )
    yield ("bias", "min_group_rows"), "smaller groups are listed and not judged"
    yield (
        ("serving", "fallback_score"),
        f"answers when no version can: the share of {true!r}: {_CONFIRM}",
    )
    yield ("canary", "metrics", 0), "answers that the model itself did not give"
    yield ("canary", "metrics", 1), f"wrong decisions, challenger to champion: {_CONFIRM}"


def _about(audited: Audited) -> str:
    if not audited.is_guess:
        return "their groups are compared; the model does not read them"
    if audited.is_protected:
        return f"the law seems to protect them; the model does not read them: {_CONFIRM}"
    return (
        f"no groups that the law seems to protect are in the data; these are compared: {_CONFIRM}"
    )


def _check(platform: Installation, path: Path, text: str) -> ModelConfig:
    """The config as it will be read from the file, beside all others. Raises ConfigInvalid."""
    include = platform.settings.include
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "configs" / "models" / path.name
        copy.parent.mkdir(parents=True)
        copy.write_text(text, "utf-8")
        model, _ = load_model(Path(folder), path.stem)
    found = load_all(include)
    found.models[path.stem] = model
    today = platform.clock.now().date()
    problems = [one.message for one in broken(include, found, today) if one.path == path]
    if problems:
        raise _invalid(
            f"the model would not pass `tenure check`: {'; '.join(problems)}.",
            "Mend what is named, or say it differently.",
        )
    return model


def _invalid(what: str, next_step: str) -> ConfigInvalid:
    return ConfigInvalid(what, still_safe="Nothing was written.", next_step=next_step)
