"""The process that trains again answers in a file, also when it refuses."""

import json
from pathlib import Path

import numpy as np

from tenure.usecases.evaluation import refit
from tenure.vocabulary import digest_bytes


def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / refit.ORDER).write_text(json.dumps({"config": "name: [broken"}))
    refit.main(tmp_path)
    (said,) = json.loads((tmp_path / refit.ANSWER).read_text()).values()
    assert said[0].startswith("config_revision")


def test_the_digest_is_of_eight_bytes_a_score() -> None:
    scores = np.array([0.25, 0.5])
    assert refit.predictions_digest(scores) == digest_bytes(
        bytes.fromhex("000000000000d03f000000000000e03f")
    )
    assert refit.predictions_digest(scores) != refit.predictions_digest(scores[::-1])
