"""The heavy half of training: rows into a fitted estimator, its bytes, its scored holdout."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tenure.config import DatasetConfig, ModelConfig
from tenure.config.references import require_trainable
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.layout import artifact_key, reference_key
from tenure.lifecycle.model_version import (
    FeatureNames,
    FitFacts,
    SearchFacts,
    SplitRows,
    VersionRecord,
)
from tenure.lifecycle.task import Task, is_answer
from tenure.lifecycle.training import PublishedSnapshot, evaluation, split
from tenure.lifecycle.training.evaluation.measuring import measure_answers
from tenure.lifecycle.training.registry import statement_bytes
from tenure.usecases.data.compatibility import other_names
from tenure.usecases.data.snapshots import open_snapshot
from tenure.usecases.training import search, tuning
from tenure.usecases.training.onnx import OnnxAttempt, attempt
from tenure.usecases.training.tuning import TunedModel
from tenure.vocabulary import RunRef, VersionRef, digest_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from tenure.adapters.training_rows import TrainingRows, WantedColumns


@dataclass(frozen=True)
class FittedModel:
    """What a fit leaves: bytes to store, and facts for the version's row."""

    artifact: bytes
    reference: bytes
    facts: FitFacts
    classes: Mapping[str, tuple[bool, int]]
    """What each value of the label column means, and how many rows have it."""
    onnx: OnnxAttempt | None = None
    """Only where the model's YAML asks for it."""


def fit(
    platform: Installation,
    config: ModelConfig,
    dataset: DatasetConfig,
    snapshots: Sequence[PublishedSnapshot],
    *,
    name: str,
    run: RunRef,
    training_key: str,
) -> FittedModel:
    """What a training of the model on these snapshots leaves.

    Raises:
        GateInconclusive: The rows cannot be split, or too few are left to calibrate on.
        ConfigInvalid: Columns, estimator or parameters do not fit.
        ArtifactRefused: A snapshot is not the bytes that were published, or the estimator holds
            a type that no gateway would load.
    """
    paths = _paths(platform, config, dataset, snapshots, purpose="training", run=run)
    return fit_files(
        config,
        wanted_columns(config, dataset),
        paths,
        name=name,
        choice=search.kept_choice(platform.store, training_key),
        keep=lambda found: search.keep_choice(platform.store, training_key, found),
    )


def read(
    platform: Installation,
    config: ModelConfig,
    dataset: DatasetConfig,
    snapshots: Sequence[PublishedSnapshot],
    *,
    run: RunRef,
) -> "TrainingRows":
    """The rows of all snapshots, read again to be judged. Raises like `fit`."""
    from tenure.adapters.training_rows import read_rows

    paths = _paths(platform, config, dataset, snapshots, purpose="evaluation", run=run)
    return read_rows(paths, wanted_columns(config, dataset))


def _paths(
    platform: Installation,
    config: ModelConfig,
    dataset: DatasetConfig,
    snapshots: Sequence[PublishedSnapshot],
    *,
    purpose: Literal["training", "evaluation"],
    run: RunRef,
) -> list[Path]:
    require_trainable(platform.settings.include, config, platform.clock.now().date())
    return [
        open_snapshot(platform, dataset.name, s.digest, purpose=purpose, run=run, model=config.name)
        for s in snapshots
    ]


def fit_files(
    config: ModelConfig,
    wanted: "WantedColumns",
    paths: Sequence[Path],
    *,
    name: str,
    choice: SearchFacts | None,
    keep: Callable[[SearchFacts], None] = lambda _: None,
) -> FittedModel:
    """Split, fit on one part, score the other; the same input, the same bytes.

    It asks nothing of an installation, so that any process can do it again. Raises like `fit`.

    Args:
        config: The model.
        wanted: Its columns.
        paths: Snapshots, oldest first.
        name: `model@version`.
        choice: What a search chose before; None: search, where the YAML asks for it.
        keep: Gets what a search chose, before the fit.
    """
    from tenure.adapters import skops_artifacts
    from tenure.adapters.sklearn_trainer import score
    from tenure.adapters.training_rows import read_rows

    rows = read_rows(paths, wanted)
    parts = split_rows(config, rows)
    if choice is None:
        choice = search.choose(config, tuning.learned_rows(config, parts.train))
        if choice is not None:
            keep(choice)
    made = tuning.fit(config, _unfitted(config, choice), parts.train)
    tuned = replace(made, search=choice)
    scores = score(tuned.estimator, parts.holdout.features)
    _require_answers(scores, config.task, name)
    return FittedModel(
        artifact=skops_artifacts.dump(tuned.estimator, name=name),
        reference=_reference(config, tuned, parts.holdout, scores),
        facts=_facts(config, wanted, tuned, parts, scores),
        classes=rows.classes,
        onnx=_onnx(config, tuned, parts.holdout, scores, name),
    )


@dataclass(frozen=True)
class SplitParts:
    """The rows on either side of the split, how many are on neither, and where they were."""

    train: "TrainingRows"
    holdout: "TrainingRows"
    counts: SplitRows
    at: split.RowSplit


def split_rows(config: ModelConfig, rows: "TrainingRows") -> SplitParts:
    """The rows that are learned from, and those that judge. Raises GateInconclusive."""
    from tenure.adapters.training_rows import pick

    parted = split.split_rows(
        config.training,
        horizon_hours=config.label.horizon_hours,
        labels=rows.labels,
        times=rows.times,
        groups=rows.groups,
    )
    counts = SplitRows(
        train=len(parted.train),
        calibration=0,
        holdout=len(parted.holdout),
        unlabelled=rows.unlabelled,
        gap=parted.gap,
        label_unknown=parted.label_unknown,
        group_held_out=parted.group_held_out,
    )
    return SplitParts(pick(rows, parted.train), pick(rows, parted.holdout), counts, parted)


def _unfitted(config: ModelConfig, choice: SearchFacts | None) -> "BaseEstimator":
    from tenure.adapters.sklearn_trainer import build

    policy, columns = config.training, config.features
    made: BaseEstimator = build(
        policy.estimator,
        policy.parameters if choice is None else choice.chosen,
        numeric=columns.numeric,
        categorical=columns.categorical,
        seed=policy.seed,
        task=config.task,
    )
    return made


def _require_answers(scores: "NDArray[np.float64]", task: Task, name: str) -> None:
    """Raises ConfigInvalid for an estimator that gives what nobody could be answered."""
    bad = sum(not is_answer(task, score) for score in scores.tolist())
    if bad:
        what = "no probability" if task == "binary" else "no finite number"
        raise ConfigInvalid(
            f"{name}: the estimator gave {what} for {bad:,} of {len(scores):,} held-out rows.",
            still_safe="No version was made; whatever serves now keeps serving.",
            next_step="Look for extreme values in the features, or take another estimator.",
        )


def trivial_answer(labels: "NDArray[Any]", task: Task) -> float:
    """What the trivial model always answers: the share of positive labels, or their median."""
    import numpy as np

    return float(labels.mean() if task == "binary" else np.median(labels))


def _reference(
    config: ModelConfig,
    tuned: TunedModel,
    holdout: "TrainingRows",
    scores: "NDArray[np.float64]",
) -> bytes:
    from tenure.adapters.training_rows import reference_bytes

    columns = config.features
    return reference_bytes(
        holdout,
        scores,
        threshold=tuned.threshold,
        numeric=columns.numeric,
        categorical=columns.categorical,
    )


def _facts(
    config: ModelConfig,
    wanted: "WantedColumns",
    tuned: TunedModel,
    parts: SplitParts,
    scores: "NDArray[np.float64]",
) -> FitFacts:
    from tenure.adapters.training_rows import observed_values

    threshold, columns, learned = tuned.threshold, config.features, tuned.learned
    costs = config.evaluation.costs
    measured = measure_answers(scores, parts.holdout.labels, threshold=threshold, costs=costs)
    observed = observed_values(learned, columns.numeric, columns.categorical)
    return FitFacts(
        task=config.task,
        threshold=threshold,
        features=FeatureNames(columns.numeric, columns.categorical),
        time_column=wanted.time,
        names={column: tuple(names) for column, names in wanted.names.items()},
        categories=observed.categories,
        kinds=learned.kinds,
        ranges=observed.ranges,
        metrics=evaluation.values(measured),
        intervals=evaluation.intervals(measured),
        rows=tuned.counted(parts.counts),
        trivial_answer=trivial_answer(learned.labels, config.task),
        conformal_least=tuned.conformal_least,
        seed=config.training.seed,
        search=tuned.search,
    )


def _onnx(
    config: ModelConfig,
    tuned: TunedModel,
    holdout: "TrainingRows",
    scores: "NDArray[np.float64]",
    name: str,
) -> OnnxAttempt | None:
    """Only where the model's YAML asks for it."""
    if config.serving.onnx is None or tuned.threshold is None:
        return None
    return attempt(
        config.serving.onnx,
        tuned.estimator,
        holdout.features,
        scores,
        features=config.features.all,
        threshold=tuned.threshold,
        subject=name,
    )


def wanted_columns(
    config: ModelConfig, dataset: DatasetConfig, *, of_a_part: bool = False, checked: bool = False
) -> "WantedColumns":
    """What the model reads of the dataset's rows.

    Args:
        config: The model.
        dataset: Its time column splits the rows.
        of_a_part: Whether more batches will come before anything is learned.
        checked: Whether the subject, which only scoring reads, is looked at as well.
    """
    return replace(
        columns_of(config, time=dataset.time_column, names=other_names(config, dataset)),
        of_a_part=of_a_part,
        others=(config.subject_column,) if checked else (),
    )


def columns_of(
    config: ModelConfig, *, time: str | None, names: Mapping[str, Sequence[str]]
) -> "WantedColumns":
    """What a training reads, where the time and other names of columns are known."""
    from tenure.adapters.training_rows import WantedColumns

    return WantedColumns(
        numeric=config.features.numeric,
        categorical=config.features.categorical,
        label=config.label.column,
        time=time,
        protected=config.bias.attributes,
        group=config.training.group_column,
        weight=config.training.sample_weight,
        names=names,
        rule=config.outcome_rule,
    )


@dataclass(frozen=True)
class StoredFit:
    """Where artifact and scored holdout lie."""

    artifact_digest: str
    artifact_key: str
    holdout_key: str
    holdout_digest: str


def store(platform: Installation, version: VersionRef, fitted: FittedModel) -> StoredFit:
    """Put artifact and scored holdout into the object store."""
    digest = digest_bytes(fitted.artifact)
    artifact, holdout = artifact_key(digest), reference_key(version.model, version.version)
    platform.store.put(artifact, fitted.artifact)
    return StoredFit(digest, artifact, holdout, platform.store.put(holdout, fitted.reference))


def sign(platform: Installation, row: VersionRecord) -> str:
    """Signature over the row's statement, by the key of this installation."""
    from tenure.adapters.signing import Signer

    return Signer(platform.settings.signing_key).sign(statement_bytes(row))
