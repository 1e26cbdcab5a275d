"""Main module of the processes that hold models: verify, load, warm up, score; nothing else.

They know no database, no store and no key but the public one, and get the artifact as an open
file. `python -m tenure.wiring.model_child FD` is started by the gateway and by `tenure rollback`.
"""

import importlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tenure.adapters.model_process import Pipe, confinement
from tenure.errors import ArtifactRefused
from tenure.failpoints import failpoint
from tenure.lifecycle.serving import Score, Signature, Value

_MIB = 1024 * 1024
_WARM = (
    "sklearn.calibration",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.pipeline",
    "skops.io",
    "tenure.adapters.serving_frame",
    "tenure.adapters.skops_artifacts",
)
"""What loading and scoring import anyway, imported once for all model processes."""

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

Job = Sequence[Sequence[Value]]


def main(descriptor: int) -> None:
    """Import what every model needs, then fork a process for each model."""
    confinement.die_with_parent()
    # pandas works without pyarrow, which would bring a thread of its own: a fork must have none.
    sys.modules["pyarrow"] = None  # type: ignore[assignment]
    for name in _WARM:
        importlib.import_module(name)
    from tenure.adapters.model_process import forking

    del sys.modules["pyarrow"]  # scikit-learn looks there whether a table may be one of pyarrow's
    forking.run(socket.socket(fileno=descriptor), live)


def live(pipe: Pipe) -> None:
    """Load the one model that the first message brings, then score until the pipe ends."""
    message, artifact = pipe.receive_with_descriptor()
    order = decode(message)
    try:
        score = _load(order, artifact)
    except ArtifactRefused as error:
        pipe.send(encode(["refused", error.what]))
        return
    except MemoryError:
        pipe.send(encode(["failed", f"it needs more than {order['memory_mb']:,} MiB of memory"]))
        return
    except Exception as error:  # the model's own code: whatever it raises
        pipe.send(encode(["failed", repr(error)[:500]]))
        return
    pipe.send(encode(["ready", ""]))
    serve(pipe, score, name=order["name"])


def serve(pipe: Pipe, score: Score, *, name: str) -> None:
    """Answer each message of jobs with the scores, or the error, of each job."""
    place = f"model.score.{name}"
    while True:
        jobs: list[Job] = decode(pipe.receive())
        failpoint(place)
        pipe.send(encode(answers(score, jobs)))


def answers(score: Score, jobs: Sequence[Job]) -> list[list[float] | str]:
    """Scores or the error of each job; together first, so that 64 rows cost as much as one.

    When that fails each is scored alone, so that one bad row does not spoil the others.
    """
    rows = [row for job in jobs for row in job]
    whole = _attempt(score, rows)
    if isinstance(whole, str):
        return [whole] if len(jobs) == 1 else [_attempt(score, job) for job in jobs]
    result: list[list[float] | str] = []
    start = 0
    for job in jobs:
        result.append(whole[start : start + len(job)])
        start += len(job)
    return result


def _attempt(score: Score, rows: Job) -> list[float] | str:
    try:
        scores = list(score(rows))
    except Exception as error:  # the model's code is not ours; whatever it raises, others answer
        return f"error: {type(error).__name__}"
    return scores if len(scores) == len(rows) else "wrong number of scores"


def _load(order: Mapping[str, Any], artifact: int) -> Score:
    from tenure.adapters.serving_frame import scorer
    from tenure.adapters.skops_artifacts import load_bytes

    row = order["row"]
    with os.fdopen(artifact, "rb") as stream:
        data = stream.read()
    folders = confinement.code_folders()
    confinement.limit(confinement.address_space() + order["memory_mb"] * _MIB)
    confinement.read_only(folders)
    failpoint(f"model.load.{order['name']}")
    estimator = load_bytes(data, row, order["public_key"])
    del data
    signature = Signature.from_facts(row["facts"])
    return scorer(
        estimator,
        numeric=signature.numeric,
        categorical=signature.categorical,
        examples=signature.examples(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
