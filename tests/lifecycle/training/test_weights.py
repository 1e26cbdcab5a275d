"""What each row counts."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.policy import TrainingPolicy
from tenure.lifecycle.training.weights import row_weights

LABELS = np.array([True, False, False, False])
MEANINGS = {"yes": True, "no": False}


@pytest.mark.parametrize(
    ("of_classes", "of_rows", "expected"),
    [
        (None, None, None),
        (None, [1, 2, 3, 0], [1, 2, 3, 0]),
        ("balanced", None, [2, 2 / 3, 2 / 3, 2 / 3]),
        ("balanced", [1, 3, 0, 3], [2, 2, 0, 2]),
        ({"yes": 5.0}, None, [5, 1, 1, 1]),
        ({"yes": 5.0, "no": 2.0}, [1, 0.5, 1, 1], [5, 1, 2, 2]),
    ],
)
def test_of_the_label_times_its_own(of_classes: Any, of_rows: Any, expected: Any) -> None:
    given = None if of_rows is None else np.array(of_rows, dtype=float)
    found = row_weights(of_classes, LABELS, MEANINGS, given)
    assert (None if found is None else found.tolist()) == expected


def test_more_classes_than_two_are_balanced_as_well() -> None:
    labels = np.array(["a", "b", "b", "c", "c", "c"])
    found = row_weights("balanced", labels, {}, None)
    assert found is not None
    assert [found[labels == one].sum() for one in "abc"] == pytest.approx([2, 2, 2])


def test_a_label_that_nothing_has_is_named() -> None:
    with pytest.raises(
        ConfigInvalid, match="names 'maybe', which is no label; there are 'yes', 'n"
    ):
        row_weights({"maybe": 2.0}, LABELS, MEANINGS, None)


@pytest.mark.parametrize(
    ("stated", "read"),
    [({True: 2}, {"true": 2.0}), ({1: 2, 0: 3}, {"1": 2.0, "0": 3.0}), ("balanced", "balanced")],
)
def test_labels_are_read_as_they_are_written_in_the_data(stated: Any, read: Any) -> None:
    assert TrainingPolicy(class_weight=stated).class_weight == read


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"class_weight": {"yes": 0}}, "class_weight of 'yes' is 0, not above 0"),
        ({"class_weight": "much"}, "class_weight"),
        ({"class_weight": "balanced", "parameters": {"class_weight": "balanced"}}, "keep one"),
        ({"waiver": {"by": "ada", "reason": "short", "expires": "2030-01-01"}}, "reason"),
    ],
)
def test_what_is_no_policy(stated: Any, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TrainingPolicy(**stated)
