"""Every way in which a gate can ask for less is named; asking for more is not."""

from typing import Any

import pytest

from tenure.lifecycle.training.bias.policy import BiasPolicy
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy
from tenure.lifecycle.training.lowered_gates import lowered_bias, lowered_evaluation

EXCUSE = {"mode": "report_only", "reason": "new data", "expires": "2026-12-01"}
AUC = {"metric": "roc_auc", "minimum": 0.6}
EVALUATION = {"min_rows": 500, "gates": [AUC, {"metric": "ece", "maximum": 0.1}]}
BIAS = {
    "attributes": ["sex", "race"],
    "min_ratio": 0.8,
    "max_difference": 0.2,
    "max_proxy_auc": 0.8,
}
SETS = {"conformal": {"coverage": 0.9, "tolerance": 0.02}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, [], id="the same"),
        pytest.param({"min_rows": 499}, ["evaluation: at least 500 rows, now 499"], id="rows"),
        pytest.param({"min_rows": 501}, [], id="more rows"),
        pytest.param(
            {"gates": [AUC]}, ["ece: at most 0.1, now not judged"], id="a gate that is gone"
        ),
        pytest.param(
            {"gates": [{**AUC, "minimum": 0.55}, EVALUATION["gates"][1]]},  # type: ignore[index]
            ["roc_auc: at least 0.6, now at least 0.55"],
            id="a lower floor",
        ),
        pytest.param(
            {"gates": [{**AUC, "minimum": 0.7}, {"metric": "ece", "maximum": 0.2}]},
            ["ece: at most 0.1, now at most 0.2"],
            id="a higher floor, and a higher ceiling",
        ),
        pytest.param(
            {"gates": [{"metric": "roc_auc", "maximum": 0.6}, {"metric": "ece", "maximum": 0.0}]},
            ["roc_auc: at least 0.6, now at most 0.6"],
            id="a floor that became a ceiling",
        ),
        pytest.param(
            {"gates": EVALUATION["gates"][::-1]},  # type: ignore[index]
            ["evaluation: versions were compared by roc_auc, now by ece"],
            id="the KPI that comparisons are by",
        ),
        pytest.param(
            {"champion_margin": 0.02},
            ["evaluation: champion_margin 0.01, now 0.02"],
            id="a wider margin",
        ),
        pytest.param({"champion_margin": 0.0, "min_uplift": 0.1}, [], id="stricter comparisons"),
        pytest.param(
            {"min_uplift": None}, ["evaluation: min_uplift 0, now none"], id="no uplift needed"
        ),
        pytest.param(
            {"accepted_leaks": {"age": "asked before"}},
            ["evaluation: age may look like a leak now (asked before)"],
            id="an accepted leak",
        ),
        pytest.param(
            {"costs": {"false_positive": 1, "false_negative": 10}},
            [
                "evaluation: errors cost nothing that is declared, now 1 for a wrong yes and 10 "
                "for a wrong no"
            ],
            id="other costs",
        ),
        pytest.param(
            EXCUSE, ["evaluation: enforced, now excused until 2026-12-01 (new data)"], id="excused"
        ),
    ],
)
def test_evaluation(changes: dict[str, Any], said: list[str]) -> None:
    before = EvaluationPolicy.model_validate(EVALUATION)
    now = EvaluationPolicy.model_validate(EVALUATION | changes)
    assert list(lowered_evaluation(before, now)) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (SETS, []),
        ({"conformal": {"coverage": 0.95, "tolerance": 0.01}}, []),
        (
            {"conformal": {"coverage": 0.8, "tolerance": 0.1}},
            [
                "evaluation: conformal.coverage 0.9, now 0.8",
                "evaluation: conformal.tolerance 0.02, now 0.1",
            ],
        ),
        (
            {"conformal": None},
            ["evaluation: the coverage of sets or intervals was judged, now it is not"],
        ),
    ],
)
def test_promised_coverage(changes: dict[str, Any], said: list[str]) -> None:
    before = EvaluationPolicy.model_validate(EVALUATION | SETS)
    now = EvaluationPolicy.model_validate(EVALUATION | changes)
    assert list(lowered_evaluation(before, now)) == said
    assert list(lowered_evaluation(EvaluationPolicy.model_validate(EVALUATION), now)) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, [], id="the same"),
        pytest.param({"min_ratio": 0.7}, ["bias: min_ratio 0.8, now 0.7"], id="ratio"),
        pytest.param({"min_ratio": None}, ["bias: min_ratio 0.8, now none"], id="no ratio"),
        pytest.param({"min_ratio": 0.9, "max_difference": 0.1}, [], id="stricter"),
        pytest.param({"max_proxy_auc": 0.9}, ["bias: max_proxy_auc 0.8, now 0.9"], id="proxies"),
        pytest.param(
            {"max_difference": 0.3}, ["bias: max_difference 0.2, now 0.3"], id="difference"
        ),
        pytest.param(
            {"attributes": ["sex"]}, ["bias: race was judged, now it is not"], id="attribute"
        ),
        pytest.param(
            {"intersections": False},
            ["bias: intersections of attributes were judged, now they are not"],
            id="intersections",
        ),
        pytest.param(
            {"metric": "true_positive_rate"},
            ["bias: judged by selection_rate, now by true_positive_rate"],
            id="metric",
        ),
        pytest.param(
            {"reference": {"sex": "m"}},
            ["bias: compared with the best-off group, now with sex=m"],
            id="reference",
        ),
        pytest.param(
            {"positive": ["a", "b"]},
            ["bias: selected was each class, now it is a, b"],
            id="positive classes",
        ),
        pytest.param(
            {"edges": {"race": [1, 2]}},
            ["bias: bands from no edges, now from race 1, 2"],
            id="bands",
        ),
        pytest.param(
            {"min_group_rows": 1000},
            ["bias: groups from 100 rows on were judged, now from 1,000"],
            id="group rows",
        ),
        pytest.param(
            {"small_groups": "report"},
            ["bias: small groups made it inconclusive, now they are only reported"],
            id="small groups",
        ),
        pytest.param(
            EXCUSE, ["bias: enforced, now excused until 2026-12-01 (new data)"], id="excused"
        ),
    ],
)
def test_bias(changes: dict[str, Any], said: list[str]) -> None:
    before, now = (BiasPolicy.model_validate(one) for one in (BIAS, BIAS | changes))
    assert list(lowered_bias(before, now)) == said
    assert not said or list(lowered_bias(now, before)) != said


def test_a_decision_that_is_taken_back() -> None:
    decision = {"why": "the law", "by": "ada", "until": "2026-12-01"}
    before, now = (BiasPolicy.model_validate(b) for b in (BIAS | {"decision": decision}, BIAS))
    assert list(lowered_bias(before, now)) == ["bias: decided by ada, now by nobody"]
    assert list(lowered_bias(now, before)) == []
