"""Looks at the rows that a version learned from, for its bias audit: groups, labels, proxies.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tenure.adapters.sql import training
from tenure.config import ModelConfig, load_dataset
from tenure.errors import ObjectMissing
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow
from tenure.usecases.training import fitting
from tenure.verdicts import Check, Report, Severity, Verdict, worst
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.training_rows import TrainingRows

_SHOWN = 3


def with_training_data(
    platform: Installation, config: ModelConfig, row: VersionRow, report: Report, run: RunRef
) -> Report:
    """The audit of a version with what its training rows say of the groups.

    They are read again, as the evaluation does. Where a snapshot is no longer in the store the
    report says so in place of the numbers; a limit of the YAML is then not judged, so the audit is
    inconclusive at best.

    Raises:
        ArtifactRefused: A snapshot is not the bytes that were published.
        ConfigInvalid: The dataset's columns are no longer those that were trained on.
    """
    with platform.database.begin() as connection:
        snapshots = training.snapshots_of(connection, row.id)
    dataset, _ = load_dataset(platform.settings.include, config.dataset)
    try:
        rows = fitting.read(platform, config, dataset, snapshots, run=run)
    except ObjectMissing as error:
        said = f"the training rows cannot be read again: {error.what}"
        facts = {**report.facts, "training_data": {"not_judged": said}}
        missed = tuple(_unread(config))
        return replace(
            report,
            verdict=worst([report.verdict, *(check.verdict for check in missed)]),
            summary=f"{report.summary}; {said}",
            checks=(*missed, *report.checks),
            facts=facts,
        )
    return add_training_data(config, report, fitting.split_rows(config, rows).train)


def _unread(config: ModelConfig) -> Iterator[Check]:
    """A limit that the YAML states is not kept by rows that nobody can look at."""
    limit = config.bias.max_proxy_auc
    for name in () if limit is None else config.bias.attributes:
        yield Check(
            rule="proxies",
            verdict=Verdict.INCONCLUSIVE,
            observed="the training rows cannot be read again",
            allowed=f"area under the ROC curve at most {limit:g}",
            subject=name,
            columns=(name,),
            limit=limit,
        )


def add_training_data(config: ModelConfig, report: Report, rows: "TrainingRows") -> Report:
    """The same report, with the facts and checks of the rows before the holdout."""
    from tenure.lifecycle.training.bias.proxies import judge_proxies
    from tenure.lifecycle.training.bias.training_data import describe, views_of_rows

    bias = config.bias
    edges: Mapping[str, Sequence[float]] = getattr(bias, "edges", {})
    views = views_of_rows(rows.protected, bias.attributes, edges, intersections=bias.intersections)
    described = describe(list(views), rows.labels, min_rows=bias.min_group_rows)
    found = _proxies(config, rows, edges)
    checks = tuple(judge_proxies(found, bias.max_proxy_auc))
    decisive = [c.verdict for c in checks if c.severity is Severity.CRITICAL]
    stated = described | {"proxies": [one.facts() for one in found], "seed": config.training.seed}
    verdict, said = worst([report.verdict, *decisive]), _summary(described, checks)
    summary = f"{report.summary}; {said}"
    if verdict is not report.verdict:
        summary = f"bias audit {verdict} for its {said}; on the holdout: {report.summary}"
    return replace(
        report,
        verdict=verdict,
        summary=summary,
        checks=(*checks, *report.checks) if decisive else (*report.checks, *checks),
        facts={**report.facts, "training_data": stated},
    )


def _proxies(
    config: ModelConfig, rows: "TrainingRows", edges: Mapping[str, Sequence[float]]
) -> list[Any]:
    """Of each attribute, from at most so many rows."""
    import numpy as np

    from tenure.adapters.proxy_learner import learn_groups
    from tenure.adapters.single_columns import coded
    from tenure.adapters.training_rows import pick
    from tenure.lifecycle.serving.date_parts import with_day_numbers
    from tenure.lifecycle.training.bias.proxies import MAX_ROWS, find_proxies
    from tenure.lifecycle.training.bias.training_data import grouped

    seed, number = config.training.seed, len(rows.labels)
    if number > MAX_ROWS:
        drawn = np.random.default_rng(seed).choice(number, MAX_ROWS, replace=False)
        rows = pick(rows, np.sort(drawn))
    codes = coded(with_day_numbers(rows.features, config.features.dates))
    return [
        find_proxies(
            grouped(rows.protected, (name,), edges), codes, seed=seed, together=learn_groups
        )
        for name in config.bias.attributes
    ]


def _summary(described: Mapping[str, Any], checks: Sequence[Check]) -> str:
    """What the rows say, in a sentence."""
    from tenure.lifecycle.training.bias.cells import group_name

    gaps = [one for one in described["label_gaps"] if len(one["by"]) == 1]
    told = [
        f"{gap['by'][0]} {group_name(tuple(gap['lowest']))} to "
        f"{group_name(tuple(gap['highest']))} {_difference(gap)}"
        for gap in sorted(gaps, key=lambda one: -one["difference"])[:_SHOWN]
    ]
    few = len(described["too_few"])
    said = [f"labels differ most from {', '.join(told)}"] if told else []
    said += [f"{few} groups have fewer than {described['min_group_rows']:,} rows"] if few else []
    said += [f"{c.subject} is given away: {c.observed}" for c in checks if c.verdict == "failed"]
    return f"{described['rows']:,} training rows: {'; '.join(said) or 'nothing to name'}"


def _difference(gap: Mapping[str, Any]) -> str:
    ratio = "" if gap["ratio"] is None else f" (ratio {gap['ratio']:.3f})"
    return f"by {gap['difference']:.3f}{ratio}"
