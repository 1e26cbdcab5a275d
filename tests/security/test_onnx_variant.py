"""An ONNX file scores only when it is signed for exactly this version and says what it should.

Whatever is wrong with it, the version is served by scikit-learn and says why. The file of these
tests differs from scikit-learn in the eighth digit, so that scores tell who gave them.
"""

import copy
import errno
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from version_rows import facts, onnx

from tenure.adapters import sklearn_trainer
from tenure.adapters.onnx_variant import convert
from tenure.adapters.skops_artifacts import dump
from tenure.errors import ArtifactRefused, ServiceUnreachable
from tenure.layout import artifact_key, onnx_key
from tenure.lifecycle.model_version import OnnxFile, VersionRecord
from tenure.lifecycle.serving import OnnxPolicy, ServingPolicy
from tenure.lifecycle.training.registry import onnx_statement_bytes
from tenure.usecases.serving import loading, model_process
from tenure.vocabulary import digest_bytes

SHIFT = 1e-7
ROWS = [(0.1, 0.9, "x"), (0.9, None, None), (5.0, 0.2, "never seen")]
HANGS, DIES = 8, 9
NOT_ALLOWED = "ONNX and scikit-learn are 5e-08 apart on the holdout, allowed is 4e-08 by now."


@dataclass
class Signed:
    """A registry whose model asks for ONNX, and one fitted pipeline."""

    registry: Any
    estimator: Any
    artifact: bytes
    native: list[float]
    onnx: OnnxPolicy | None = field(default_factory=OnnxPolicy)

    def file(self, shift: float = SHIFT) -> bytes:
        """The pipeline's boosting as ONNX, its log-odds moved a little."""
        moved = copy.deepcopy(self.estimator.steps[-1][1])
        moved._baseline_prediction = moved._baseline_prediction + shift
        return convert(moved)

    def row(self, data: bytes, version: int = 1, **changes: Any) -> VersionRecord:
        """The row of a version with these ONNX bytes, signed by the trainer."""
        row: VersionRecord = self.registry.row(self.artifact, version)
        digest = self.registry.store.put(onnx_key(digest_bytes(data)), data)
        signed = self.registry.signer.sign(onnx_statement_bytes(row, digest))
        stated = facts(
            features={"numeric": ["a", "b"], "categorical": ["c"], "dates": []},
            categories={"c": ["x", "y"]},
            ranges={"a": [0, 1], "b": [0, 1]},
            onnx=onnx(**{"digest": digest, "signature": signed} | changes),
        )
        changed: VersionRecord = self.registry.signed(replace(row, facts_json=stated))
        return changed

    def load(self, row: VersionRecord) -> tuple[str, str, list[float]]:
        """Variant, note, and the scores of the rows."""
        process = self.registry.loader.load(row)
        try:
            process.pipe.socket.settimeout(10)
            process.pipe.send(msgspec.msgpack.encode([ROWS]))
            (scores,) = msgspec.msgpack.decode(process.pipe.receive())
            return process.variant, process.note, scores
        finally:
            process.close()

    def stays_native(self, row: VersionRecord) -> str:
        """Why it does."""
        variant, note, scores = self.load(row)
        assert (variant, scores) == ("native", self.native)
        return note


@pytest.fixture(scope="module")
def signed(registry: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.random(300), "b": rng.random(300)})
    frame["c"] = rng.choice(["x", "y"], 300).astype(object)
    made = sklearn_trainer.build(
        "hist_gradient_boosting", {"max_iter": 5}, numeric=["a", "b"], categorical=["c"], seed=1
    )
    estimator = sklearn_trainer.fit(made, frame, frame["a"].to_numpy() > 0.5)
    asked = pd.DataFrame(ROWS, columns=["a", "b", "c"]).astype({"a": float, "b": float})
    native = estimator.predict_proba(asked)[:, 1].tolist()

    class Asking(type(registry)):  # type: ignore[misc]
        @property
        def policy(self) -> ServingPolicy:
            return ServingPolicy(model_memory_mb=256, onnx=found.onnx)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_ENV", "test")
        patch.setenv("TENURE_FAIL", f"model.onnx.m@{HANGS}:hang,model.onnx.m@{DIES}:kill")
        own = Asking(tmp_path_factory.mktemp("onnx"))
        found = Signed(own, estimator, dump(estimator, name="m@1"), native)
        own.loader.warm_up()
    yield found
    own.loader.close()


def test_a_signed_file_scores(signed: Signed) -> None:
    variant, note, scores = signed.load(signed.row(signed.file()))
    assert (variant, note) == ("onnx", "")
    apart = np.abs(np.array(scores) - signed.native)
    assert apart.min() > SHIFT / 100
    assert apart.max() < SHIFT


def test_a_file_that_a_gateway_distrusts_is_not_even_opened(signed: Signed) -> None:
    load = signed.registry.loader.load
    asked = signed.row(signed.file())
    without = replace(asked, facts_json={**asked.facts_json, "onnx": None})
    bare = signed.registry.signed(without)
    for row, note in ((asked, "it died."), (bare, "")):  # without a file nothing is missing
        process = load(row, distrust="it died.")
        found = process.variant, process.note
        process.close()
        assert found == ("native", note)


def test_the_runtime_opens_nothing_and_starts_nothing(
    signed: Signed, pids: Callable[[], set[int]]
) -> None:
    """Since 1.29 ONNX Runtime reports to its maker unless told not to: a file, a thread, a call."""
    signed.registry.loader.nursery.process().close()
    before = pids()
    process = signed.registry.loader.load(signed.row(signed.file()))
    (pid,) = pids() - before
    files = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    variant = process.variant
    process.close()
    assert variant == "onnx"
    assert {name.partition(":")[0] for name in files} == {"/dev/null", "socket"}
    assert len(threads) == 1


Tamper = Callable[[Signed], VersionRecord]


def stated_file(row: VersionRecord) -> OnnxFile:
    found = row.facts.onnx_file
    assert found is not None
    return found


def absent(signed: Signed) -> VersionRecord:
    row = signed.row(signed.file(SHIFT / 2))
    signed.registry.store.delete(onnx_key(stated_file(row).digest))
    return row


def flipped(signed: Signed) -> VersionRecord:
    data = signed.file(SHIFT / 3)
    row = signed.row(data)
    signed.registry.store.put(onnx_key(digest_bytes(data)), data[:-1] + b"!")
    return row


def swapped(signed: Signed) -> VersionRecord:
    """Another version's file under this version's signature."""
    own = signed.row(signed.file())
    other = signed.row(signed.file(SHIFT / 4), version=2)
    digest, signature = stated_file(other).digest, stated_file(own).signature
    changed = replace(own, facts_json={**own.facts_json, "onnx": onnx(digest, signature)})
    row: VersionRecord = signed.registry.signed(changed)
    return row


def replayed(signed: Signed) -> VersionRecord:
    """The same file, signed for another version."""
    other = signed.row(signed.file(), version=2)
    return signed.row(signed.file(), signature=stated_file(other).signature)


def of_the_artifact(signed: Signed) -> VersionRecord:
    return signed.row(signed.file(), signature=signed.registry.row(signed.artifact).signature)


def unsigned(signed: Signed) -> VersionRecord:
    return signed.row(signed.file(), signature="")


def garbage(signed: Signed) -> VersionRecord:
    return signed.row(b"signed, and yet no ONNX")


def other_shape(signed: Signed) -> VersionRecord:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = np.random.default_rng(2).random((100, 2))
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=None)
    return signed.row(convert(model.fit(rows, rows[:, 0] > 0.5)))


def too_far(signed: Signed) -> VersionRecord:
    return signed.row(signed.file(0.1))


def hanging(signed: Signed) -> VersionRecord:
    return signed.row(signed.file(), version=HANGS)


def dying(signed: Signed) -> VersionRecord:
    return signed.row(signed.file(), version=DIES)


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (absent, "is not in the store."),
        (flipped, "has SHA-256"),
        (swapped, "m@1: the ONNX file's signature does not fit it and its version."),
        (replayed, "m@1: the ONNX file's signature does not fit it and its version."),
        (of_the_artifact, "m@1: the ONNX file's signature does not fit it and its version."),
        (unsigned, "m@1: the ONNX file's signature does not fit it and its version."),
        (garbage, "InvalidProtobuf: [ONNXRuntimeError]"),
        (other_shape, "InvalidArgument: [ONNXRuntimeError]"),
        (too_far, "apart on the examples, allowed is 0.0001"),
        (hanging, "with ONNX it was not loaded after 6 s."),
        (dying, "with ONNX its process ended while it was loaded."),
    ],
)
def test_what_keeps_a_version_native(
    signed: Signed, tamper: Tamper, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tamper is hanging:
        monkeypatch.setattr(loading, "LOAD_SECONDS", 6.0)
    assert why in signed.stays_native(tamper(signed))


def test_the_process_trusts_nobody_about_the_bytes(
    signed: Signed, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy changes between the gateway's check and the child's read."""
    other, row = tmp_path / "other", signed.row(signed.file())
    other.write_bytes(signed.file()[:-1] + b"!")
    cache = signed.registry.loader._cache
    fetch = cache.fetch

    def swap(key: str, digest: str) -> Any:
        return other if key.endswith(".onnx") else fetch(key, digest)

    monkeypatch.setattr(cache, "fetch", swap)
    assert "m@1: the ONNX file has SHA-256" in signed.stays_native(row)


def full(_key: str, _digest: str) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_no_room_for_a_second_file(signed: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of the artifact is there since yesterday; the disk is full since today."""
    row = signed.row(signed.file(SHIFT / 5))
    cache = signed.registry.loader._cache
    fetch = cache.fetch
    monkeypatch.setattr(cache, "fetch", lambda k, d: (full if "onnx" in k else fetch)(k, d))
    assert "No space left on device" in signed.stays_native(row)


@pytest.mark.parametrize("digest", ["../../keys/signing", "a" * 300, "", "\0", "/etc/passwd"])
def test_a_digest_that_is_none(signed: Signed, digest: str) -> None:
    """Facts are signed by nobody: who can write the row can write anything there."""
    signed.stays_native(signed.row(signed.file(), digest=digest))


@pytest.mark.parametrize(("allowed", "variant"), [(4e-8, "native"), (5e-8, "onnx"), (6e-8, "onnx")])
def test_a_tolerance_that_became_smaller_since(
    signed: Signed, allowed: float, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples are few; what the holdout said counts as well."""
    monkeypatch.setattr(signed, "onnx", OnnxPolicy(max_score_difference=allowed))
    row = signed.row(signed.file(1e-9), apart=5e-8)
    found, note, _ = signed.load(row)
    assert found == variant
    assert note == ("" if variant == "onnx" else NOT_ALLOWED)


def test_the_store_is_away_but_the_artifact_is_here(
    signed: Signed, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = signed.row(signed.file())
    signed.load(row)
    cache = signed.registry.loader._cache
    fetch = cache.fetch

    def away(key: str, digest: str) -> Any:
        if key.endswith(".onnx"):
            raise ServiceUnreachable("The store is away.", still_safe="x", next_step="y")
        return fetch(key, digest)

    monkeypatch.setattr(cache, "fetch", away)
    assert signed.stays_native(row) == "The store is away."


def test_a_refused_artifact_is_no_reason_to_serve_by_onnx(signed: Signed) -> None:
    row = signed.row(signed.file(), version=3)
    data = signed.artifact[:-1] + bytes([signed.artifact[-1] ^ 1])
    digest = signed.registry.store.put(artifact_key(digest_bytes(data)), data)
    with pytest.raises(ArtifactRefused, match=r"m@3: .* does not fit its artifact_digest"):
        signed.registry.loader.load(replace(row, artifact_digest=digest))


@pytest.mark.parametrize(
    ("name", "policy", "facts"),
    [
        ("the YAML does not ask", None, {}),
        ("the verdict is failed", OnnxPolicy(), {"verdict": "failed"}),
        ("the verdict is open", OnnxPolicy(), {"verdict": "inconclusive"}),
        ("no file", OnnxPolicy(), {"file": None}),
    ],
)
def test_nobody_is_reported_where_nothing_is_wrong(
    signed: Signed,
    name: str,
    policy: OnnxPolicy | None,
    facts: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signed, "onnx", policy)
    row = signed.row(signed.file(), **facts)
    assert signed.stays_native(row) == "", name


def test_a_machine_without_the_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert model_process._without_runtime().startswith("onnxruntime cannot be imported (")


def test_copies_go_with_their_version(signed: Signed) -> None:
    row = signed.row(signed.file())
    signed.load(row)
    folder = signed.registry.home / "gateway" / "artifacts"
    digests = {str(row.artifact_digest), stated_file(row).digest}
    assert digests <= {path.name for path in folder.iterdir()}
    signed.registry.loader.keep_only(frozenset(digests))
    assert digests == {path.name for path in folder.iterdir()}
    signed.registry.loader.keep_only(frozenset())
    assert list(folder.iterdir()) == []


@pytest.mark.exhaustive
def test_no_open_file_is_left_when_a_copy_goes(
    signed: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the gateway's check and its opening the file."""
    row = signed.row(signed.file())
    signed.stays_native(signed.row(b"garbage"))  # the nursery and its pipes are there
    cache = signed.registry.loader._cache
    fetch = cache.fetch
    gone = tmp_path / "gone"
    monkeypatch.setattr(cache, "fetch", lambda k, d: gone if "onnx" in k else fetch(k, d))
    before = len(list(Path("/proc/self/fd").iterdir()))
    signed.stays_native(row)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
