"""The heavy half of training: rows into a fitted estimator, its bytes, its scored holdout."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tenure.config import DatasetConfig, ModelConfig
from tenure.config.references import require_trainable
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.layout import artifact_key, reference_key
from tenure.lifecycle.class_answers import ClassCosts
from tenure.lifecycle.model_version import (
    FeatureNames,
    FitFacts,
    SearchFacts,
    SplitRows,
    VersionRecord,
)
from tenure.lifecycle.task import Task, is_answer, is_distribution
from tenure.lifecycle.training import PublishedSnapshot, evaluation, split
from tenure.lifecycle.training.evaluation.measuring import measure_answers
from tenure.lifecycle.training.fitness import UnfitRows, declared_class_faults
from tenure.lifecycle.training.registry import statement_bytes
from tenure.lifecycle.training.snapshots import NOTHING_CHANGED
from tenure.usecases.data.compatibility import other_names
from tenure.usecases.data.snapshots import open_snapshot
from tenure.usecases.training import mitigation, search, tuning
from tenure.usecases.training.onnx import OnnxAttempt, attempt
from tenure.usecases.training.tuning import TunedModel
from tenure.vocabulary import RunRef, VersionRef, digest_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from tenure.adapters.training_rows import TrainingRows, WantedColumns
    from tenure.lifecycle.training.evaluation.prediction_intervals import Interval


@dataclass(frozen=True)
class FittedModel:
    """What a fit leaves: bytes to store, and facts for the version's row."""

    artifact: bytes
    reference: bytes
    facts: FitFacts
    classes: Mapping[str, tuple[bool | str, int]]
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
    learned = tuning.learned_rows(config, parts.train)
    if faults := list(declared_class_faults(config.declared_classes, learned.labels)):
        raise UnfitRows(faults, still_safe=NOTHING_CHANGED)
    if choice is None:
        choice = search.choose(config, learned)
        if choice is not None:
            keep(choice)
    made = tuning.fit(config, _unfitted(config, choice), parts.train)
    tuned = _with_twin(config, replace(made, search=choice), parts)
    ends = _ends(tuned, parts.holdout)
    scores = score(tuned.estimator, parts.holdout.features) if ends is None else ends[:, 0]
    _require_answers(scores, config.task, name)
    interval = _interval(tuned, ends, config.task, name)
    return FittedModel(
        artifact=skops_artifacts.dump(tuned.estimator, name=name),
        reference=_reference(config, tuned, parts.holdout, scores, interval),
        facts=_facts(config, wanted, tuned, parts, scores),
        classes=rows.classes,
        onnx=_onnx(config, tuned, parts.holdout, scores, name),
    )


def _with_twin(config: ModelConfig, tuned: TunedModel, parts: "SplitParts") -> TunedModel:
    """With what the same training makes without its mitigation, for the report to compare with."""
    done = tuned.mitigation
    if done is None or done.unmitigated is not None:
        return tuned
    plain = mitigation.without(config)
    twin = tuning.fit(plain, _unfitted(plain, tuned.search), parts.train)
    return replace(tuned, mitigation=done.beside(twin.estimator, twin.threshold))


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
        dates=columns.dates,
        seed=policy.seed,
        task=config.task,
    )
    return made


_NO_ANSWER: dict[Task, str] = {
    "binary": "no probability",
    "multiclass": "no probabilities of all classes, which add up to 1,",
    "regression": "no finite number",
}


def _require_answers(scores: "NDArray[np.float64]", task: Task, name: str) -> None:
    """Raises ConfigInvalid for an estimator that gives what nobody could be answered."""
    is_one = is_distribution if task == "multiclass" else partial(is_answer, task)
    bad = sum(not is_one(score) for score in scores.tolist())
    if bad:
        what = _NO_ANSWER[task]
        raise ConfigInvalid(
            f"{name}: the estimator gave {what} for {bad:,} of {len(scores):,} held-out rows.",
            still_safe="No version was made; whatever serves now keeps serving.",
            next_step="Look for extreme values in the features, or take another estimator.",
        )


def _ends(tuned: TunedModel, holdout: "TrainingRows") -> "NDArray[np.float64] | None":
    """Prediction and quantiles of each row; None where the model's YAML asks for no intervals."""
    from tenure.adapters.interval_models import predict_ends

    return None if tuned.interval is None else predict_ends(tuned.estimator, holdout.features)


def _interval(
    tuned: TunedModel, ends: "NDArray[np.float64] | None", task: Task, name: str
) -> "Interval | None":
    """Of each row; None where there are none. Raises like `_require_answers`."""
    from tenure.lifecycle.training.evaluation.prediction_intervals import widened

    if tuned.interval is None or ends is None:
        return None
    found = widened(ends, tuned.interval.margin)
    for end in (found.lower, found.upper):
        _require_answers(end, task, name)
    return found


def trivial_answer(labels: "NDArray[Any]", task: Task) -> float:
    """What the trivial model always answers: the share of positive labels, or their median.

    Of several classes it is the share of the most frequent one.
    """
    import numpy as np

    if task == "multiclass":
        return float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    return float(labels.mean() if task == "binary" else np.median(labels))


def _reference(
    config: ModelConfig,
    tuned: TunedModel,
    holdout: "TrainingRows",
    scores: "NDArray[np.float64]",
    interval: "Interval | None",
) -> bytes:
    from tenure.adapters.training_rows import reference_bytes

    columns, done = config.features, tuned.mitigation
    return reference_bytes(
        holdout,
        scores,
        threshold=tuned.threshold,
        numeric=columns.numeric,
        categorical=columns.texts,
        classes=tuple(class_rows(tuned.learned.labels, config.task)),
        class_costs=cost_matrix(config, class_rows(tuned.learned.labels, config.task)),
        unmitigated=None if done is None else (done.scores(holdout), done.threshold),
        interval=None if interval is None else (interval.lower, interval.upper),
    )


def class_rows(labels: "NDArray[Any]", task: Task) -> dict[str, int]:
    """Rows of each class, sorted by name; empty unless the task is multiclass."""
    import numpy as np

    if task != "multiclass":
        return {}
    names, numbers = np.unique(labels, return_counts=True)
    return dict(zip(names.tolist(), map(int, numbers), strict=True))


def cost_matrix(config: ModelConfig, classes: Mapping[str, int]) -> ClassCosts | None:
    """What answers cost, in the order of the classes; None where the YAML declares no costs."""
    costs, names = config.evaluation.class_costs, tuple(sorted(classes))
    return None if costs is None else costs.matrix(names, names)


def _facts(
    config: ModelConfig,
    wanted: "WantedColumns",
    tuned: TunedModel,
    parts: SplitParts,
    scores: "NDArray[np.float64]",
) -> FitFacts:
    from tenure.adapters.training_rows import observed_values

    threshold, columns, learned = tuned.threshold, config.features, tuned.learned
    costs = config.evaluation.error_costs
    classes = class_rows(learned.labels, config.task)
    measured = measure_answers(
        scores, parts.holdout.labels, threshold=threshold, costs=costs, classes=tuple(classes)
    )
    observed = observed_values(learned, columns.numeric, columns.categorical)
    return FitFacts(
        task=config.task,
        threshold=threshold,
        classes=classes,
        features=FeatureNames(columns.numeric, columns.texts, columns.dates),
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
        class_costs=cost_matrix(config, classes),
        interval=tuned.interval,
        seed=config.training.seed,
        search=tuned.search,
        mitigation=None if tuned.mitigation is None else tuned.mitigation.facts(config),
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
        dataset: Its time column splits the rows, unless the model names another.
        of_a_part: Whether more batches will come before anything is learned.
        checked: Whether the subject, which only scoring reads, is looked at as well.
    """
    return replace(
        columns_of(config, time=config.time_in(dataset), names=other_names(config, dataset)),
        of_a_part=of_a_part,
        others=(config.subject_column,) if checked and config.subject_column else (),
    )


def columns_of(
    config: ModelConfig, *, time: str | None, names: Mapping[str, Sequence[str]]
) -> "WantedColumns":
    """What a training reads, where the time and other names of columns are known."""
    from tenure.adapters.training_rows import WantedColumns

    return WantedColumns(
        numeric=config.features.numeric,
        categorical=config.features.texts,
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
