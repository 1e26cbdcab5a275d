"""The tables that `tenure bias-audit` prints of the rows that a version learned from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LABELS = ("label_rate", "label_mean")


def training_tables(
    facts: Mapping[str, Any],
) -> Iterator[tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """Headers and rows, of groups and of what gives them away; none of a file's audit."""
    found = facts.get("training_data")
    if found is None or "groups" not in found:
        return
    groups = [
        (_name(one), f"{one['n']:,}", f"{one['share']:.1%}", *_labels(one))
        for one in found["groups"]
    ]
    yield ("group (training rows)", "n", "share", "labels", "interval"), groups
    yield ("attribute", "told by", "best told group", "ROC AUC", "interval"), list(_proxies(found))


def mitigation_table(
    facts: Mapping[str, Any],
) -> Iterator[tuple[Sequence[str], Sequence[Sequence[str]]]]:
    """A version beside the same training without its mitigation; none without one."""
    found = facts.get("mitigation")
    if found is None:
        return
    rows = [("verdict", found["before"]["verdict"], found["after"]["verdict"], "")]
    sides = (found["before"]["comparisons"], found["after"]["comparisons"])
    for before, after in zip(*sides, strict=True):
        kind = "ratio" if before["rule"] == "min_ratio" else "difference"
        name = f"{' & '.join(before['by'])} {before['metric']} {kind}"
        rows.append((name, _number(before[kind]), _number(after[kind]), ""))
    for one in found["costs"]:
        better = f"better by {one['better_by']:+.4f} {_interval(one['interval'])}".strip()
        rows.append((one["metric"], _number(one["before"]), _number(one["after"]), better))
    yield (f"{found['method']} of {', '.join(found['attributes'])}", "before", "after", ""), rows


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _name(one: Mapping[str, Any]) -> str:
    from tenure.lifecycle.training.bias.cells import group_name

    return f"{' & '.join(one['by'])}={group_name(tuple(one['value']))}"


def _labels(one: Mapping[str, Any]) -> tuple[str, str]:
    """Rate or mean with its interval; the rates of several classes."""
    if "label_rates" in one:
        return ", ".join(f"{name} {rate:.3f}" for name, rate in one["label_rates"].items()), ""
    value = next(one[key] for key in _LABELS if key in one)
    return f"{value:.4f}", _interval(one["interval"])


def _proxies(found: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    for one in found["proxies"]:
        if one["is_feature"]:
            yield one["attribute"], "itself: it is a feature", "", "", ""
        for told in one["told_by"]:
            yield (
                one["attribute"],
                told["feature"] or "all features together",
                told["group"],
                f"{told['roc_auc']:.4f}",
                _interval(told["interval"]),
            )
        if one["left_out"]:
            yield one["attribute"], "not looked at", ", ".join(one["left_out"]), "", ""


def _interval(ends: Sequence[float] | None) -> str:
    return "" if ends is None else f"[{ends[0]:.4f}, {ends[1]:.4f}]"
