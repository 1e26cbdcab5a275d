"""What the command prints of training rows."""

from typing import Any

from tenure.cli.training_data import mitigation_table, training_tables

FACTS: dict[str, Any] = {
    "groups": [
        {"by": ["sex"], "value": [None], "n": 1200, "share": 0.6, "label_rate": 0.25,
         "interval": [0.2, 0.3]},
        {"by": ["sex"], "value": ["f"], "n": 800, "share": 0.4, "label_mean": 12.5,
         "interval": None},
        {"by": ["sex"], "value": ["m"], "n": 1, "share": 0.0, "label_rates": {"a": 0.5, "b": 0.5}},
    ],
    "proxies": [
        {"attribute": "sex", "is_feature": True, "told_by": [], "left_out": []},
        {"attribute": "race", "is_feature": False, "left_out": ["z"], "told_by": [
            {"feature": None, "group": "b", "roc_auc": 0.9, "interval": [0.8, 1.0]},
            {"feature": "zip", "group": "b", "roc_auc": 0.8, "interval": [0.7, 0.9]}]},
    ],
}  # fmt: skip


def test_groups_and_proxies_are_tables() -> None:
    (_, groups), (_, proxies) = training_tables({"training_data": FACTS})
    assert groups == [
        ("sex=(missing)", "1,200", "60.0%", "0.2500", "[0.2000, 0.3000]"),
        ("sex=f", "800", "40.0%", "12.5000", ""),
        ("sex=m", "1", "0.0%", "a 0.500, b 0.500", ""),
    ]
    assert proxies == [
        ("sex", "itself: it is a feature", "", "", ""),
        ("race", "all features together", "b", "0.9000", "[0.8000, 1.0000]"),
        ("race", "zip", "b", "0.8000", "[0.7000, 0.9000]"),
        ("race", "not looked at", "z", "", ""),
    ]


def test_a_file_has_no_training_rows() -> None:
    assert list(training_tables({})) == []
    assert list(training_tables({"training_data": {"not_judged": "gone"}})) == []


def test_both_models_stand_side_by_side() -> None:
    gap = {"metric": "selection_rate", "by": ["sex"], "rule": "min_ratio", "difference": 0.1}
    found = {
        "method": "reweighing",
        "attributes": ["sex"],
        "before": {"verdict": "failed", "comparisons": [gap | {"ratio": 0.7}]},
        "after": {"verdict": "passed", "comparisons": [gap | {"ratio": None}]},
        "costs": [
            {
                "metric": "accuracy",
                "before": 0.9,
                "after": 0.88,
                "better_by": -0.02,
                "interval": [-0.03, -0.01],
            }
        ],
    }
    [(header, rows)] = mitigation_table({"mitigation": found})
    assert header == ("reweighing of sex", "before", "after", "")
    assert rows == [
        ("verdict", "failed", "passed", ""),
        ("sex selection_rate ratio", "0.7000", "", ""),
        ("accuracy", "0.9000", "0.8800", "better by -0.0200 [-0.0300, -0.0100]"),
    ]
    assert list(mitigation_table({})) == []
