"""The decision map of a model: who decides what from which threshold on, and where people come in.

It is drawn from what decides: the signed facts of the version that serves, the traffic plan, and
the model's YAML as it is now, which gateways follow. The procedure (SOP) is text of the YAML, so
that each version keeps the one of its day.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from tenure.config import ModelConfig, load_model, parse_model
from tenure.errors import ArtifactRefused, ConfigInvalid
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionFacts, VersionRow
from tenure.lifecycle.serving import ServingPolicy

if TYPE_CHECKING:
    from tenure.adapters.sql.version_page import ConfiguredVersion
    from tenure.lifecycle.serving import TrafficPlan

DecidedBy = Literal["client", "gateway", "model", "rule", "person", "owner"]


@dataclass(frozen=True)
class DecisionPoint:
    """One place where something is decided.

    Args:
        title: What is decided.
        by: Who or what decides it.
        words: How, in a sentence.
        key: Of the YAML, or `facts` of the version, where it is said.
        exits: What leaves the way here: when, and who decides then.
    """

    title: str
    by: DecidedBy
    words: str
    key: str
    exits: Sequence[tuple[str, DecidedBy, str]] = ()


@dataclass(frozen=True)
class ScoreBands:
    """How a binary model's scores are decided: from the threshold on yes, unsure ones by people.

    Args:
        threshold: From here on the answer is yes.
        unsure: (low, high) of scores that a person looks at as well; None: none.
    """

    threshold: float
    unsure: tuple[float, float] | None


@dataclass(frozen=True)
class Procedure:
    """A text of the procedure, and the versions that were trained under it.

    Args:
        text: As it stands in the YAML; empty where that has none.
        versions: Numbers, ascending; none for the YAML of now where no version has it yet.
        since: When the first of them was planned; None of the YAML of now.
        is_now: Whether the YAML says so now.
        diff: Lines changed since the text before; empty of the first.
    """

    text: str
    versions: tuple[int, ...]
    since: datetime | None
    is_now: bool
    diff: tuple[str, ...]


@dataclass(frozen=True)
class DecisionMap:
    """The page.

    Args:
        model: Its name.
        owner: Who answers for it.
        points: In the order in which a request meets them.
        bands: Of scores; None unless it is binary and a version serves.
        champion: Number of the version that serves; None before the first.
        trouble: Why something cannot be drawn; empty where all is.
        procedures: The newest first.
    """

    model: str
    owner: str
    points: Sequence[DecisionPoint]
    bands: ScoreBands | None
    champion: int | None
    trouble: str
    procedures: Sequence[Procedure]

    @property
    def serving_procedure(self) -> Procedure | None:
        """That of the version that serves."""
        return next((one for one in self.procedures if self.champion in one.versions), None)


def decision_map(platform: Installation, model: str) -> DecisionMap | None:
    """The map; None when there is no such model."""
    from tenure.adapters.sql import overview, plans, version_page

    with platform.database.begin() as connection:
        found = overview.model(connection, model)
        if found is None:
            return None
        plan = plans.newest(connection, model)
        known = version_page.configured(connection, model)
        number = version_page.champion_number(connection, model)
        row = version_page.row_of(connection, model, number) if number is not None else None
    trouble, config, facts = "", None, None
    try:
        config = load_model(platform.settings.include, model)[0]
        facts = row.facts if row else None
    except (ConfigInvalid, ArtifactRefused) as error:
        trouble = error.what
    return DecisionMap(
        model=model,
        owner=found.about.owner,
        points=list(points(config, row, facts, plan)) if config else [],
        bands=bands(facts, config.serving) if config and facts else None,
        champion=number,
        trouble=trouble,
        procedures=procedures(known, config.procedure or "" if config else None),
    )


def points(
    config: ModelConfig,
    row: VersionRow | None,
    facts: VersionFacts | None,
    plan: "TrafficPlan | None",
) -> Iterator[DecisionPoint]:
    """Every place where something is decided, in the order in which a request meets them."""
    serving = config.serving
    yield DecisionPoint(
        "Is the request one that may be decided?",
        "gateway",
        "Names, types and sizes are checked, and the key of the client.",
        "serving.on_…",
        [_refusals(serving)],
    )
    yield _routing(row, plan)
    yield _model_decides(config, facts)
    yield _without_model(config)
    yield _review(config)
    yield DecisionPoint(
        "Is the answer followed?",
        "client",
        f"The answer goes to {_consumers(config)}. Whoever acts on it may accept it, override it "
        "or call it wrong, the last two with a reason: by program (scope `feedback`), or as an "
        "operator on the feedback page. The decision in the log stays as it was.",
        "consumers",
    )
    policy = config.monitoring.feedback
    yield DecisionPoint(
        "Is it overridden too often?",
        "owner",
        f"Monitoring tells {config.owner} when people surely object to more than "
        f"{policy.max_share:.0%} of the decisions of {policy.days} days, or in one segment surely "
        f"more than {policy.max_ratio:g} times as often as elsewhere.",
        "monitoring.feedback",
    )


def _refusals(serving: ServingPolicy) -> tuple[str, DecidedBy, str]:
    stated = {
        "a category that training did not have": serving.on_unseen_category,
        "a number outside of what training saw": serving.on_out_of_range,
        "a feature without a value": serving.on_null,
        "a missing feature": serving.on_missing_feature,
        "a feature that the model does not have": serving.on_extra_feature,
    }
    refused = [name for name, what in stated.items() if what == "reject"]
    return ("it has " + _listed(refused), "gateway", "refuses it (422): nothing is decided")


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "a malformed body"
    return ", ".join(names[:-1]) + (" or " if names[1:] else "") + names[-1]


def _routing(row: VersionRow | None, plan: "TrafficPlan | None") -> DecisionPoint:
    if row is None or plan is None:
        words = "No version has traffic yet."
        return DecisionPoint("Which version answers?", "gateway", words, "traffic plan")
    canary = ""
    if plan.canary_id is not None:
        canary = f" A canary has {plan.share_bp / 100:g}% of the subjects, while its lease holds."
    return DecisionPoint(
        "Which version answers?",
        "gateway",
        f"Version {row.version} is champion, authorized until "
        f"{plan.champion_until:%Y-%m-%d}.{canary}",
        "traffic plan",
        [("its authorization ended", "gateway", "asks no model; see below who answers")],
    )


def _model_decides(config: ModelConfig, facts: VersionFacts | None) -> DecisionPoint:
    title, key = "What is the answer?", "evaluation"
    if facts is None:
        return DecisionPoint(title, "model", "No version serves, so no model decides.", key)
    if config.task == "regression":
        words = "The answer is the predicted number"
        if facts.interval is not None:
            words += f", with an interval that promises to hold {facts.interval.coverage:.0%}"
        return DecisionPoint(title, "model", words + ".", "evaluation.conformal")
    if config.task == "multiclass":
        cheapest = "the class whose expected cost is lowest"
        words = cheapest if facts.class_costs else "the most probable class"
        names = _listed(facts.class_names)
        return DecisionPoint(title, "model", f"{words.capitalize()} of {names}.", key)
    chosen = "the costs chose it" if config.evaluation.costs else "as declared"
    by_group = config.mitigation is not None and config.mitigation.method == "group_thresholds"
    more = " Each group has a threshold of its own inside the model." if by_group else ""
    words = f"Yes from a score of {facts.threshold:.4g} on, else no ({chosen}).{more}"
    return DecisionPoint(title, "model", words, "facts.threshold")


def _without_model(config: ModelConfig) -> DecisionPoint:
    serving = config.serving
    when = (
        f"no model answers within {serving.timeout_seconds:g} s, or it fails, or its authorization "
        "ended"
    )
    if config.task == "multiclass" and serving.fallback_class is not None:
        rule: tuple[str, DecidedBy, str] = (when, "rule", f"answers {serving.fallback_class!r}")
    elif config.task != "multiclass" and serving.fallback_score is not None:
        rule = (when, "rule", f"answers as if the score were {serving.fallback_score:g}")
    else:
        rule = (when, "person", "decides in the review queue; the answer is negative until then")
    if config.task == "multiclass" and serving.fallback_class is None:
        rule = (when, "person", "decides in the review queue")
    return DecisionPoint(
        "Did a model answer?",
        "gateway",
        "The answer names the level that gave it: model, champion (for a canary), rule or review.",
        "serving.fallback_class" if config.task == "multiclass" else "serving.fallback_score",
        [rule],
    )


def _review(config: ModelConfig) -> DecisionPoint:
    least = config.serving.review_below_confidence
    if least is None:
        words = "No decision of a model goes to a person because it is unsure."
        return DecisionPoint(
            "Is the model sure?", "gateway", words, "serving.review_below_confidence"
        )
    return DecisionPoint(
        "Is the model sure?",
        "gateway",
        f"The answer is given at once; below a confidence of {least:.0%} a person looks as well.",
        "serving.review_below_confidence",
        [
            (
                f"confidence below {least:.0%}",
                "person",
                f"an operator answers within {config.serving.review_hours:g} h, else what was "
                "answered stands",
            )
        ],
    )


def _consumers(config: ModelConfig) -> str:
    names = [one.name for one in config.consumers]
    return ", ".join(names) if names else "the clients (the YAML names no consumer)"


def bands(facts: VersionFacts, serving: ServingPolicy) -> ScoreBands | None:
    """Which scores are a yes, and which ones a person looks at as well.

    Below the threshold the confidence is 1 - score, from it on the score itself.
    """
    if facts.threshold is None:
        return None
    least = serving.review_below_confidence
    if least is None:
        return ScoreBands(facts.threshold, None)
    low, high = min(1 - least, facts.threshold), max(least, facts.threshold)
    return ScoreBands(facts.threshold, (low, high) if low < high else None)


def procedures(known: "Sequence[ConfiguredVersion]", now: str | None) -> list[Procedure]:
    """Each text with the versions of it in a row, the newest first.

    Args:
        known: Versions with their YAML, oldest first.
        now: The text of the YAML now; None where that cannot be read.
    """
    runs: list[tuple[str, list[ConfiguredVersion]]] = []
    for one in known:
        text = _text_of(one.body)
        if text is None:
            continue
        if runs and runs[-1][0] == text:
            runs[-1][1].append(one)
        else:
            runs.append((text, [one]))
    if now is not None and (not runs or runs[-1][0] != now):
        runs.append((now, []))
    found, before = [], None
    for number, (text, versions) in enumerate(runs):
        found.append(
            Procedure(
                text=text,
                versions=tuple(one.version for one in versions),
                since=versions[0].created_at if versions else None,
                is_now=now is not None and number == len(runs) - 1,
                diff=() if before is None else _diff(before, text),
            )
        )
        before = text
    return [one for one in reversed(found) if one.text or one.diff]


def _text_of(body: str | None) -> str | None:
    """None where the YAML of then is not known, or is none by the rules of now."""
    try:
        return None if body is None else parse_model(body).procedure or ""
    except ConfigInvalid:
        return None


def _diff(before: str, text: str) -> tuple[str, ...]:
    lines = difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=1)
    return tuple(lines)[2:]
