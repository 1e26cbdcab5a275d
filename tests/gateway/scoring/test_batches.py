"""Batches to a model's process, and what happens when that misbehaves."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tenure.gateway.scoring import batches
from tenure.gateway.scoring.batches import Scorer, ScoringFailed
from tenure.usecases.serving import model_process

Rows = Sequence[Sequence[Any]]
InThread = Callable[[Callable[[Rows], list[Any]]], Any]


def run(scorer: Scorer, *requests: Rows, timeout: float = 5.0) -> list[Any]:
    async def all_at_once() -> list[Any]:
        tasks = [scorer.score(rows, timeout_seconds=timeout) for rows in requests]
        return await asyncio.gather(*tasks, return_exceptions=True)

    try:
        return asyncio.run(all_at_once())
    finally:
        scorer.close()


def reason(answer: Any) -> str:
    assert isinstance(answer, ScoringFailed), answer
    return str(answer)


def test_requests_share_a_call_and_get_their_own_rows(in_thread: InThread) -> None:
    sizes: list[int] = []

    def score(rows: Rows) -> list[float]:
        sizes.append(len(rows))
        return [row[0] for row in rows]

    answers = run(Scorer(in_thread(score), name="m@1"), [(0.1,), (0.2,)], [(0.3,)], [(0.4,)])
    assert answers == [[0.1, 0.2], [0.3], [0.4]]
    assert sizes == [4]


def test_what_comes_while_the_process_is_busy_goes_together(in_thread: InThread) -> None:
    busy, go = threading.Event(), threading.Event()
    sizes: list[int] = []

    def score(rows: Rows) -> list[float]:
        sizes.append(len(rows))
        busy.set()
        go.wait(10)
        return [0.5] * len(rows)

    async def one_then_many(scorer: Scorer) -> None:
        first = asyncio.ensure_future(scorer.score([(0,)], timeout_seconds=5))
        await asyncio.to_thread(busy.wait, 5)
        rest = [asyncio.ensure_future(scorer.score([(0,)], timeout_seconds=5)) for _ in range(70)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(first, *rest)

    scorer = Scorer(in_thread(score), name="m@1")
    asyncio.run(one_then_many(scorer))
    assert sizes == [1, 64, 6]


@pytest.mark.parametrize("rows", [63, 64, 65])
def test_bound_of_a_batch(in_thread: InThread, rows: int) -> None:
    sizes: list[int] = []

    def score(batch: Rows) -> list[float]:
        sizes.append(len(batch))
        return [0.5] * len(batch)

    run(Scorer(in_thread(score), name="m@1"), *[[(0,)]] * rows)
    assert sizes == ([rows] if rows <= 64 else [64, 1])


def test_messages_larger_than_the_socket_s_buffer(in_thread: InThread) -> None:
    request = [("x" * 2000,)] * 1000
    scorer = Scorer(in_thread(lambda rows: [0.5] * len(rows)), name="m@1")
    assert run(scorer, request, request) == [[0.5] * 1000] * 2


def test_one_bad_row_does_not_spoil_the_others(in_thread: InThread) -> None:
    def score(rows: Rows) -> list[float]:
        if any(row[0] == "bad" for row in rows):
            raise ValueError("bad row")
        return [0.5] * len(rows)

    answers = run(Scorer(in_thread(score), name="m@1"), [(1,)], [("bad",)], [(2,)])
    assert answers[0] == answers[2] == [0.5]
    assert reason(answers[1]) == "error: ValueError"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("error: ValueError", "error: ValueError"),
        ("wrong number of scores", "wrong number of scores"),
        ("error: no such carrier: Ada Lovelace", "error"),
        ("error: E\n", "error"),
        (f"error: {'E' * 65}", "error"),
    ],
)
def test_what_a_process_says_is_no_way_out_for_values(said: str, kept: str) -> None:
    """The reason stands in the log, the review queue, and the metrics, always in clear."""
    assert batches._known_reason(said) == kept


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ([float("nan")], "score is not a probability"),
        ([float("inf")], "score is not a probability"),
        ([-1e-9], "score is not a probability"),
        ([1.0 + 1e-9], "score is not a probability"),
        ([], "wrong number of scores"),
        ([0.5, 0.5], "wrong number of scores"),
    ],
)
def test_unusable_scores(in_thread: InThread, scores: list[float], why: str) -> None:
    (error,) = run(Scorer(in_thread(lambda _rows: scores), name="m@1"), [(1,)])
    assert reason(error) == why


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_the_ends_of_a_probability_are_usable(in_thread: InThread, score: float) -> None:
    assert run(Scorer(in_thread(lambda _rows: [score]), name="m@1"), [(1,)]) == [[score]]


def test_a_hanging_process_is_ended_and_nobody_else_waits_for_it(in_thread: InThread) -> None:
    release = threading.Event()

    def hang(rows: Rows) -> list[float]:
        release.wait(10)
        return [0.5] * len(rows)

    async def twice() -> list[Any]:
        first = await ask(0.05)
        await asyncio.sleep(0.02)
        return [first, await ask(30.0)]

    async def ask(timeout: float) -> Any:
        question = scorer.score([(1,)], timeout_seconds=timeout)
        return (await asyncio.gather(question, return_exceptions=True))[0]

    scorer = Scorer(in_thread(hang), name="m@1")
    first, second = asyncio.run(twice())
    release.set()
    assert (reason(first), reason(second)) == ("timeout", "process ended")
    assert not scorer.is_alive


def test_a_process_that_dies_fails_whoever_waits_at_once(in_thread: InThread) -> None:
    def die(_rows: Rows) -> list[float]:
        raise SystemExit  # ends the thread, as death ends a process

    scorer = Scorer(in_thread(die), name="m@1")
    answers = run(scorer, *[[(1,)]] * 70, timeout=30.0)
    assert {reason(answer) for answer in answers} == {"process ended"}
    assert not scorer.is_alive


@pytest.mark.parametrize(
    "said",
    [b"\xc1", b"\x01", model_process.encode([[0.5], [0.5]]), model_process.encode([{"a": 1}])],
    ids=["no msgpack", "a number", "two results", "another type"],
)
def test_a_process_that_talks_nonsense_is_ended(
    in_thread: InThread, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(model_process, "encode", lambda _answers: said)
    scorer = Scorer(in_thread(lambda rows: [0.5] * len(rows)), name="m@1")
    (answer,) = run(scorer, [(1,)], timeout=30.0)
    assert reason(answer) == "process ended"
    assert not scorer.is_alive


def test_closing_fails_whoever_waits(in_thread: InThread) -> None:
    release = threading.Event()
    scorer = Scorer(in_thread(lambda _rows: [float(release.wait(10))]), name="m@1")

    async def close_while_asked() -> Any:
        asked = asyncio.ensure_future(scorer.score([(1,)], timeout_seconds=30))
        await asyncio.sleep(0.01)
        await asyncio.to_thread(scorer.close)
        return (await asyncio.gather(asked, return_exceptions=True))[0]

    assert reason(asyncio.run(close_while_asked())) == "closed"
    release.set()


def test_closed_before_the_first_request(in_thread: InThread) -> None:
    scorer = Scorer(in_thread(lambda _rows: [0.5]), name="m@1")
    scorer.close()
    (answer,) = run(scorer, [(1,)])
    assert reason(answer) == "process ended"
