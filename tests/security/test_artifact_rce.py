"""Nothing of an artifact runs that its trainer did not sign and our list does not allow."""

import io
import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from version_rows import record

from tenure.adapters.skops_artifacts import dump
from tenure.errors import ArtifactRefused
from tenure.layout import artifact_key
from tenure.lifecycle.training.registry import statement
from tenure.vocabulary import digest_bytes


def refused(registry: Any, row: dict[str, Any]) -> str:
    with pytest.raises(ArtifactRefused) as caught:
        registry.loader.load(row).close()
    return str(caught.value.what)


class Touch:
    """As a pickle: makes a file wherever it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_member(data: bytes, name: str, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    return zipped(members | {name: content})


def test_a_good_artifact_is_taken(registry: Any, good: bytes) -> None:
    process = registry.loader.load(registry.row(good))
    assert process.is_alive
    process.close()


@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_flipped_byte(registry: Any, good: bytes, place: str) -> None:
    row = registry.row(good, version=2)
    registry.loader.keep_only(frozenset())
    data = bytearray(good)
    data[{"first": 0, "middle": len(data) // 2, "last": -1}[place]] ^= 1
    key = artifact_key(row.artifact_digest)
    registry.store.put(key, bytes(data))
    assert "has SHA-256" in refused(registry, row)
    registry.store.put(key, good)


def test_a_flipped_byte_in_the_gateway_s_own_copy_is_read_anew(registry: Any, good: bytes) -> None:
    row = registry.row(good)
    registry.loader.load(row).close()
    copy = registry.home / "gateway" / "artifacts" / row.artifact_digest
    copy.write_bytes(b"x" + good[1:])
    registry.loader.load(row).close()
    assert copy.read_bytes() == good


def test_the_process_trusts_nobody_about_the_bytes(
    registry: Any, good: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy changes after the gateway looked at it: between its check and the child's read."""
    other = tmp_path / "other"
    other.write_bytes(good[:-1] + b"!")
    monkeypatch.setattr(registry.loader._cache, "fetch", lambda *_: other)
    assert "the artifact has SHA-256" in refused(registry, registry.row(good))


def test_an_artifact_swapped_after_approval(registry: Any, good: bytes) -> None:
    row = registry.row(good, version=3)
    other = dump(LogisticRegression(C=0.1).fit([[0, 0], [1, 1]], [0, 1]), name="m@3")
    digest = registry.store.put(artifact_key(digest_bytes(other)), other)
    assert "signature does not fit" in refused(registry, replace(row, artifact_digest=digest))


@pytest.mark.parametrize("field", sorted(statement(record()).keys() - {"facts"}))
def test_a_signature_replayed_elsewhere(registry: Any, good: bytes, field: str) -> None:
    row = registry.row(good, version=4)
    if field == "artifact_digest":
        other = good + b"\0"
        elsewhere: object = registry.store.put(artifact_key(digest_bytes(other)), other)
    else:
        elsewhere = {"model": "other", "version": 5}.get(field, "f" * 64)
    assert "signature does not fit" in refused(registry, replace(row, **{field: elsewhere}))


@pytest.mark.parametrize("kind", ["pickle", "a skops file around it", "its place taken", "joblib"])
def test_a_pickle_in_disguise(registry: Any, good: bytes, canary_file: Path, kind: str) -> None:
    hostile = pickle.dumps(Touch(canary_file))
    data = {
        "pickle": hostile,
        "a skops file around it": with_member(good, "model.pkl", hostile),
        "its place taken": zipped({"schema.json": hostile}),
        "joblib": with_member(good, "model.joblib", hostile),
    }[kind]
    assert "no skops file" in refused(registry, registry.row(data, version=5))


def test_an_array_of_pickled_objects(registry: Any, good: bytes, canary_file: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Touch(canary_file)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        arrays = [name for name in archive.namelist() if name.endswith(".npy")]
    data = with_member(good, arrays[0], buffer.getvalue())
    assert "Object arrays cannot be loaded" in refused(registry, registry.row(data, version=6))


def make_folder(path: str) -> None:
    Path(path).mkdir()


@pytest.mark.parametrize(
    "function", [make_folder, os.system, os.mkdir], ids=["ours", "os.system", "os.mkdir"]
)
def test_a_hostile_type_that_somebody_signed(
    registry: Any, canary_file: Path, function: Any
) -> None:
    hostile = FunctionTransformer(function, kw_args={"path": str(canary_file)})
    data = skops.io.dumps(hostile)
    assert "types that are not allowed" in refused(registry, registry.row(data, version=7))


@pytest.mark.parametrize("name", ["../../x.npy", "/etc/x.npy", "a/b.npy", "x.pt", "x.gz", "SCHEMA"])
def test_files_that_skops_does_not_write(registry: Any, good: bytes, name: str) -> None:
    row = registry.row(with_member(good, name, b"x"), version=7)
    assert "no skops file (it holds" in refused(registry, row)


@pytest.mark.parametrize("place", ["store", "copy"])
def test_links_are_not_followed(registry: Any, good: bytes, tmp_path: Path, place: str) -> None:
    row = registry.row(good, version=1)
    registry.loader.load(row).close()
    copy = registry.home / "gateway" / "artifacts" / row.artifact_digest
    stored = registry.home / "store" / artifact_key(row.artifact_digest)
    (tmp_path / "elsewhere").write_bytes(good)
    path = {"store": stored, "copy": copy}[place]
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    if place == "copy":
        registry.loader.load(row).close()
        assert not copy.is_symlink()
        return
    copy.unlink()
    assert "is not in the store" in refused(registry, row)
    path.unlink()
