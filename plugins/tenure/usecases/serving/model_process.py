"""Main module of the processes that hold models: verify, load, warm up, score; nothing else.

They know no database, no store and no key but the public one, and get the artifact as an open
file. The gateway and `tenure rollback` start this module with the number of a socket as argument.
"""

import importlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from tenure.adapters.model_process import Pipe, confinement
from tenure.errors import ArtifactRefused
from tenure.failpoints import failpoint
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.serving import RowAnswer, Score, Signature, Value

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

_MIB = 1024 * 1024
_WARM = (
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.multioutput",
    "sklearn.pipeline",
    "skops.io",
    "tenure.adapters.group_thresholds",
    "tenure.adapters.serving_frame",
    "tenure.adapters.skops_artifacts",
)
"""What loading and scoring import anyway, imported once for all model processes."""

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

Job = Sequence[Sequence[Value]]


@dataclass(frozen=True)
class LoadOrder:
    """The first message to a process: which version, with how much memory, by whose signature.

    `max_score_difference` is what ONNX is held to, when a file of it comes along. Without every
    wall nothing is parsed, unless `may_be_unconfined`. Without a version the process only confines
    itself and tells what its walls do not stop.
    """

    row: VersionRecord | None
    memory_mb: int
    public_key: bytes
    max_score_difference: float = 0.0
    may_be_unconfined: bool = False

    @property
    def name(self) -> str:
        """`model@version`; empty without a version."""
        return self.row.name if self.row else ""


class _Unconfined(Exception):
    """A wall does not hold; the message says which, and why."""


class _StayNative(Exception):
    """The version is served by scikit-learn; the message says why."""


def main(descriptor: int) -> None:
    """Import what every model needs, then fork a process for each model."""
    confinement.die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a unit: the gateway drains then
        signal.signal(number, signal.SIG_IGN)
    # pandas works without pyarrow, which would bring a thread of its own: a fork must have none.
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    for name in _WARM:
        importlib.import_module(name)
    from tenure.adapters.model_process import forking

    del sys.modules["pyarrow"]  # scikit-learn looks there whether a table may be one of pyarrow's
    forking.run(socket.socket(fileno=descriptor), live)


def live(pipe: Pipe) -> None:
    """Load the one model that the first message brings, then score until the pipe ends."""
    message, files = pipe.receive_with_descriptors(2)
    order = msgspec.msgpack.decode(message, type=LoadOrder)
    try:
        trouble = _without_runtime() if len(files) > 1 else ""
        data = [_read(descriptor) for descriptor in files]
        missing = _confined(order)
        if order.row is None:
            _tell_walls(pipe, missing)
            return
        score, note = _load(order, order.row, data, trouble)
    except _Unconfined as error:
        pipe.send(encode(["unconfined", str(error), ""]))
        return
    except ArtifactRefused as error:
        pipe.send(encode(["refused", error.what, ""]))
        return
    except MemoryError:
        why = f"it needs more than {order.memory_mb:,} MiB of memory"
        pipe.send(encode(["failed", why, ""]))
        return
    except Exception as error:  # the model's own code: whatever it raises
        pipe.send(encode(["failed", repr(error)[:500], ""]))
        return
    pipe.send(encode(["ready", note, _sentence(missing)]))
    by_onnx = len(files) > 1 and not note
    serve(pipe, score, name=f"{order.name}.onnx" if by_onnx else order.name)


def serve(pipe: Pipe, score: Score, *, name: str) -> None:
    """Answer each message of jobs with the scores, or the error, of each job."""
    place = f"model.score.{name}"
    while True:
        jobs: list[Job] = decode(pipe.receive())
        failpoint(place)
        pipe.send(encode(answers(score, jobs)))


def answers(score: Score, jobs: Sequence[Job]) -> list[list[RowAnswer] | str]:
    """Scores or the error of each job; together first, so that 64 rows cost as much as one.

    When that fails each is scored alone, so that one bad row does not spoil the others.
    """
    rows = [row for job in jobs for row in job]
    whole = _attempt(score, rows)
    if isinstance(whole, str):
        return [whole] if len(jobs) == 1 else [_attempt(score, job) for job in jobs]
    result: list[list[RowAnswer] | str] = []
    start = 0
    for job in jobs:
        result.append(whole[start : start + len(job)])
        start += len(job)
    return result


def _attempt(score: Score, rows: Job) -> list[RowAnswer] | str:
    try:
        scores = list(score(rows))
    except Exception as error:  # the model's code is not ours; whatever it raises, others answer
        return f"error: {type(error).__name__}"
    return scores if len(scores) == len(rows) else "wrong number of scores"


def _confined(order: LoadOrder) -> dict[str, str]:
    """Give up all that loading and scoring does not need; what does not hold and why, by wall.

    Raises:
        _Unconfined: Something does not hold, and nobody declared that it need not.
    """
    missing = confinement.give_up(confinement.address_space() + order.memory_mb * _MIB)
    if missing and not order.may_be_unconfined:
        raise _Unconfined(_sentence(missing))
    return missing


def _sentence(missing: dict[str, str]) -> str:
    return "; ".join(f"{wall}: {why}" for wall, why in missing.items())


def _tell_walls(pipe: Pipe, missing: dict[str, str]) -> None:
    """Try what must not work, tell by wall what does not hold, stay until the other end is gone."""
    pipe.send(encode(confinement.open_ways() | missing))
    pipe.receive()


def _load(
    order: LoadOrder, row: VersionRecord, files: Sequence[bytes], trouble: str
) -> tuple[Score, str]:
    """How the version scores, and why not by ONNX although a file of it came; else empty.

    Args:
        order: What it is held to.
        row: The version.
        files: The artifact, and the ONNX file where it is to score.
        trouble: Why ONNX Runtime cannot be imported; else empty.
    """
    from tenure.adapters.serving_frame import scorer
    from tenure.adapters.skops_artifacts import load_bytes

    data, *onnx = files
    failpoint(f"model.load.{order.name}")
    estimator = load_bytes(data, row, order.public_key)
    signature = Signature.from_facts(row.facts)
    native = scorer(
        estimator,
        numeric=signature.numeric,
        categorical=signature.categorical,
        examples=signature.examples(),
        margin=row.facts.margin,
    )
    if trouble or not onnx:
        return native, trouble
    try:
        return _by_onnx(order, row, onnx[0], estimator, native), ""
    except ArtifactRefused as error:
        return native, error.what
    except _StayNative as error:
        return native, str(error)
    except Exception as error:  # foreign code on foreign bytes; the native model stands
        return native, f"{type(error).__name__}: {error}"[:500]


def _read(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read()


def _without_runtime() -> str:
    """Import what scores ONNX, which no other process needs; why it cannot be had, else empty."""
    from tenure.adapters.onnx_variant import runtime

    try:
        runtime()
    except Exception as error:  # absent, or built for another machine
        return f"onnxruntime cannot be imported ({type(error).__name__}: {error})"[:500]
    return ""


def _by_onnx(
    order: LoadOrder, row: VersionRecord, data: bytes, estimator: "BaseEstimator", native: Score
) -> Score:
    """The version with ONNX for its boosting: nothing is parsed before digest and signature hold.

    Raises:
        ArtifactRefused: They do not hold.
        _StayNative: This machine's scores are not those of scikit-learn.
    """
    from tenure.adapters.onnx_variant import session
    from tenure.adapters.serving_frame import by_matrix
    from tenure.adapters.skops_artifacts import check_onnx

    check_onnx(data, row, order.public_key)
    failpoint(f"model.onnx.{order.name}")
    signature = Signature.from_facts(row.facts)
    parts = by_matrix(estimator, signature.features)
    if parts is None:
        raise _StayNative("its pipeline is none that ONNX can stand in for")
    score = parts.scorer(session(data))
    apart = _largest_difference(native, score, signature.examples())
    allowed = order.max_score_difference
    if not apart <= allowed:
        why = f"ONNX and scikit-learn are {apart:.2g} apart on the examples, allowed is {allowed:g}"
        raise _StayNative(why)
    return score


def _largest_difference(native: Score, score: Score, rows: Job) -> float:
    """Over the rows, together and each alone."""
    import numpy as np

    from tenure.lifecycle.training.parity import differences

    expected = np.array(native(rows))
    alone = np.array([score([row])[0] for row in rows])
    together = np.array(score(rows))
    return float(max(differences(expected, found).max() for found in (alone, together)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
