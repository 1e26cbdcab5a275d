"""Draws a sample of a drift window beside its report, after the verdict stands."""

import logging
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.layout import drawn_key
from tenure.usecases.monitoring.judge_window import reference_file
from tenure.usecases.monitoring.window import WatchedModel, judged_rows
from tenure.usecases.serving.subject_keys import any_sealed

if TYPE_CHECKING:
    from tenure.adapters.sql.monitoring import JudgedWindow

_log = logging.getLogger("tenure.monitoring")


def draw_missing(
    platform: Installation, watched: WatchedModel, results: "list[JudgedWindow]"
) -> list[str]:
    """Draw the drift windows that have no picture yet; a failure is a warning, never an error.

    Personal features are not drawn: a picture shows single values, and could not be erased.
    """
    if any_sealed(watched.paths):
        return []
    keys = []
    for result in results:
        if result.kind != "drift" or result.model_version_id != watched.row.id:
            continue
        key = drawn_key(result.report_digest)
        try:
            if not platform.store.exists(key):
                platform.store.put(key, _drawn(platform, watched, result))
            keys.append(key)
        except Exception as error:  # the verdict stands; a picture is worth no red task
            cause = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            _log.warning("drawing=failed report=%s cause=%s", result.report_digest, cause)
    return keys


def _drawn(platform: Installation, watched: WatchedModel, result: "JudgedWindow") -> bytes:
    from tenure.adapters.evidently_reporter import draw
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        judged = monitoring.judged_before(connection, watched.row.id, before=result.id)
    before = judged.get(result.kind)
    engine = IbisEngine()
    numeric = [f"f_{name}" for name in watched.numeric]
    categorical = [f"f_{name}" for name in watched.categorical]
    sides = (
        [reference_file(platform, watched.row.facts)],
        watched.decisions(result.window_end, judged_rows(platform, result.model, before)),
    )
    samples = [
        engine.sample(
            side,
            numeric=numeric,
            categorical=categorical,
            rows=watched.config.monitoring.report_rows,
            seed=watched.config.training.seed,
        )
        for side in sides
    ]
    bare = [{k.removeprefix("f_"): v for k, v in sample.items()} for sample in samples]
    return draw(*bare, numeric=watched.numeric, categorical=watched.categorical)
