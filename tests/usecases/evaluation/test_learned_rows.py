"""A version whose feature knows the label is refused, whatever its metrics say."""

from typing import Any

import numpy as np
import pytest

from tenure.errors import GateFailed
from tenure.usecases.evaluation import evidence
from tenure.vocabulary import State

LABELS = np.random.default_rng(5).random(400) < 0.4


def trained(world: Any, income: Any) -> None:
    for month in (1, 2):
        world.publish(month, rows=400, ok=LABELS.tolist(), income=income.tolist())
    world.request()
    world.plan()
    world.train()


def test_the_label_shifted_by_one_row_is_named_and_refused(world: Any) -> None:
    trained(world, np.roll(LABELS, 1).astype(float))
    with pytest.raises(GateFailed, match=r"leak:target income tells the label of the row before"):
        world.evaluate()
    assert world.versions()[0].state is State.REJECTED


def test_an_accepted_leak_stands_in_the_report(world: Any) -> None:
    world.state("accepted_leaks: {income: the form asks for it first}", "max_overfit_gap: 0.2")
    trained(world, LABELS.astype(float))
    world.evaluate()
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    told = {check.name: check.observed for check in report.checks}
    assert told["leak:target (info)"].endswith("accepted: the form asks for it first")
    assert told["overfit"] == "roc_auc 1.0000 learned, 1.0000 held out"
    assert report.facts["leaks"]["rows"] == 800  # type: ignore[index]
