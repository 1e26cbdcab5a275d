"""The ONNX file of a version: made, compared, stored and signed at training, where YAML asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.layout import onnx_key
from tenure.lifecycle.model_version import OnnxFacts, OnnxFile, VersionRecord
from tenure.lifecycle.serving import OnnxPolicy, Score, Signature, Value
from tenure.lifecycle.training.parity import Parity, compare, report, unconvertible
from tenure.lifecycle.training.registry import onnx_statement_bytes
from tenure.ports import ObjectStore
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, digest_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame
    from sklearn.base import BaseEstimator

BATCHES = (1, 64)
"""Rows that go in together: as one request, and as the gateway's fullest batch."""


@dataclass(frozen=True)
class OnnxAttempt:
    """What came of a conversion.

    Args:
        report: The evidence.
        onnx: The file; None unless the verdict is passed.
        parity: The numbers; None when nothing could be converted.
    """

    report: Report
    onnx: bytes | None = None
    parity: Parity | None = None


def attempt(
    policy: OnnxPolicy,
    estimator: "BaseEstimator",
    frame: "DataFrame",
    scores: "NDArray[np.float64]",
    *,
    features: Sequence[str],
    threshold: float,
    subject: str,
) -> OnnxAttempt:
    """Convert a fitted estimator and score the holdout as a model process would; never raises.

    Args:
        policy: The tolerance.
        estimator: The fitted pipeline.
        frame: The holdout's features.
        scores: What scikit-learn says of them.
        features: Names in the order of the signature.
        threshold: Of a positive decision.
        subject: `model@version`.
    """
    try:
        data, by_onnx = _converted(estimator, frame, features)
    except Exception as error:  # a library that meets a model it does not know: stay native
        return OnnxAttempt(unconvertible(_why(error), subject=subject))
    parity = compare(scores, by_onnx, threshold=threshold, tolerance=policy.max_score_difference)
    digest = digest_bytes(data)
    found = report(parity, subject=subject, facts={"digest": digest, "bytes": len(data)})
    return OnnxAttempt(found, data if parity.verdict is Verdict.PASSED else None, parity)


def store(platform: Installation, made: OnnxAttempt | None) -> dict[str, bytes]:
    """Put a file that passed under its digest; returns what belongs into the MLflow run."""
    if made is None or made.onnx is None:
        return {}
    platform.store.put(onnx_key(digest_bytes(made.onnx)), made.onnx)
    return {"model/model.onnx": made.onnx}


def report_parity(
    platform: Installation,
    row: VersionRecord,
    made: OnnxAttempt,
    run: RunRef,
) -> OnnxFacts:
    """Keep the evidence and sign a file that passed; returns what stands in the version's facts."""
    digest = platform.reports.save(made.report, model=row.model, dataset=None, run=run)
    file = None
    if made.onnx is not None and made.parity is not None:
        signature = _sign(platform, row, made.onnx)
        file = OnnxFile(digest_bytes(made.onnx), signature, made.parity.largest_difference)
    return OnnxFacts(made.report.verdict, digest, made.report.summary, file)


def scorer(
    store: ObjectStore, row: VersionRecord, estimator: "BaseEstimator", public_key: Path
) -> Score:
    """A version's ONNX file behind its own pipeline, once digest and signature hold.

    Raises:
        ArtifactRefused: They do not, or the version has no ONNX file.
    """
    from tenure.adapters import onnx_variant
    from tenure.adapters.serving_frame import by_matrix
    from tenure.adapters.skops_artifacts import verified_onnx

    data = verified_onnx(store, row, public_key)
    parts = by_matrix(estimator, Signature.from_facts(row.facts).features)
    if parts is None:  # it was converted, so it has both
        raise ValueError("the pipeline is none that ONNX can stand in for")
    return parts.scorer(onnx_variant.session(data))


def _converted(
    estimator: "BaseEstimator", frame: "DataFrame", features: Sequence[str]
) -> "tuple[bytes, list[NDArray[np.float64]]]":
    import numpy as np

    from tenure.adapters import onnx_variant
    from tenure.adapters.serving_frame import by_matrix

    parts = by_matrix(estimator, features)
    if parts is None:
        raise onnx_variant.NotConvertible(
            "only a boosting behind numbers and ordinal codes can be converted"
        )
    data = onnx_variant.convert(parts.boosting)
    boost = onnx_variant.session(data)
    matrix = parts.read(_rows(frame, features))
    return data, [
        np.concatenate([boost(matrix[n : n + size]) for n in range(0, len(matrix), size)])
        for size in BATCHES
    ]


def _rows(frame: "DataFrame", features: Sequence[str]) -> list[tuple[Value, ...]]:
    """As requests bring them."""
    return list(zip(*(frame[name].tolist() for name in features), strict=True))


def _sign(platform: Installation, row: VersionRecord, onnx: bytes) -> str:
    from tenure.adapters.signing import Signer

    signer = Signer(platform.settings.signing_key)
    return signer.sign(onnx_statement_bytes(row, digest_bytes(onnx)))


def _why(error: Exception) -> str:
    text = str(error).splitlines()[0][:200] if str(error) else ""
    return text if type(error).__name__ == "NotConvertible" else f"{type(error).__name__}: {text}"
