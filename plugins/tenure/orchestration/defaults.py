"""Settings that every DAG shares, so that a DAG file only wires."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import CronTriggerTimetable

from tenure.notifications.alerts import FailureNotifier, GreenNotifier

if TYPE_CHECKING:
    from tenure.config import DatasetConfig, ModelConfig

START = datetime(2013, 1, 1, tzinfo=UTC)
"""Before any data; with catchup off it only says that schedules are in force."""

PRIORITY = {
    "maintenance": 100,
    "canary": 80,
    "monitoring": 40,
    "retraining": 40,
    "decommission": 20,
    "ingestion": 20,
    "new_model": 20,
    "training": 1,
    "batch_scoring": 1,
}
"""Which task gets the next free slot, by stage: what people on call wait for comes first. Airflow's
own 1 for a stage that is not of Tenure."""

IF_THIS_FAILS = """
**If this fails**

1. Open the red task and its tab *Tenure*: what happened, what is still safe, the next step.
2. Serving does not depend on this DAG: gateways keep the last traffic plan by themselves.
3. Clearing any task here is safe at any time: work that was done is found and not done twice.

More: `docs/oncall.md`, one heading for each kind of error.
"""


def dag_settings(
    *,
    stage: str,
    doc: str | None,
    model: ModelConfig | None = None,
    dataset: DatasetConfig | None = None,
    retries: int = 2,
    **overrides: Any,
) -> dict[str, Any]:
    """Keyword arguments for `@dag(dag_id=…, schedule=…, **dag_settings(…))`.

    Args:
        stage: Stem of the stage, for the tag `stage:` and the priority.
        doc: The DAG file's docstring; "If this fails" is appended when it does not hold one.
        model: Whose DAG this is; gives owner, `model:` and `tier:`.
        dataset: Whose DAG this is; gives the owner and `dataset:`.
        retries: Further tries; the pause before them doubles from 10 seconds to 5 minutes at most.
            Errors that cannot heal do not use them.
        overrides: Win over everything here; `default_args` are merged.
    """
    default_args: dict[str, Any] = {
        "owner": getattr(model or dataset, "owner", "platform"),
        "retries": retries,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": 2.0,  # a factor; True would be 1
        "max_retry_delay": timedelta(minutes=5),
        "on_failure_callback": FailureNotifier(),
        "on_success_callback": GreenNotifier(),
        "priority_weight": PRIORITY.get(stage, 1),
        "weight_rule": "absolute",
        **_placement(stage, model),
    }
    settings: dict[str, Any] = {
        "start_date": START,
        "catchup": False,
        "max_active_runs": 1,
        "is_paused_upon_creation": False,
        "tags": tags(stage=stage, model=model, dataset=dataset),
        "doc_md": doc_md(doc),
    }
    default_args |= overrides.pop("default_args", {})
    return settings | overrides | {"default_args": default_args}


def _placement(stage: str, model: ModelConfig | None) -> dict[str, Any]:
    """Pool and queue that the model's YAML names for a stage.

    A config that an older Tenure remembered, since its YAML is broken, has no `workers`.
    """
    where = getattr(getattr(model, "workers", None), stage, None)
    if where is None:
        return {}
    named = {"pool": where.pool, "queue": where.queue}
    return {"pool_slots": where.slots, **{k: v for k, v in named.items() if v is not None}}


def tags(
    *, stage: str, model: ModelConfig | None = None, dataset: DatasetConfig | None = None
) -> list[str]:
    """`stage:`, `tier:` and whose it is: `model:`, `dataset:` or `platform`."""
    mine = [f"model:{model.name}"] if model else []
    mine += [f"dataset:{dataset.name}"] if dataset else []
    tier = model.risk_tier if model else "platform"
    return [*(mine or ["platform"]), f"stage:{stage}", f"tier:{tier}"]


def doc_md(doc: str | None) -> str:
    """Markdown that ends with the section **If this fails**: its own, else the usual one."""
    text = (doc or "").strip()
    return text if "**If this fails**" in text else f"{text}\n\n{IF_THIS_FAILS.strip()}"


def schedule(cron: str) -> CronTriggerTimetable:
    """A timetable in UTC; a sixth field means seconds (`* * * * * */20`)."""
    return CronTriggerTimetable(cron, timezone="UTC")
