"""Scans a window and judges it: one scan for drift and quality, one for the labelled kinds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionFacts
from tenure.lifecycle.monitoring import LABELLED, UNLABELLED, Kind
from tenure.lifecycle.training.bias import BiasPolicy, ErrorBiasPolicy
from tenure.ports import DecisionFilter, FeatureCounts
from tenure.usecases.monitoring.window import WatchedModel, outcome_files
from tenure.verdicts import Report
from tenure.vocabulary import State

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.sql.monitoring import JudgedBefore
    from tenure.lifecycle.monitoring.window import Window
    from tenure.lifecycle.training.evaluation.policy import ConformalPolicy

T = TypeVar("T")


@dataclass(frozen=True)
class DueWindow:
    """A window with the scan that takes its decisions.

    Args:
        window: Its time and how its decisions add up.
        decisions: Takes them.
        selection: Digest of which segments they are of, and how many of each.
        segments: Names of these segments.
        before: What was judged before; a result is stored only as long as that is so.
    """

    window: "Window"
    decisions: DecisionFilter
    selection: str
    segments: tuple[str, ...]
    before: "JudgedBefore | None"


def count_or_judge(
    platform: Installation,
    engine: "IbisEngine",
    watched: WatchedModel,
    due: DueWindow,
    kinds: Sequence[Kind],
) -> dict[Kind, Report]:
    """What is left of a version that serves no more is only counted when it cannot be judged."""
    from tenure.lifecycle.monitoring.window import count_rest

    minimum = watched.config.monitoring.min_decisions
    needs = ""
    if watched.row.state is State.DELETED:
        needs = "its reference was deleted"
    elif not watched.serves and due.window.decisions < minimum:
        needs = f"{minimum:,} are needed to judge them"
    if not needs:
        return judge(platform, engine, watched, due, kinds)
    return {
        kind: _with_remarks(
            count_rest(
                kind,
                due.window,
                needs,
                subject=watched.name,
                facts=_facts(watched, due.window, kind),
            )
        )
        for kind in kinds
    }


def judge(
    platform: Installation,
    engine: "IbisEngine",
    watched: WatchedModel,
    due: DueWindow,
    kinds: Sequence[Kind],
) -> dict[Kind, Report]:
    """One scan for drift and quality, one for performance and fairness."""
    found: dict[Kind, Report] = {}
    if set(kinds) & set(UNLABELLED):
        found |= _judge_features(platform, engine, watched, due)
    if set(kinds) & set(LABELLED):
        found |= _judge_outcomes(platform, engine, watched, due)
    return {kind: _with_remarks(found[kind]) for kind in kinds}


def _with_remarks(report: Report) -> Report:
    remarks = report.facts["remarks"]
    if not remarks:
        return report
    return replace(report, summary=f"{report.summary.removesuffix('.')}. {remarks}")


def _judge_features(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel, due: DueWindow
) -> dict[Kind, Report]:
    from tenure.lifecycle.monitoring.distributions import pictured
    from tenure.lifecycle.monitoring.drift import judge_drift, shifts
    from tenure.lifecycle.monitoring.quality import judge_quality

    columns = counted_columns(platform, engine, watched)
    sides = engine.features(
        columns.reference,
        due.decisions,
        edges=columns.edges,
        categorical=columns.categorical,
        dates=columns.dates,
    )
    bare = [without_prefix(side) for side in sides]
    known, edges = columns.known, columns.edges
    policy, window = watched.config.monitoring, due.window
    drifted = shifts(bare[0], bare[1], policy, known)
    shown = pictured(
        bare[0],
        bare[1],
        policy,
        edges=_bare(edges),
        known=known,
        is_sealed=engine.opened is not None,
    )
    return {
        "drift": judge_drift(
            drifted, policy, subject=watched.name, facts=_facts(watched, window, "drift") | shown
        ),
        "quality": judge_quality(
            bare[0],
            bare[1],
            policy,
            categories=known,
            subject=watched.name,
            facts=_facts(watched, window, "quality"),
        ),
    }


@dataclass(frozen=True)
class CountedColumns:
    """How the features of a version are counted, as the decision files name them.

    Args:
        reference: The scored holdout.
        edges: Of the bins of numeric columns and of the score.
        categorical: Columns that are counted by value.
        dates: Columns that are there or null.
        known: Values that training saw, by feature.
    """

    reference: Sequence[Path]
    edges: Mapping[str, Sequence[float]]
    categorical: Sequence[str]
    dates: Sequence[str]
    known: Mapping[str, list[str]]


def counted_columns(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel
) -> CountedColumns:
    """By the version's own evidence, whatever the YAML says by now; bins as the YAML asks."""
    from tenure.lifecycle.monitoring.drift import bin_edges

    config, facts = watched.config, watched.row.facts
    reference = [reference_file(platform, facts)]
    numeric = [f"f_{name}" for name in watched.numeric] + ["score"]
    shares = [i / config.monitoring.bins for i in range(config.monitoring.bins + 1)]
    quantiles = engine.quantiles(reference, numeric, shares)
    ranges = {f"f_{name}": seen for name, seen in facts.ranges.items()}
    if facts.task != "regression":  # the predictions of a regression have no bounds
        ranges["score"] = (0.0, 1.0)
    known = {name: list(values) for name, values in facts.categories.items()}
    if facts.classes:
        known["answer"] = list(facts.class_names)
    return CountedColumns(
        reference,
        {name: bin_edges(quantiles[name], ranges.get(name)) for name in numeric},
        [*(f"f_{name}" for name in watched.categorical), *(["answer"] if facts.classes else [])],
        [f"f_{name}" for name in watched.dates],
        known,
    )


def _judge_outcomes(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel, due: DueWindow
) -> dict[Kind, Report]:
    config = watched.config
    carried = {*watched.numeric, *watched.categorical, *watched.dates}
    visible = [name for name in config.bias.attributes if name in carried]
    files = outcome_files(platform, config.name)
    window = due.window
    found = engine.outcome_sum(due.decisions, files, watched.every)
    said = f"{window.remarks()} {found.remarks()}".strip()
    sums = {"outcomes": asdict(found), "remarks": said}
    facts: dict[Kind, dict[str, object]] = {
        kind: _facts(watched, window, kind) | sums for kind in LABELLED
    }
    today = platform.clock.now().date()
    if isinstance(config.bias, ErrorBiasPolicy):
        return _of_errors(
            engine, watched, due, files, facts, policy=config.bias, visible=visible, today=today
        )
    if config.task == "multiclass":
        return _of_classes(
            engine, watched, due, files, facts, policy=config.bias, visible=visible, today=today
        )
    from tenure.lifecycle.monitoring.fairness import judge_fairness
    from tenure.lifecycle.monitoring.performance import SCORE_BINS, judge_performance

    counts = engine.outcomes(
        due.decisions,
        files,
        attributes=[f"f_{name}" for name in visible],
        bins=SCORE_BINS,
    )
    seed = config.training.seed
    return {
        "performance": judge_performance(
            counts,
            config.monitoring,
            holdout=watched.row.facts.metrics,
            seed=seed,
            subject=watched.name,
            facts=facts["performance"],
        ),
        "fairness": judge_fairness(
            counts,
            config.bias,
            visible=visible,
            min_label_coverage=config.monitoring.min_label_coverage,
            seed=seed,
            today=today,
            subject=watched.name,
            facts=facts["fairness"],
        ),
    }


def _of_classes(
    engine: "IbisEngine",
    watched: WatchedModel,
    due: DueWindow,
    files: Sequence[Path],
    facts: Mapping[Kind, Mapping[str, object]],
    *,
    policy: BiasPolicy,
    visible: Sequence[str],
    today: date,
) -> dict[Kind, Report]:
    """Performance and fairness of a multiclass model, from one scan of classes."""
    from tenure.lifecycle.monitoring.classes import judge_class_fairness, judge_classes

    config = watched.config
    attributes = [f"f_{name}" for name in visible]
    counts = engine.classes(due.decisions, files, attributes=attributes)
    return {
        "performance": judge_classes(
            counts,
            config.monitoring,
            holdout=watched.row.facts.metrics,
            known=watched.row.facts.classes,
            seed=config.training.seed,
            subject=watched.name,
            facts=facts["performance"],
        ),
        "fairness": judge_class_fairness(
            counts,
            policy,
            visible=visible,
            min_label_coverage=config.monitoring.min_label_coverage,
            seed=config.training.seed,
            subject=watched.name,
            today=today,
            facts=facts["fairness"],
        ),
    }


def _of_errors(
    engine: "IbisEngine",
    watched: WatchedModel,
    due: DueWindow,
    files: Sequence[Path],
    facts: Mapping[Kind, Mapping[str, object]],
    *,
    policy: ErrorBiasPolicy,
    visible: Sequence[str],
    today: date,
) -> dict[Kind, Report]:
    """Performance and fairness of a regression, from one scan of errors."""
    from tenure.lifecycle.monitoring.errors import judge_error_fairness, judge_errors

    monitoring = watched.config.monitoring
    attributes = [f"f_{name}" for name in visible]
    counts = engine.errors(due.decisions, files, attributes=attributes)
    return {
        "performance": judge_errors(
            counts,
            monitoring,
            holdout=watched.row.facts.metrics,
            promised=promised_coverage(watched),
            subject=watched.name,
            facts=facts["performance"],
        ),
        "fairness": judge_error_fairness(
            counts,
            policy,
            visible=visible,
            min_label_coverage=monitoring.min_label_coverage,
            subject=watched.name,
            today=today,
            facts=facts["fairness"],
        ),
    }


def promised_coverage(watched: WatchedModel) -> "ConformalPolicy | None":
    """What the version's intervals promise, within what the model's YAML tolerates.

    It promises that also when the YAML asks for no intervals any more: by the usual tolerance.
    """
    from tenure.lifecycle.training.evaluation.policy import ConformalPolicy

    stated = watched.row.facts.interval
    if stated is None:
        return None
    policy = watched.config.evaluation.conformal or ConformalPolicy()
    return policy.model_copy(update={"coverage": stated.coverage})


def reference_file(platform: Installation, facts: VersionFacts) -> Path:
    """The scored holdout of the version, checked by its digest."""
    return platform.store.fetch(facts.holdout_key, facts.holdout_digest)


def without_prefix(counts: FeatureCounts) -> FeatureCounts:
    """Feature names as the YAML has them, for people."""
    return FeatureCounts(
        counts.rows,
        bins=_bare(counts.bins),
        categories=_bare(counts.categories),
        nulls=_bare(counts.nulls),
    )


def _bare(columns: Mapping[str, T]) -> dict[str, T]:
    return {name.removeprefix("f_"): value for name, value in columns.items()}


def _facts(watched: WatchedModel, window: "Window", kind: Kind) -> dict[str, object]:
    return {
        "kind": kind,
        "model": watched.row.model,
        "version": watched.row.version,
        "window": [window.after.isoformat(), window.until.isoformat()],
        "decisions": window.decisions,
        "sum": window.sums(),
        "remarks": window.remarks(),
        "watermark": watched.watermark.isoformat() if watched.watermark else None,
        "config_digest": watched.config_digest,
        "reference_digest": watched.row.facts.holdout_digest,
        "artifact_digest": watched.row.artifact_digest,
    }
