"""The audit of a version says who was in its training rows, and what gives groups away."""

from typing import Any

import numpy as np
import pytest

from tenure.errors import GateFailed
from tenure.usecases.evaluation import evidence
from tenure.usecases.evaluation.training_data_audit import with_training_data
from tenure.usecases.training.planning import pinned_config
from tenure.verdicts import Verdict

pytestmark = pytest.mark.service


def stated(world: Any) -> Any:
    report = evidence.stored(world.platform, world.row().bias_report)
    assert report is not None
    return report


def test_the_report_states_groups_labels_and_proxies(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.life()
    report = stated(world)
    found = report.facts["training_data"]
    rows = world.row().facts.rows
    assert found["rows"] == rows.train
    assert sum(one["n"] for one in found["groups"]) == rows.train
    assert {one["value"][0] for one in found["groups"]} == {"f", "m"}
    [race] = found["proxies"]
    assert race["told_by"][0]["feature"] is None
    assert {one["feature"] for one in race["told_by"][1:]} == {"branch", "income"}
    assert f"; {rows.train} training rows: labels differ most from sex " in report.summary
    assert (
        report.to_dict()
        == evidence.bias_report(
            world.platform, world.versions()[0], world.run("r2", "audit")
        ).to_dict()
    )


def test_a_proxy_beyond_its_limit_stops_the_version(world: Any) -> None:
    world.configure(difference=1.0, excuse="max_proxy_auc: 0.7")
    for month in (1, 2):
        world.publish(month, unfair=True)
    world.request()
    world.plan()
    world.train()
    world.evaluate()
    says = r"sex is given away: all features together tell [fm] with 1.000; by itself branch tells"
    with pytest.raises(GateFailed, match=says):
        world.audit()


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [("", Verdict.PASSED), ("max_proxy_auc: 0.9", Verdict.INCONCLUSIVE)],
    ids=["nothing is asked of them", "a limit cannot be judged"],
)
def test_rows_that_are_gone_are_said_to_be_gone(world: Any, limit: str, verdict: Verdict) -> None:
    world.configure(excuse=limit)
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.life()
    row, report = world.row(), stated(world)
    for digest in row.facts.snapshots:
        for key in list(world.platform.store.list(f"snapshots/loans/{digest}")):
            world.platform.store.delete(key)
    run = world.run("r3", "audit")
    found = with_training_data(world.platform, pinned_config(world.platform, row), row, report, run)
    assert "cannot be read again" in found.facts["training_data"]["not_judged"]  # type: ignore[index]
    assert (report.verdict, found.verdict) == (Verdict.PASSED, verdict)
    assert np.all([check in found.checks for check in report.checks])
