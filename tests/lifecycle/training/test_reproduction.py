"""What differs between two trainings is named, one by one; nothing that differs passes."""

from dataclasses import replace
from typing import Any

import pytest

from tenure.lifecycle.model_version import Environment
from tenure.lifecycle.training.reproduction import Trained, compare

HERE = Environment("3.12.3", "Linux x86_64", {"numpy": "2.3.1", "scikit-learn": "1.9.1"})
STORED = Trained("a" * 64, "p" * 64, {"brier": 0.2}, {"train": 9}, HERE, "c" * 64, "l" * 64)
OTHER = replace(HERE, packages={"numpy": "2.3.1", "scikit-learn": "1.8.0", "scipy": "1.17.0"})


@pytest.mark.parametrize(
    ("changes", "verdict", "says"),
    [
        ({}, "passed", "it is the same: predictions pppppppppppp, 1 metrics, model aaaaaaaaaaaa"),
        ({"metrics": {"brier": 0.2 + 1e-16}}, "failed", "brier differs; the environment is the sa"),
        ({"metrics": {}}, "failed", "brier differs"),
        ({"metrics": {"brier": 0.2, "ece": 0.1}}, "failed", "ece differs"),
        ({"rows": {"train": 8}}, "failed", "rows.train differs"),
        (
            {"artifact_digest": "b" * 64, "predictions_digest": "q" * 64},
            "failed",
            "predictions_digest, artifact_digest differ;",
        ),
        (
            {"environment": OTHER},
            "passed",
            "the environment is another: scikit-learn 1.9.1, here 1.8.0, scipy absent, here 1.17.0",
        ),
        (
            {"artifact_digest": "b" * 64, "lock_digest": "m" * 64, "code_digest": "d" * 64},
            "failed",
            "artifact_digest differs; the environment is another: lock_digest llllllllllll, here "
            "mmmmmmmmmmmm, code_digest cccccccccccc, here dddddddddddd",
        ),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], verdict: str, says: str) -> None:
    report = compare("m@1", STORED, replace(STORED, **changes))
    assert str(report.verdict) == verdict
    assert says in report.summary
    passed = [str(check.verdict) == "passed" for check in report.checks]
    assert passed == sorted(passed)


def test_an_answer_is_read_back() -> None:
    said = {
        "artifact_digest": "a" * 64,
        "predictions_digest": "p" * 64,
        "metrics": {"brier": 0.2},
        "rows": {"train": 9},
        "environment": vars(HERE),
    }
    assert Trained.from_answer(said, code_digest="c" * 64, lock_digest="l" * 64) == STORED
    with pytest.raises(TypeError):
        Trained.from_answer(said | {"more": 1}, code_digest="c" * 64, lock_digest="l" * 64)
