"""Data Docs beside a validation's report: drawn where it was judged, stored once it is committed.

They decide nothing. What goes wrong here is a warning in the log; the page then shows none.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tenure.config import DatasetConfig
from tenure.failpoints import failpoint
from tenure.layout import drawn_key
from tenure.lifecycle.data.sensitivity import hidden_columns
from tenure.ports import ObjectStore

DOCS = "docs"
"""Name, beside the pinned file, of the drawing."""
_log = logging.getLogger("tenure.ingestion")


def draw_docs(
    dataset: DatasetConfig, batch: str, results: Sequence[Mapping[str, Any]], place: Path
) -> None:
    """Draw GX's results in the process that has GX loaded already: it takes a tenth of a second.

    Nothing is drawn when the suite was not asked.
    """
    from tenure.adapters.gx_docs import draw

    if not results:
        return
    try:
        failpoint("ingest.drawing")
        hidden = hidden_columns(dataset.contract, dataset.sensitivity)
        place.write_bytes(draw(dataset.suite, batch, results, hidden=hidden))
    except Exception as error:  # the verdict stands; a picture is worth no red task
        _warn(batch, error)


def store_docs(store: ObjectStore, digest: str, place: Path) -> None:
    """Put the drawing beside the report that it belongs to."""
    key = drawn_key(digest)
    try:
        failpoint("ingest.drawn")
        if place.exists() and not store.exists(key):
            store.put_file(key, place)
    except Exception as error:
        _warn(digest, error)


def _warn(what: str, error: Exception) -> None:
    cause = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    _log.warning("drawing=failed of=%s cause=%s", what, cause)
