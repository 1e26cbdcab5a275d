"""ONNX serves only where every decision and every score of the holdout stays."""

import numpy as np
import pytest

from tenure.lifecycle.training.parity import MIN_ROWS, compare, differences, report, unconvertible
from tenure.verdicts import Verdict

PASSED, FAILED, INCONCLUSIVE = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
STEP = 2.0**-10
"""Sums of it are exact."""


def scores(rows: int = MIN_ROWS, first: float = 0.25) -> np.ndarray:
    found = np.full(rows, 0.25)
    found[:1] = first
    return found


@pytest.mark.parametrize(
    ("name", "first", "tolerance", "verdict", "beyond"),
    [
        ("the same", 0.25, 0.0, PASSED, 0),
        ("below the tolerance", 0.25 + STEP, 2 * STEP, PASSED, 0),
        ("at the tolerance", 0.25 + STEP, STEP, PASSED, 0),
        ("above the tolerance", 0.25 + 2 * STEP, STEP, FAILED, 1),
        ("the other way", 0.25 - 2 * STEP, STEP, FAILED, 1),
        ("no number", np.nan, 0.01, FAILED, 1),
        ("infinite", np.inf, 0.01, FAILED, 1),
    ],
)
def test_scores(name: str, first: float, tolerance: float, verdict: Verdict, beyond: int) -> None:
    found = compare(scores(), [scores(first=first)], threshold=0.9, tolerance=tolerance)
    assert (found.verdict, found.rows_beyond) == (verdict, beyond), name


@pytest.mark.parametrize(
    ("name", "native", "by_onnx", "changed"),
    [
        ("both below", 0.5 - 2 * STEP, 0.5 - STEP, 0),
        ("both at or above", 0.5, 0.5 + STEP, 0),
        ("falls below", 0.5, 0.5 - STEP, 1),
        ("reaches it", 0.5 - STEP, 0.5, 1),
    ],
)
def test_decisions(name: str, native: float, by_onnx: float, changed: int) -> None:
    """A changed decision fails however near the scores are."""
    one, other = scores(first=native), scores(first=by_onnx)
    found = compare(one, [other], threshold=0.5, tolerance=STEP)
    assert found.rows_beyond == 0
    assert (found.decisions_changed, found.verdict) == (changed, FAILED if changed else PASSED)


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (0, INCONCLUSIVE),
        (MIN_ROWS - 1, INCONCLUSIVE),
        (MIN_ROWS, PASSED),
        (MIN_ROWS + 1, PASSED),
    ],
)
def test_too_few_rows_never_pass(rows: int, verdict: Verdict) -> None:
    assert compare(scores(rows), [scores(rows)], threshold=0.5, tolerance=0.0).verdict is verdict
    assert compare(scores(rows), [], threshold=0.5, tolerance=0.0).verdict is INCONCLUSIVE


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_size_of_batch_counts(place: int) -> None:
    """Whichever way a row scores wrong, that is a failure, and counted once."""
    wrong, found = scores(first=0.75), [scores(), scores(), scores()]
    found[place] = wrong
    for by_onnx in (found, [*found, wrong]):
        parity = compare(scores(), by_onnx, threshold=0.5, tolerance=STEP)
        assert (parity.verdict, parity.rows_beyond, parity.decisions_changed) == (FAILED, 1, 1)
        assert parity.largest_difference == 0.5


def test_a_score_that_is_no_number_is_as_far_away_as_can_be() -> None:
    one, other = np.array([0.5, np.nan, 0.5]), np.array([0.5, 0.5, -np.inf])
    assert differences(one, other).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("native", "by_onnx", "tolerance", "sentence"),
    [
        (
            scores(10_000),
            scores(10_000, first=0.25 + 2.0**-22),
            1e-4,
            "ONNX agrees on 10,000 holdout rows (largest difference 2.4e-07, allowed 0.0001; "
            "0 decisions changed)",
        ),
        (
            scores(10_000),
            scores(10_000, first=0.75),
            1e-4,
            "ONNX was converted but changes 1 of 10,000 decisions: the version is served by "
            "scikit-learn",
        ),
        (
            scores(),
            scores(first=0.26),
            1e-4,
            "ONNX was converted but moves 1 of 100 scores by more than 0.0001 (largest difference "
            "0.01): the version is served by scikit-learn",
        ),
        (
            scores(3),
            scores(3),
            1e-4,
            "ONNX was converted but the holdout has 3 rows, 100 are needed: the version is served "
            "by scikit-learn",
        ),
    ],
)
def test_what_a_person_reads(
    native: np.ndarray, by_onnx: np.ndarray, tolerance: float, sentence: str
) -> None:
    found = compare(native, [by_onnx], threshold=0.5, tolerance=tolerance)
    told = report(found, subject="m@1", facts={"digest": "d"})
    assert told.summary == sentence
    assert (told.stage, told.subject, told.verdict) == ("onnx_parity", "m@1", found.verdict)
    assert told.facts == {
        "verdict": str(found.verdict),
        "rows": found.rows,
        "largest_difference": found.largest_difference,
        "rows_beyond": found.rows_beyond,
        "decisions_changed": found.decisions_changed,
        "tolerance": tolerance,
        "digest": "d",
    }


def test_what_a_person_reads_when_nothing_could_be_converted() -> None:
    told = unconvertible("it has 3 classes", subject="m@1")
    assert told.verdict is INCONCLUSIVE
    assert told.summary == (
        "ONNX cannot stand in for it (it has 3 classes): the version is served by scikit-learn"
    )
