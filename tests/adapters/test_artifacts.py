"""Signing and loading: nothing that was tampered with, replayed or is hostile gets parsed."""

import base64
import concurrent.futures
import io
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from version_rows import record

from tenure.adapters import skops_artifacts
from tenure.adapters.local_store import LocalStore
from tenure.adapters.signing import Signer
from tenure.adapters.skops_artifacts import check_signature, dump, load_verified
from tenure.errors import ArtifactRefused
from tenure.layout import artifact_key
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.training.registry import statement, statement_bytes
from tenure.vocabulary import digest_bytes

ROWS = np.random.default_rng(1).normal(size=(200, 3))
LABELS = ROWS[:, 0] + ROWS[:, 1] > 0


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(tmp_path / "keys" / "signing.pem")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def signed(signer: Signer, store: LocalStore, data: bytes) -> VersionRecord:
    row = record(artifact_digest=store.put(artifact_key(digest_bytes(data)), data))
    return replace(row, signature=signer.sign(statement_bytes(row)))


@pytest.fixture
def good(signer: Signer, store: LocalStore) -> VersionRecord:
    return signed(signer, store, dump(LogisticRegression().fit(ROWS, LABELS), name="m@1"))


def refuses(store: LocalStore, row: VersionRecord, key: Path, says: str) -> None:
    with pytest.raises(ArtifactRefused, match=says):
        load_verified(store, row, key)


def test_a_signed_artifact_loads(store: LocalStore, good: VersionRecord, signer: Signer) -> None:
    loaded = load_verified(store, good, signer.public)
    expected = LogisticRegression().fit(ROWS, LABELS).predict_proba(ROWS)
    assert np.array_equal(loaded.predict_proba(ROWS), expected)


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_flipped_byte_is_never_parsed(
    place: str,
    store: LocalStore,
    good: VersionRecord,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = artifact_key(str(good.artifact_digest))
    data = bytearray(store.get(key))
    data[{"first": 0, "middle": len(data) // 2, "last": -1}[place]] ^= 1
    store.put(key, bytes(data))
    monkeypatch.setattr(skops_artifacts, "_refuse_types", pytest.fail)
    refuses(store, good, signer.public, str(good.artifact_digest)[:8])


def test_a_swapped_artifact_under_its_own_digest_is_refused(
    store: LocalStore, good: VersionRecord, signer: Signer
) -> None:
    other = dump(LogisticRegression(C=0.1).fit(ROWS, LABELS), name="m@1")
    digest = store.put(artifact_key(digest_bytes(other)), other)
    refuses(store, replace(good, artifact_digest=digest), signer.public, "signature does not fit")


@pytest.mark.parametrize("field", sorted(statement(record()).keys() - {"facts"}))
def test_a_signature_fits_no_other_statement(
    field: str, store: LocalStore, good: VersionRecord, signer: Signer
) -> None:
    other = 2 if field == "version" else "f" * 64
    refuses(store, replace(good, **{field: other}), signer.public, "signature does not fit")


@pytest.mark.parametrize(
    ("case", "signature"),
    [
        ("none", None),
        ("empty", ""),
        ("no base64", "ä%%%"),
        ("too short", base64.b64encode(b"x").decode()),
        ("zeros", base64.b64encode(bytes(64)).decode()),
    ],
)
def test_a_broken_signature_is_refused(
    case: str, signature: str | None, store: LocalStore, good: VersionRecord, signer: Signer
) -> None:
    refuses(store, replace(good, signature=signature), signer.public, "signature does not fit")


def test_another_installation_s_key_is_refused(
    store: LocalStore, good: VersionRecord, tmp_path: Path
) -> None:
    other = Signer(tmp_path / "other" / "signing.pem")
    other.sign(b"")
    refuses(store, good, other.public, "signature does not fit")
    refuses(store, good, tmp_path / "none.pub", "cannot be read")


def test_an_absent_artifact_is_refused(
    store: LocalStore, good: VersionRecord, signer: Signer
) -> None:
    store.delete(artifact_key(str(good.artifact_digest)))
    refuses(store, good, signer.public, "not in the store")


def shout(x: Any) -> Any:
    raise AssertionError("a function of the artifact was called")


def test_a_hostile_type_is_refused_even_when_it_is_signed(
    signer: Signer, store: LocalStore
) -> None:
    import skops.io

    hostile = skops.io.dumps(FunctionTransformer(shout))
    row = signed(signer, store, hostile)
    refuses(store, row, signer.public, "types that are not allowed: .*shout")


@pytest.mark.parametrize(
    ("case", "data"),
    [
        ("no zip", b"\x80\x04K\x01."),
        ("empty", b""),
        ("zip without a schema", None),
    ],
)
def test_what_is_no_skops_file_is_refused(
    case: str, data: bytes | None, signer: Signer, store: LocalStore
) -> None:
    if data is None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("other.json", "{}")
        data = buffer.getvalue()
    refuses(store, signed(signer, store, data), signer.public, "no skops file")


@pytest.mark.parametrize(("more", "refused"), [(-1, True), (0, False), (1, False)])
def test_the_unpacked_size_is_bounded(
    more: int,
    refused: bool,
    good: VersionRecord,
    signer: Signer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = LocalStore(signer.public.parents[1] / "store")
    with zipfile.ZipFile(io.BytesIO(store.get(artifact_key(str(good.artifact_digest))))) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    monkeypatch.setattr(skops_artifacts, "MAX_UNPACKED", size + more)
    if refused:
        refuses(store, good, signer.public, "unpacks to")
    else:
        load_verified(store, good, signer.public)


def test_an_estimator_with_a_strange_type_is_refused_when_it_is_written() -> None:
    with pytest.raises(ArtifactRefused, match=r"m@1: types that are not allowed: .*shout"):
        dump(FunctionTransformer(shout), name="m@1")


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        HistGradientBoostingClassifier(max_iter=5, categorical_features=None, random_state=1),
        RandomForestClassifier(n_estimators=5, random_state=1),
        CalibratedClassifierCV(LogisticRegression(), cv=2),
    ],
    ids=lambda e: type(e).__name__,
)
def test_content_alone_makes_the_bytes_and_they_load_equal(
    estimator: Any, signer: Signer, store: LocalStore
) -> None:
    fitted = estimator.fit(ROWS, LABELS)
    data = dump(fitted, name="m@1")
    loaded = load_verified(store, signed(signer, store, data), signer.public)
    assert np.array_equal(loaded.predict_proba(ROWS), fitted.predict_proba(ROWS))
    assert dump(clone(estimator).fit(ROWS, LABELS), name="m@1") == data


def test_other_content_makes_other_bytes() -> None:
    one = dump(LogisticRegression(C=1.0).fit(ROWS, LABELS), name="m@1")
    two = dump(LogisticRegression(C=1.0).fit(ROWS + 1e-9, LABELS), name="m@1")
    assert one != two


def test_the_key_is_made_once_and_is_private(signer: Signer, tmp_path: Path) -> None:
    first = signer.sign(b"statement")
    private = tmp_path / "keys" / "signing.pem"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(private.parent.stat().st_mode) == 0o700
    assert Signer(private).sign(b"statement") == first
    assert b"PRIVATE" not in signer.public.read_bytes()
    assert sorted(p.name for p in private.parent.iterdir()) == ["signing.pem", "signing.pub"]


def test_two_trainers_at_once_make_one_key(tmp_path: Path) -> None:
    private = tmp_path / "keys" / "signing.pem"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        signatures = list(pool.map(lambda _: Signer(private).sign(b"s"), range(16)))
    assert len(set(signatures)) == 1


def test_who_comes_second_takes_the_key_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "keys" / "signing.pem"
    first = Signer(private).sign(b"s")
    exists, asked = Path.exists, []

    def late(path: Path) -> bool:
        """The first look was before the other one wrote."""
        asked.append(path)
        return len(asked) > 1 and exists(path)

    monkeypatch.setattr(Path, "exists", late)
    assert Signer(private).sign(b"s") == first


def test_a_lost_private_key_is_not_replaced_in_silence(
    signer: Signer, tmp_path: Path, good: VersionRecord
) -> None:
    (tmp_path / "keys" / "signing.pem").unlink()
    with pytest.raises(ArtifactRefused, match=r"private key is gone but signing.pub is there"):
        signer.sign(b"s")
    check_signature(good, signer.public)  # what was signed keeps serving


def test_a_key_that_does_not_fit_is_refused(signer: Signer, tmp_path: Path) -> None:
    signer.sign(b"s")
    other = Signer(tmp_path / "other" / "signing.pem")
    other.sign(b"s")
    signer.public.write_bytes(other.public.read_bytes())
    with pytest.raises(ArtifactRefused, match="does not hold the public half"):
        signer.sign(b"s")
    elliptic = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "keys" / "signing.pem").write_bytes(elliptic)
    with pytest.raises(ArtifactRefused, match="not an Ed25519 key"):
        signer.sign(b"s")


def test_what_an_earlier_key_signed_stays_valid_after_a_rotation(
    store: LocalStore, good: VersionRecord, signer: Signer, tmp_path: Path
) -> None:
    """The new public half stands before the old one; without the old one it is refused."""
    old = signer.public.read_bytes()
    fresh = Signer(tmp_path / "fresh" / "signing.pem")
    fresh.sign(b"s")
    (tmp_path / "keys" / "signing.pem").write_bytes((tmp_path / "fresh/signing.pem").read_bytes())
    signer.public.write_bytes(fresh.public.read_bytes() + old)
    assert load_verified(store, good, signer.public) is not None
    newer = signed(signer, store, store.get(artifact_key(str(good.artifact_digest))))
    assert newer.signature != good.signature
    check_signature(newer, signer.public)
    check_signature(newer, fresh.public)
    with pytest.raises(ArtifactRefused, match="the signature does not fit"):
        check_signature(good, fresh.public)


def test_frames_with_names_survive() -> None:
    frame = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    data = dump(LogisticRegression().fit(frame, LABELS), name="m@1")
    assert b"feature_names_in_" in data
