"""A model from a dataset: its YAML, drafted from the published rows, written whole or not at all.

Import it inside functions: it loads SQLAlchemy.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.config import DatasetConfig, ModelConfig, load_all, load_dataset, load_model
from tenure.config.model_yaml import model_yaml
from tenure.config.models import Features, LandedOutcomes
from tenure.config.new_files import new_configs, not_written
from tenure.config.references import broken
from tenure.installation import Installation
from tenure.lifecycle.monitoring.policy import MonitoringPolicy
from tenure.lifecycle.promotion.canary import CanaryMetric, CanaryPolicy
from tenure.lifecycle.promotion.canary_groups import CanaryGroupPolicy
from tenure.lifecycle.promotion.event_rates import Event
from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.training import TrainingPolicy
from tenure.lifecycle.training.bias import BiasPolicy, ErrorBiasPolicy
from tenure.lifecycle.training.drafting import ColumnRoles
from tenure.lifecycle.training.evaluation import EvaluationPolicy, MetricGate
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy
from tenure.lifecycle.training.policy import Split
from tenure.usecases.onboarding.model_draft import (
    AmountDraft,
    ClassDraft,
    ClassesTarget,
    ModelDraft,
    ModelSpec,
    Target,
    Tell,
    as_label,
    draft_model,
)
from tenure.usecases.onboarding.model_notes import decisions, heading, notes_of, open_points
from tenure.usecases.onboarding.newest_rows import newest_rows
from tenure.vocabulary import is_id

_FOUR_FIFTHS = 0.8
_UNPROTECTED_DIFFERENCE = 0.25
_ACCURACY_DIFFERENCE = 0.1


@dataclass(frozen=True)
class NewModel:
    """A drafted YAML, and what a person should look at.

    Args:
        model: What it says.
        path: Where it belongs.
        text: The file.
        rows: Of the newest batches.
        batches: Their names, oldest first.
        draft: What the rows suggest.
        decided: What was decided from them, one sentence each.
        confirm: What was guessed, by key.
    """

    model: ModelConfig
    path: Path
    text: str
    rows: int
    batches: tuple[str, ...]
    draft: ModelDraft
    decided: tuple[str, ...]
    confirm: tuple[str, ...]

    @property
    def left_out(self) -> Mapping[str, str]:
        """Columns that the model does not read, each with the reason."""
        return self.draft.features.left_out


def create(platform: Installation, wish: ModelSpec, tell: Tell = lambda _: None) -> NewModel:
    """As `propose`, and the file is written.

    Raises:
        ConfigInvalid: Also when the name is taken, or the folder takes no file.
    """
    refuse_taken(place_of(platform, wish.name))
    proposed = propose(platform, wish, tell)
    new_configs({proposed.path: proposed.text})
    return proposed


def propose(platform: Installation, wish: ModelSpec, tell: Tell = lambda _: None) -> NewModel:
    """Draft the YAML of a model from the newest published rows; it passes `tenure check`.

    Args:
        platform: The installation.
        wish: What the person said.
        tell: Takes what is being done, for people who wait.

    Raises:
        ConfigInvalid: The name is no id, a column is none, or the rows hold no label of the task.
        GateInconclusive: Nothing of the dataset is published yet.
        ServiceUnreachable: The database or the store does not answer.
    """
    settings = platform.settings
    path = place_of(platform, wish.name)
    dataset, _ = load_dataset(settings.include, wish.dataset)
    _check_columns(wish, dataset)
    time, subject = wish.time or dataset.time_column, _subject(wish, dataset)
    tell(f"reading the newest batches of {dataset.name}")
    seen = newest_rows(platform, dataset, time)
    roles = ColumnRoles(wish.label, time, subject, dataset.contract.key)
    draft = draft_model(wish, dataset, seen, roles, tell)
    notes = dict(notes_of(wish, draft))
    text = model_yaml(
        _config(wish, draft, len(seen.batches)),
        heading=heading(wish, seen, draft.features),
        notes=notes,
    )
    return NewModel(
        model=_check(platform, path, text),
        path=path,
        text=text,
        rows=seen.rows,
        batches=seen.batches,
        draft=draft,
        decided=decisions(wish, draft, seen),
        confirm=open_points(notes),
    )


def place_of(platform: Installation, name: str) -> Path:
    """Where the YAML of the model belongs. Raises ConfigInvalid where the name is no id."""
    if not is_id(name):
        raise not_written(
            f"{name!r} is not an id.", "Use a-z, 0-9, _ and -, and no double underscore."
        )
    return platform.settings.configs / "models" / f"{name}.yaml"


def refuse_taken(path: Path) -> None:
    """Raises ConfigInvalid where something lies there."""
    if path.exists() or path.is_symlink():
        raise not_written(f"{path.stem} is there already: {path}.", "Choose another, or edit it.")


def _check_columns(wish: ModelSpec, dataset: DatasetConfig) -> None:
    """Every named column is there, and may be what it is named for. Raises ConfigInvalid."""
    known = dataset.contract.columns
    named = [("label", wish.label), *(("protected", one) for one in wish.protected)]
    named += [("subject", wish.subject)] if wish.subject else []
    named += [("time", wish.time)] if wish.time else []
    for option, column in named:
        if column not in known:
            raise not_written(
                f"{option}: {dataset.name} has no column {column!r}.",
                f"Choose one of: {', '.join(known)[:300]}.",
            )
    if wish.time and known[wish.time].type != "timestamp":
        raise not_written(
            f"time: {wish.time} is {known[wish.time].type} in {dataset.name}, not timestamp.",
            "Name a column of times, or leave it out.",
        )
    if wish.label in {wish.time or dataset.time_column, *dataset.contract.key, *wish.protected}:
        raise not_written(
            f"label: {wish.label} is the time, the key or a protected attribute.",
            "Name the column that a model shall predict.",
        )


def _subject(wish: ModelSpec, dataset: DatasetConfig) -> str | None:
    """Whom a row is about; None where nothing names it, so that each is one of its own."""
    key = dataset.contract.key
    return wish.subject or dataset.entity_column or (key[0] if len(key) == 1 else None)


def _config(wish: ModelSpec, draft: ModelDraft, batches: int) -> ModelConfig:
    target, features, is_timed = draft.target, draft.features, draft.roles.time is not None
    by_lot: Split = "random" if isinstance(target, AmountDraft) else "stratified"
    usual = TrainingPolicy()
    gap_hours = target.gates.gap_hours if is_timed else usual.gap_hours
    horizon = float(gap_hours)
    if isinstance(target, AmountDraft):
        judged = _of_amounts(target, draft)
    elif isinstance(target, ClassesTarget):
        judged = _of_several(target, draft)
    else:
        judged = _of_classes(target, draft)
    return ModelConfig(
        name=wish.name,
        purpose=f"Tell {wish.label} of {wish.dataset} before it is known.",
        owner=wish.owner,
        dataset=wish.dataset,
        task=draft.task.task,
        label=as_label(wish, target.label).model_copy(update={"horizon_hours": horizon}),
        outcomes=LandedOutcomes(dataset=wish.outcomes) if wish.outcomes else None,
        subject_column=draft.roles.subject,
        features=Features(
            numeric=features.numeric, categorical=features.categorical, dates=features.dates
        ),
        training=TrainingPolicy(
            parameters=_parameters(target),
            window_batches=batches,
            time_column=wish.time,
            split="temporal" if is_timed else by_lot,
            gap_hours=gap_hours,
        ),
        **judged,
    )


def _parameters(target: Target) -> dict[str, float | int | str | bool]:
    """Of the usual estimator; outliers would decide all if errors were squared."""
    has_outliers = isinstance(target, AmountDraft) and target.label.has_outliers
    return {"loss": "absolute_error"} if has_outliers else {}


def _of_classes(target: ClassDraft, draft: ModelDraft) -> dict[str, Any]:
    """What judges a model of two classes, and answers for it."""
    audited, gates = draft.audited, target.gates
    return {
        "evaluation": EvaluationPolicy(
            threshold=gates.threshold,
            min_rows=gates.min_rows,
            gates=(
                MetricGate(metric="roc_auc", minimum=gates.roc_auc),
                MetricGate(metric="brier", maximum=gates.brier),
            ),
        ),
        "bias": BiasPolicy(
            attributes=audited.attributes,
            edges=dict(audited.edges),
            min_ratio=_FOUR_FIFTHS if audited.is_protected else None,
            max_difference=None if audited.is_protected else _UNPROTECTED_DIFFERENCE,
            min_group_rows=gates.min_group_rows,
            small_groups="report",
        ),
        "serving": ServingPolicy(fallback_score=round(gates.base_rate, 3)),
        "canary": _canary("wrong_label"),
    }


def _of_several(target: ClassesTarget, draft: ModelDraft) -> dict[str, Any]:
    """What judges a model of several classes, and answers for it."""
    audited, gates = draft.audited, target.gates
    return {
        "evaluation": EvaluationPolicy(
            min_rows=gates.min_rows,
            gates=(
                MetricGate(metric="balanced_accuracy", minimum=gates.balanced_accuracy),
                MetricGate(metric="log_loss", maximum=gates.log_loss),
            ),
        ),
        "bias": BiasPolicy(
            attributes=audited.attributes,
            edges=dict(audited.edges),
            metric="accuracy",
            max_difference=_ACCURACY_DIFFERENCE,
            min_group_rows=gates.min_group_rows,
            small_groups="report",
        ),
        "serving": ServingPolicy(fallback_class=next(iter(target.label.counts))),
        "canary": _canary("wrong_label"),
        "monitoring": MonitoringPolicy(metric="balanced_accuracy"),
    }


def _of_amounts(target: AmountDraft, draft: ModelDraft) -> dict[str, Any]:
    """What judges a regression, and answers for it."""
    audited, gates = draft.audited, target.gates
    return {
        "evaluation": EvaluationPolicy(
            min_rows=gates.min_rows,
            gates=(MetricGate(metric="mae", maximum=gates.mae),),
            conformal=None
            if gates.tolerance is None
            else ConformalPolicy(tolerance=gates.tolerance),
        ),
        "bias": ErrorBiasPolicy(
            attributes=audited.attributes,
            edges=dict(audited.edges),
            max_difference=gates.max_difference,
            min_group_rows=gates.min_group_rows,
            small_groups="report",
        ),
        "serving": ServingPolicy(fallback_score=target.label.median),
        "canary": _canary("absolute_error"),
        "monitoring": MonitoringPolicy(metric="mae"),
    }


def _canary(event: Event) -> CanaryPolicy:
    """Wrong labels are judged by group as well; a tiny group is listed, as in the bias audit."""
    metrics = (
        CanaryMetric(event="error", margin=1.5, required=False),
        CanaryMetric(event=event, margin=1.15),
    )
    if event != "wrong_label":
        return CanaryPolicy(metrics=metrics)
    return CanaryPolicy(metrics=metrics, groups=CanaryGroupPolicy(small_groups="report"))


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
        raise not_written(
            f"the model would not pass `tenure check`: {'; '.join(problems)}.",
            "Mend what is named, or say it differently.",
        )
    return model
