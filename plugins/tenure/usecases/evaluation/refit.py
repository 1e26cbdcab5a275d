"""Main module of the process that trains a version again: files in, an answer in a file, no more.

It knows no database, no store and no key. `reproduce` starts it with the name of a folder, which
holds the order and gets the answer.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.errors import TenureError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ORDER, ANSWER = "order.json", "answer.json"
"""Files in the folder of a process."""


def main(folder: Path) -> None:
    """Train, and write what came of it."""
    order = json.loads((folder / ORDER).read_text("utf-8"))
    try:
        answer: Mapping[str, Any] = _trained(order)
    except TenureError as error:
        answer = {"refused": [error.what, error.next_step]}
    (folder / ANSWER).write_text(json.dumps(answer), "utf-8")


def _trained(order: Mapping[str, Any]) -> dict[str, Any]:
    import io

    from tenure.adapters.training_rows import read_scores
    from tenure.config import parse_model
    from tenure.installation.provenance import environment
    from tenure.usecases.training.fitting import columns_of, fit_files
    from tenure.usecases.training.search import from_json
    from tenure.vocabulary import digest_bytes

    config = parse_model(order["config"])
    wanted = columns_of(config, time=order["time_column"], names=order["names"])
    fitted = fit_files(
        config,
        wanted,
        list(map(Path, order["paths"])),
        name=order["name"],
        choice=from_json(order["search"]),
    )
    return {
        "artifact_digest": digest_bytes(fitted.artifact),
        "predictions_digest": predictions_digest(read_scores(io.BytesIO(fitted.reference))[0]),
        "metrics": dict(fitted.facts.metrics),
        "rows": asdict(fitted.facts.rows),
        "environment": asdict(environment()),
    }


def predictions_digest(scores: "NDArray[np.float64]") -> str:
    """SHA-256 of the holdout's scores in their order, each as eight bytes, little-endian."""
    import numpy as np

    from tenure.vocabulary import digest_bytes

    return digest_bytes(np.asarray(scores, dtype="<f8").tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
