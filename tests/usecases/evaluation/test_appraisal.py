"""What the evaluation of a version says, from a real training on."""

from typing import Any

import pytest

from tenure.errors import GateFailed
from tenure.usecases.evaluation import evidence


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


def test_slices_of_features_and_protected_attributes_stand_in_the_report(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()
    world.evaluate()
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    slices: Any = report.facts["slices"]
    assert set(slices["by_column"]) == {"income", "branch", "sex"}
    assert {one["value"] for one in slices["by_column"]["sex"]} == {"f", "m"}
    rows = [sum(one["rows"] for one in stated) for stated in slices["by_column"].values()]
    assert rows == [100] * 3
    measured: Any = report.facts["metrics"]
    assert slices["overall"] == pytest.approx(measured["wrong_label_rate"])
