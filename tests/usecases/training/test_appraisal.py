"""What the evaluation of a version says, from a real training on."""

from typing import Any

import pytest

from tenure.errors import GateFailed


def test_scores_that_are_no_probabilities_fail_with_numbers(world: Any) -> None:
    path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    gate = "gates: [{metric: ece, maximum: 0.001}, "
    path.write_text(path.read_text().replace("gates: [", gate))
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    with pytest.raises(GateFailed, match=r"kpi:ece 0\.\d+ > 0\.001"):
        world.evaluate()
