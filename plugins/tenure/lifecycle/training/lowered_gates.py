"""What a gate asks less of a version than of an earlier one, for whoever approves the version."""

from collections.abc import Iterator

from tenure.lifecycle.policy import GatePolicy
from tenure.lifecycle.training.bias.error_policy import ErrorBiasPolicy
from tenure.lifecycle.training.bias.policy import BiasPolicy
from tenure.lifecycle.training.evaluation.policy import (
    ClassErrorCosts,
    ConformalPolicy,
    DecisionCosts,
    EvaluationPolicy,
    MetricGate,
)


def lowered_evaluation(before: EvaluationPolicy, now: EvaluationPolicy) -> tuple[str, ...]:
    """Each limit of the evaluation gate that is weaker now, with both values."""
    return tuple(_evaluation(before, now))


BiasGate = BiasPolicy | ErrorBiasPolicy


def lowered_bias(before: BiasGate, now: BiasGate) -> tuple[str, ...]:
    """Each limit of the bias gate that is weaker now, with both values."""
    return tuple(_bias(before, now))


def _evaluation(before: EvaluationPolicy, now: EvaluationPolicy) -> Iterator[str]:
    yield from _excused("evaluation", before, now)
    if now.min_rows < before.min_rows:
        yield f"evaluation: at least {before.min_rows:,} rows, now {now.min_rows:,}"
    for gate in before.gates:
        same = [one for one in now.gates if one.metric == gate.metric]
        if not any(_is_as_strict(gate, one) for one in same):
            yield f"{gate.metric}: {_bound(gate)}, now {_bounds(same)}"
    was, by = before.gates[0].metric, now.gates[0].metric
    if was != by:
        yield f"evaluation: versions were compared by {was}, now by {by}"
    for name, sign in _EVALUATION_LIMITS.items():
        yield from _lower(
            f"evaluation: {name}", getattr(before, name), getattr(now, name), sign=sign
        )
    for name in sorted(now.accepted_leaks.keys() - before.accepted_leaks.keys()):
        yield f"evaluation: {name} may look like a leak now ({now.accepted_leaks[name]})"
    yield from _conformal(before.conformal, now.conformal)
    was_cost, costs = before.error_costs, now.error_costs
    if was_cost != costs:
        yield f"evaluation: errors cost {_costs(was_cost)}, now {_costs(costs)}"


def _conformal(before: ConformalPolicy | None, now: ConformalPolicy | None) -> Iterator[str]:
    """What sets of labels, or intervals, promise."""
    if before is None:
        return
    if now is None:
        yield "evaluation: the coverage of sets or intervals was judged, now it is not"
        return
    name = "evaluation: conformal."
    yield from _lower(f"{name}coverage", before.coverage, now.coverage, sign=1)
    yield from _lower(f"{name}tolerance", before.tolerance, now.tolerance, sign=-1)


_EVALUATION_LIMITS = {
    "min_uplift": 1,
    "champion_margin": -1,
    "max_duplicate_share": -1,
    "max_overfit_gap": -1,
}
"""Limits beside the gates: 1 is a floor, -1 a ceiling; without one nothing is judged."""


def _costs(costs: DecisionCosts | ClassErrorCosts | None) -> str:
    if costs is None:
        return "nothing that is declared"
    if isinstance(costs, ClassErrorCosts):
        named = [
            f"{cost:g} for {answer!r} instead of {true!r}"
            for true, row in sorted(costs.wrong.items())
            for answer, cost in sorted(row.items())
        ]
        return ", ".join([*named, f"{costs.other:g} for {'any other' if named else 'each'}"])
    return f"{costs.false_positive:g} for a wrong yes and {costs.false_negative:g} for a wrong no"


def _is_as_strict(before: MetricGate, now: MetricGate) -> bool:
    if before.minimum is not None:
        return now.minimum is not None and now.minimum >= before.minimum
    return before.maximum is not None and now.maximum is not None and now.maximum <= before.maximum


def _bound(gate: MetricGate) -> str:
    if gate.minimum is not None:
        return f"at least {gate.minimum:g}"
    return f"at most {gate.maximum:g}"


def _bounds(gates: list[MetricGate]) -> str:
    return " and ".join(map(_bound, gates)) or "not judged"


def _bias(before: BiasGate, now: BiasGate) -> Iterator[str]:
    yield from _excused("bias", before, now)
    dropped = [name for name in before.attributes if name not in now.attributes]
    if dropped:
        yield f"bias: {', '.join(dropped)} was judged, now it is not"
    if before.intersections and not now.intersections:
        yield "bias: intersections of attributes were judged, now they are not"
    if before.metric != now.metric:
        yield f"bias: judged by {before.metric}, now by {now.metric}"
    yield from _otherwise(before, now)
    if isinstance(before, BiasPolicy) and isinstance(now, BiasPolicy):
        if before.mitigation != now.mitigation:
            yield f"bias: mitigated by {_mitigated(before)}, now by {_mitigated(now)}"
        yield from _selected(before, now)
        yield from _lower("bias: min_ratio", before.min_ratio, now.min_ratio, sign=1)
    yield from _lower("bias: max_difference", before.max_difference, now.max_difference, sign=-1)
    yield from _lower("bias: max_proxy_auc", before.max_proxy_auc, now.max_proxy_auc, sign=-1)
    if now.min_group_rows > before.min_group_rows:
        yield (
            f"bias: groups from {before.min_group_rows:,} rows on were judged, now from "
            f"{now.min_group_rows:,}"
        )
    if before.small_groups == "inconclusive" and now.small_groups == "report":
        yield "bias: small groups made it inconclusive, now they are only reported"


def _otherwise(before: BiasGate, now: BiasGate) -> Iterator[str]:
    """What is judged in another way, which may be weaker."""
    if before.reference != now.reference:
        yield f"bias: compared with {_reference(before)}, now with {_reference(now)}"
    if before.edges != now.edges:
        yield f"bias: bands from {_bands(before)}, now from {_bands(now)}"
    if before.decision and not now.decision:
        yield f"bias: decided by {before.decision.by}, now by nobody"


def _mitigated(policy: BiasPolicy) -> str:
    one = policy.mitigation
    if one is None:
        return "nothing"
    said = f"{one.method} of {' and '.join(one.attributes)}"
    said += f" for {one.constraint}" if one.constraint else ""
    return f"{said}, decided by {one.decision.by}" if one.decision else said


def _selected(before: BiasPolicy, now: BiasPolicy) -> Iterator[str]:
    if before.positive != now.positive:
        was, by = (", ".join(one.positive) or "each class" for one in (before, now))
        yield f"bias: selected was {was}, now it is {by}"


def _bands(policy: BiasGate) -> str:
    named = (
        f"{name} {', '.join(f'{edge:g}' for edge in edges)}"
        for name, edges in sorted(policy.edges.items())
    )
    return "; ".join(named) or "no edges"


def _reference(policy: BiasGate) -> str:
    named = ", ".join(f"{name}={value}" for name, value in sorted(policy.reference.items()))
    return named or "the best-off group"


def _lower(name: str, before: float | None, now: float | None, *, sign: int) -> Iterator[str]:
    """`sign` is 1 for a floor and -1 for a ceiling."""
    if before is not None and (now is None or sign * now < sign * before):
        yield f"{name} {before:g}, now {'none' if now is None else f'{now:g}'}"


def _excused(stage: str, before: GatePolicy, now: GatePolicy) -> Iterator[str]:
    if before.mode == "enforce" and now.mode == "report_only":
        yield f"{stage}: enforced, now excused until {now.expires} ({now.reason})"
