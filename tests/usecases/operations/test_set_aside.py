"""In every loop over many items, what one of them meets is told and holds up no other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from tenure.adapters.sql import (
    decommissions,
    maintenance,
    outbox,
    reviews,
    versions,
)
from tenure.adapters.sql import feedback as feedback_table
from tenure.errors import ServiceUnreachable, StateConflict
from tenure.installation import Installation
from tenure.usecases.decisions import feedback, outcome_intake, segments
from tenure.usecases.decisions import reviews as review_queue
from tenure.usecases.incidents import outbox as outbox_use_case
from tenure.usecases.monitoring import retraining
from tenure.usecases.operations import maintain, reconcile
from tenure.usecases.promotion import conditions, rollback
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service
RUN = RunRef("maintain_platform", "r1", "maintain")
ITEMS = ("a", "b", "c")


@dataclass
class Work:
    """What a loop does with each item; one of them raises."""

    platform: Installation
    bad: str | None
    error: Exception | str
    done: list[str] = field(default_factory=list)

    def on(self, item: str) -> None:
        if item == self.bad:
            if isinstance(self.error, str):
                with self.platform.database.begin() as connection:
                    connection.execute(text(self.error))
            else:
                raise self.error
        self.done.append(item)


@dataclass(frozen=True)
class Loop:
    """How a loop is run over three items: what gives them, and what does the work."""

    run: Callable[[Installation, Any], object]
    patch: Callable[[Work], dict[tuple[Any, str], Any]]


class Registry:
    """MLflow, whose answer about one model is the work."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def get_aliases(self, model: str) -> dict[str, int]:
        self.work.on(model)
        return {}


def named(**more: Any) -> list[SimpleNamespace]:
    return [SimpleNamespace(name=item, model=item, **more) for item in ITEMS]


def given(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def retirement(work: Work) -> Callable[..., Any]:
    def of(_: Any, model: str, __: Any) -> Any:
        return SimpleNamespace(resume=lambda *_: work.on(model) or ["step"])

    return of


def retrained(work: Work) -> Callable[..., Any]:
    def decide(_: Any, config: Any, *__: Any) -> Any:
        work.on(config.name)
        return SimpleNamespace(action="nothing", sentence="")

    return decide


LOOPS = {
    "aliases": Loop(
        lambda platform, work: reconcile._aliases(platform, Registry(work)),  # type: ignore[arg-type]
        lambda _: {(maintenance, "aliases"): given(named(wanted={}, earlier={}))},
    ),
    "stops of canaries": Loop(
        lambda platform, _: rollback.settle_stops(platform),
        lambda work: {
            (maintenance, "stopped_canaries"): given(
                [SimpleNamespace(version_id=item, gateway="gw") for item in ITEMS]
            ),
            (rollback, "_settle"): lambda _, stop: work.on(stop.version_id) or True,
        },
    ),
    "canaries without controller": Loop(
        lambda platform, _: reconcile._canaries(platform),
        lambda work: {
            (maintenance, "canaries_without_controller"): given(named()),
            (reconcile, "_report_orphan"): lambda _, one: work.on(one.name),
        },
    ),
    "retirements": Loop(
        lambda platform, _: reconcile._retirements(platform, None, RUN),  # type: ignore[arg-type]
        lambda work: {
            (decommissions, "unfinished"): given(named(version=1)),
            (reconcile, "decommissioning"): retirement(work),
        },
    ),
    "retrain requests": Loop(
        lambda platform, work: maintain._requests(
            platform,
            SimpleNamespace(has_active_run=lambda dag: work.on(dag.split("__")[0]) or True),  # type: ignore[arg-type]
        ),
        lambda _: {(maintenance, "running_requests"): given(named(id=1, model_version_id=1))},
    ),
    "killed tasks": Loop(
        lambda platform, _: maintain._watch(
            platform,
            SimpleNamespace(failed_tasks=given([])),  # type: ignore[arg-type]
        ),
        lambda work: {
            (maintain, "silent_deaths"): given(
                [
                    SimpleNamespace(
                        dag_id=item,
                        task_id="t",
                        run_id="r",
                        key=(item, "r", "t", -1),
                        map_index=-1,
                        tries=1,
                        ended_at=None,
                        host="",
                        owner=None,
                    )
                    for item in ITEMS
                ]
            ),
            (maintain, "save"): lambda _, __, run: work.on(run.dag_id),
        },
    ),
    "compaction": Loop(
        lambda platform, _: segments.compact(platform),
        lambda work: {
            (segments, "folders"): given([SimpleNamespace(path=item) for item in ITEMS]),
            (segments, "LOGS"): ("decisions",),
            (segments, "_tend"): lambda *given: work.on(given[-1].path),
        },
    ),
    "reviews": Loop(
        lambda platform, _: review_queue.expire(platform),
        lambda work: {
            (reviews, "expiring"): given(ITEMS),
            (review_queue, "_expire"): lambda _, model, __: work.on(model) or 1,
        },
    ),
    "feedback": Loop(
        lambda platform, _: feedback.join(platform),
        lambda work: {
            (feedback_table, "models_due"): given(ITEMS),
            (feedback, "_join"): lambda _, model, __: (
                work.on(model) or feedback.FeedbackCounts(1, 0, 0)
            ),
        },
    ),
    "authorizations": Loop(
        lambda platform, _: conditions.watch(platform),
        lambda work: {
            (versions, "models"): given(["m"]),
            (versions, "in_state"): given(named()),
            (conditions, "_watch"): lambda _, version: work.on(version.name) or [],
        },
    ),
    "outcomes": Loop(
        lambda platform, _: outcome_intake.take_outcomes(platform, RUN),
        lambda work: {
            (outcome_intake, "_waiting"): given(
                [
                    SimpleNamespace(
                        name=item,
                        faults=(),
                        snapshot=None,
                        config=SimpleNamespace(name=item, outcome_rule=None),
                    )
                    for item in ITEMS
                ]
            ),
            (outcome_intake, "_take"): lambda _, model, *__: work.on(model) or (1, 0),
        },
    ),
    "messages": Loop(
        lambda platform, _: outbox_use_case.deliver(platform),
        lambda work: {
            (outbox, "pending"): given(ITEMS),
            (outbox_use_case, "_one"): lambda _, __, message, ___: work.on(message) or True,
        },
    ),
    "retraining": Loop(
        lambda platform, _: retraining.decide_all(platform, RUN),
        lambda work: {
            (retraining, "load_all"): given(
                SimpleNamespace(problems=[], models={one.name: one for one in named()})
            ),
            (retraining, "_decide"): retrained(work),
        },
    ),
}
"""Monitoring: `tests/usecases/monitoring/test_former_versions.py`; gateways: `tests/gateway`."""
ERRORS: dict[str, Exception | str] = {
    "ours": StateConflict("late", still_safe="all", next_step="look"),
    "value": ValueError("a\x00b\ud800"),
    "disk": OSError(5, "Input/output error"),
    "transaction": "SELECT 1 / 0",
    "one lock": ServiceUnreachable("Somebody holds a lock.", still_safe="all", next_step="ask"),
}


@contextmanager
def patched(replaced: dict[tuple[Any, str], Any]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), value in replaced.items():
            patch.setattr(module, name, value)
        yield


def open_subjects(platform: Installation) -> list[str]:
    with platform.database.begin() as connection:
        query = "SELECT subject FROM incident WHERE state = 'open'"
        return list(connection.execute(text(query)).scalars())


def run(platform: Installation, loop: Loop, bad: str | None, error: Exception | str) -> list[str]:
    work = Work(platform, bad, error)
    with patched(loop.patch(work)):
        loop.run(platform, work)
    return work.done


@pytest.mark.parametrize("loop", LOOPS)
def test_the_others_are_done_an_incident_says_which_and_it_is_tried_again(
    platform: Installation, loop: str
) -> None:
    for kind, error in ERRORS.items():
        for bad in ITEMS[:2] if kind == "one lock" else ITEMS:  # the last one ends the part
            done = run(platform, LOOPS[loop], bad, error)
            assert done == [item for item in ITEMS if item != bad], (kind, bad)
            (told,) = open_subjects(platform)
            assert bad in told.replace("version", "").replace("at gw", ""), (kind, bad)
            assert run(platform, LOOPS[loop], None, error) == [*ITEMS]
            assert open_subjects(platform) == [], (kind, bad)
