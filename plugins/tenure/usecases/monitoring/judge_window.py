"""Scans a window and judges it: one scan for drift and quality, one for the labelled kinds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.installation import Installation
from tenure.layout import OUTCOMES, log_prefix
from tenure.lifecycle.monitoring import LABELLED, UNLABELLED, Kind
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.monitoring.window import WatchedModel
from tenure.verdicts import Report

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.lifecycle.monitoring.window import Window


def judge(
    platform: Installation,
    engine: "IbisEngine",
    watched: WatchedModel,
    window: "Window",
    kinds: Sequence[Kind],
) -> dict[Kind, Report]:
    """One scan for drift and quality, one for performance and fairness."""
    found: dict[Kind, Report] = {}
    if set(kinds) & set(UNLABELLED):
        found |= _judge_features(platform, engine, watched, window)
    if set(kinds) & set(LABELLED):
        found |= _judge_outcomes(platform, engine, watched, window)
    return {kind: found[kind] for kind in kinds}


def _judge_features(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel, window: "Window"
) -> dict[Kind, Report]:
    from tenure.lifecycle.monitoring.drift import bin_edges, judge_drift, shifts
    from tenure.lifecycle.monitoring.quality import judge_quality

    config, facts = watched.config, watched.row["facts"]
    reference = [reference_file(platform, facts)]
    numeric = [f"f_{name}" for name in watched.numeric] + ["score"]
    shares = [i / config.monitoring.bins for i in range(config.monitoring.bins + 1)]
    quantiles = engine.quantiles(reference, numeric, shares)
    ranges = {
        f"f_{name}": seen for name, seen in facts.get("ranges", {}).items() if has_both_bounds(seen)
    }
    edges = {
        name: bin_edges(quantiles[name], (0.0, 1.0) if name == "score" else ranges.get(name))
        for name in numeric
    }
    sides = engine.features(
        reference,
        watched.decisions(window.after, window.until),
        edges=edges,
        categorical=[f"f_{name}" for name in watched.categorical],
    )
    bare = [_without_prefix(side) for side in sides]
    about = {"subject": watched.name, "facts": _facts(watched, window)}
    known = {name: list(values) for name, values in facts.get("categories", {}).items()}
    policy = config.monitoring
    drifted = shifts(bare[0], bare[1], policy)
    return {
        "drift": judge_drift(drifted, policy, **_kind(about, "drift")),
        "quality": judge_quality(
            bare[0], bare[1], policy, categories=known, **_kind(about, "quality")
        ),
    }


def _judge_outcomes(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel, window: "Window"
) -> dict[Kind, Report]:
    from tenure.lifecycle.monitoring.fairness import judge_fairness
    from tenure.lifecycle.monitoring.performance import SCORE_BINS, judge_performance

    config = watched.config
    carried = {*watched.numeric, *watched.categorical}
    visible = [name for name in config.bias.attributes if name in carried]
    keys = live_keys(platform.store, log_prefix(OUTCOMES, config.name))
    counts = engine.outcomes(
        watched.decisions(window.after, window.until),
        [platform.store.fetch(key) for key in keys],
        attributes=[f"f_{name}" for name in visible],
        bins=SCORE_BINS,
    )
    about = {"subject": watched.name, "facts": _facts(watched, window)}
    seed = config.training.seed
    return {
        "performance": judge_performance(
            counts,
            config.monitoring,
            holdout=watched.row["facts"].get("metrics", {}),
            seed=seed,
            **_kind(about, "performance"),
        ),
        "fairness": judge_fairness(
            counts,
            config.bias,
            visible=visible,
            min_label_coverage=config.monitoring.min_label_coverage,
            seed=seed,
            today=platform.clock.now().date(),
            **_kind(about, "fairness"),
        ),
    }


def reference_file(platform: Installation, facts: dict[str, Any]) -> Path:
    """The scored holdout of the version, checked by its digest."""
    return platform.store.fetch(facts["holdout_key"], facts.get("holdout_digest"))


def has_both_bounds(values: Sequence[Any]) -> bool:
    """Whether no bound is missing."""
    return len(values) == 2 and all(value is not None for value in values)


def _without_prefix(counts: Any) -> Any:
    """Feature names as the YAML has them, for people."""
    from dataclasses import fields, replace

    named = {
        f.name: {k.removeprefix("f_"): v for k, v in getattr(counts, f.name).items()}
        for f in fields(counts)
        if f.name != "rows"
    }
    return replace(counts, **named)


def _kind(about: dict[str, Any], kind: Kind) -> dict[str, Any]:
    return {"subject": about["subject"], "facts": {**about["facts"], "kind": kind}}


def _facts(watched: WatchedModel, window: "Window") -> dict[str, Any]:
    facts = watched.row["facts"]
    return {
        "model": watched.row["model"],
        "version": watched.row["version"],
        "window": [window.after.isoformat(), window.until.isoformat()],
        "decisions": window.decisions,
        "watermark": watched.watermark.isoformat() if watched.watermark else None,
        "config_digest": watched.config_digest,
        "reference_digest": facts.get("holdout_digest"),
        "artifact_digest": watched.row["artifact_digest"],
    }
