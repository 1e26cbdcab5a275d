"""Draws a sample of a drift window beside its report, after the verdict stands."""

import logging
from typing import TYPE_CHECKING, Any

from tenure.wiring.base import Platform
from tenure.wiring.monitoring.judging import reference_file
from tenure.wiring.monitoring.watched import Watched

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine

_log = logging.getLogger("tenure.monitoring")


def drawing_key(digest: str) -> str:
    """Where the picture of a report lies in the object store, beside its JSON."""
    return f"reports/{digest[:2]}/{digest}.html"


def draw_missing(
    platform: Platform, engine: "IbisEngine", watched: Watched, results: list[dict[str, Any]]
) -> None:
    """Draw the drift windows of this run that have no picture yet; never raises."""
    for result in results:
        key = drawing_key(result["report_digest"])
        if result["kind"] != "drift":
            continue
        try:
            if not platform.store.exists(key):
                platform.store.put(key, _drawn(platform, engine, watched, result))
        except Exception as error:  # the verdict stands; a picture is worth no red task
            cause = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            _log.warning("drawing=failed report=%s cause=%s", result["report_digest"], cause)


def _drawn(
    platform: Platform, engine: "IbisEngine", watched: Watched, result: dict[str, Any]
) -> bytes:
    from tenure.adapters.evidently_reporter import draw

    columns: dict[str, Any] = {
        "numeric": [f"f_{name}" for name in watched.numeric],
        "categorical": [f"f_{name}" for name in watched.categorical],
        "rows": watched.config.monitoring.report_rows,
        "seed": watched.config.training.seed,
    }
    sides = (
        [reference_file(platform, watched.row["facts"])],
        watched.decisions(result["window_start"], result["window_end"]),
    )
    samples = [
        {k.removeprefix("f_"): v for k, v in engine.sample(side, **columns).items()}
        for side in sides
    ]
    return draw(*samples, numeric=watched.numeric, categorical=watched.categorical)
