"""Scores a version's holdout with the champion's artifact and compares the two, row by row.

Import it inside functions: it loads SQLAlchemy.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tenure.adapters.sql import versions
from tenure.config import ModelConfig
from tenure.errors import ArtifactRefused, ObjectMissing
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.training.evaluation import Appraisal
from tenure.usecases.training.planning import pinned_config
from tenure.vocabulary import State

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tenure.lifecycle.training.evaluation.metrics import Floats


def compare_with_champion(
    platform: Installation, config: ModelConfig, row: VersionRow, holdout: Path
) -> Appraisal:
    """What the paired comparison says; a champion that cannot be compared with is inconclusive.

    Args:
        platform: The installation.
        config: The version's.
        row: The version.
        holdout: Its scored holdout.
    """
    from tenure.lifecycle.training.evaluation.comparison import incomparable, without_champion

    with platform.database.begin() as connection:
        found = versions.in_state(connection, row.model, [State.CHAMPION])
        champion = versions.row_by_id(connection, found[0].id) if found else None
    if champion is None:
        return without_champion(row.model)
    try:
        return _compared(platform, config, row, champion, holdout)
    except KeyError as error:
        why = f"reads {error.args[0]}, which the version's holdout does not have"
    except (ArtifactRefused, ObjectMissing) as error:
        why = f"cannot be loaded: {error.what.rstrip('.')}"
    return incomparable(config.evaluation, champion.name, why)


def _compared(
    platform: Installation,
    config: ModelConfig,
    row: VersionRow,
    champion: VersionRow,
    holdout: Path,
) -> Appraisal:
    from tenure.adapters.sklearn_trainer import score
    from tenure.adapters.skops_artifacts import load_verified
    from tenure.adapters.training_rows import read_reference, time_span
    from tenure.lifecycle.training.evaluation.comparison import incomparable, judge_champion
    from tenure.lifecycle.training.evaluation.error_comparison import judge_error_champion
    from tenure.lifecycle.training.evaluation.paired import Scored

    theirs, facts = pinned_config(platform, champion), champion.facts
    if theirs.label.column != config.label.column or theirs.outcome_rule != config.outcome_rule:
        return incomparable(config.evaluation, champion.name, "was trained on another label")
    rows = read_reference(holdout, facts.features.numeric, facts.features.categorical)
    if _is_same_split(config, theirs) and facts.snapshots == row.facts.snapshots:
        unseen = np.ones(len(rows.labels), dtype=bool)
    else:
        their_holdout = platform.store.fetch(facts.holdout_key, facts.holdout_digest)
        unseen = unseen_rows(rows.times, time_span(their_holdout), str(theirs.training.split))
    estimator = load_verified(
        platform.store, champion, platform.settings.signing_key.with_suffix(".pub")
    )
    kept = rows.features[unseen].reset_index(drop=True)
    scores = score(estimator, kept) if len(kept) else rows.scores[unseen]
    if not len(kept) and facts.classes:
        scores = np.zeros((0, len(facts.classes)))
    labels, excluded = rows.labels[unseen], int((~unseen).sum())
    mine = row.facts.threshold
    if row.facts.classes and facts.classes:
        return _of_classes(
            (config, theirs),
            row,
            champion,
            (rows.scores[unseen], scores, labels),
            excluded=excluded,
        )
    if mine is None or facts.threshold is None:
        return judge_error_champion(
            config.evaluation,
            labels,
            rows.scores[unseen],
            scores,
            name=champion.name,
            excluded=excluded,
        )
    return judge_champion(
        config.evaluation,
        labels,
        Scored(rows.scores[unseen], mine),
        Scored(scores, facts.threshold),
        name=champion.name,
        excluded=excluded,
    )


def _of_classes(
    configs: tuple[ModelConfig, ModelConfig],
    row: VersionRow,
    champion: VersionRow,
    answered: "tuple[Floats, Floats, NDArray[np.str_]]",
    *,
    excluded: int,
) -> Appraisal:
    """Both versions on one list of classes: they may have learned others.

    Each answers by its own costs; what its answers cost is by those of the version.

    Args:
        configs: The version's and the champion's.
        row: The version.
        champion: The champion.
        answered: Probabilities of the version, of the champion, and the classes that came true.
        excluded: Rows of the holdout that the champion may have learned from.
    """
    from tenure.lifecycle.training.evaluation.class_comparison import judge_class_champion
    from tenure.lifecycle.training.evaluation.classes import answer_names, class_scores, spread

    *scores, labels = answered
    every = tuple(sorted(row.facts.classes.keys() | champion.facts.classes.keys()))
    both = [
        class_scores(
            every,
            spread(one, names, every),
            labels,
            answer_names(names, one, config.evaluation.class_costs),
        )
        for config, names, one in zip(
            configs, (row.facts.class_names, champion.facts.class_names), scores, strict=True
        )
    ]
    return judge_class_champion(
        configs[0].evaluation,
        both[0],
        both[1],
        name=champion.name,
        excluded=excluded,
    )


def _is_same_split(one: ModelConfig, other: ModelConfig) -> bool:
    """Whether the same rows give the same holdout."""
    fitted = {"estimator", "parameters"}
    mine, others = (c.training.model_dump(exclude=fitted) for c in (one, other))
    return mine == others and one.label == other.label


def unseen_rows(
    times: "NDArray[np.int64]", span: tuple[int, int] | None, split: str
) -> "NDArray[np.bool_]":
    """Rows that the champion cannot have learned from; none where rows have no time.

    A temporal split learned from rows before its holdout only, another one up to its end.

    Args:
        times: Of the rows, shape (n,).
        span: First and last moment of the champion's holdout.
        split: How the champion's rows were split.
    """
    if span is None:
        return np.zeros(len(times), dtype=bool)
    first, last = span
    return times >= first if split == "temporal" else times > last
