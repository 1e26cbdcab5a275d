"""What a model's YAML may say about serving it."""

import pytest
from pydantic import ValidationError

from tenure.lifecycle.serving import ServingPolicy


@pytest.mark.parametrize(
    ("hours", "valid"),
    [(0.0, False), (0.1, True), (8_783.9, True), (8_784.0, True), (8_784.1, False), (1e9, False)],
)
def test_a_decision_waits_for_a_person_up_to_a_year(hours: float, valid: bool) -> None:
    """Beyond any calendar no date of expiry can be computed."""
    if valid:
        assert ServingPolicy(review_hours=hours).review_hours == hours
    else:
        with pytest.raises(ValidationError, match="review_hours"):
            ServingPolicy(review_hours=hours)
