"""Batches, and what happens when a model misbehaves."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from tenure.gateway.scoring import Scorer, ScoringFailed


def run(scorer: Scorer, *requests: Sequence[tuple[Any, ...]], timeout: float = 5.0) -> list[Any]:
    async def all_at_once() -> list[Any]:
        tasks = [scorer.score(rows, timeout_seconds=timeout) for rows in requests]
        return await asyncio.gather(*tasks, return_exceptions=True)

    try:
        return asyncio.run(all_at_once())
    finally:
        scorer.close()


def test_requests_share_a_call_and_get_their_own_rows() -> None:
    sizes: list[int] = []

    def score(rows: Sequence[Sequence[Any]]) -> list[float]:
        sizes.append(len(rows))
        return [row[0] for row in rows]

    answers = run(Scorer(score, name="m@1"), [(0.1,), (0.2,)], [(0.3,)], [(0.4,)])
    assert answers == [[0.1, 0.2], [0.3], [0.4]]
    assert len(sizes) < 3


def test_a_full_batch_is_not_exceeded_by_more_requests() -> None:
    sizes: list[int] = []

    def score(rows: Sequence[Sequence[Any]]) -> list[float]:
        sizes.append(len(rows))
        return [0.5] * len(rows)

    run(Scorer(score, name="m@1"), *[[(0,)]] * 300)
    assert sum(sizes) == 300
    assert max(sizes) <= 64


def test_one_bad_row_does_not_spoil_the_others() -> None:
    def score(rows: Sequence[Sequence[Any]]) -> list[float]:
        if any(row[0] == "bad" for row in rows):
            raise ValueError("bad row")
        return [0.5] * len(rows)

    answers = run(Scorer(score, name="m@1"), [(1,)], [("bad",)], [(2,)])
    assert answers[0] == answers[2] == [0.5]
    assert isinstance(answers[1], ScoringFailed)
    assert str(answers[1]) == "error: ValueError"


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([float("nan")], "score is not a probability"),
        ([float("inf")], "score is not a probability"),
        ([-1e-9], "score is not a probability"),
        ([1.0 + 1e-9], "score is not a probability"),
        ([], "wrong number of scores"),
        ([0.5, 0.5], "wrong number of scores"),
    ],
)
def test_unusable_scores(scores: list[float], reason: str) -> None:
    (error,) = run(Scorer(lambda _rows: scores, name="m@1"), [(1,)])
    assert isinstance(error, ScoringFailed)
    assert str(error) == reason


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_the_ends_of_a_probability_are_usable(score: float) -> None:
    assert run(Scorer(lambda _rows: [score], name="m@1"), [(1,)]) == [[score]]


def test_a_hanging_model_times_out_and_then_refuses_at_once() -> None:
    release = threading.Event()

    def hang(rows: Sequence[Sequence[Any]]) -> list[float]:
        release.wait(10)
        return [0.5] * len(rows)

    scorer = Scorer(hang, name="m@1")
    began = time.monotonic()
    (first,) = run_open(scorer, 0.05)
    time.sleep(0.06)
    waited = time.monotonic()
    (second,) = run_open(scorer, 0.05)
    assert isinstance(first, ScoringFailed)
    assert isinstance(second, ScoringFailed)
    assert waited - began < 2
    assert time.monotonic() - waited < 0.04
    release.set()
    time.sleep(0.1)
    assert run(scorer, [(1,)]) == [[0.5]]


def run_open(scorer: Scorer, timeout: float) -> list[Any]:
    async def one() -> list[Any]:
        return await asyncio.gather(
            scorer.score([(1,)], timeout_seconds=timeout), return_exceptions=True
        )

    return asyncio.run(one())
