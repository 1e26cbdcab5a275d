"""Copies of artifacts serve while the store is away, and only as long as they are sound."""

import os
from pathlib import Path

import pytest

from tenure.adapters.artifact_cache import CachedStore
from tenure.adapters.local_store import LocalStore
from tenure.vocabulary import digest_bytes

DATA = b"a model"
DIGEST = digest_bytes(DATA)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def cached(store: LocalStore, tmp_path: Path) -> CachedStore:
    store.put("artifacts/a", DATA)
    return CachedStore(store, tmp_path / "copies")


def test_copy_serves_when_the_store_has_lost_it(cached: CachedStore, store: LocalStore) -> None:
    assert cached.get("artifacts/a", DIGEST) == DATA
    store.delete("artifacts/a")
    assert cached.get("artifacts/a", DIGEST) == DATA


def test_spoilt_copy_is_read_anew(cached: CachedStore, tmp_path: Path) -> None:
    cached.get("artifacts/a", DIGEST)
    (tmp_path / "copies" / DIGEST).write_bytes(b"other bytes")
    assert cached.get("artifacts/a", DIGEST) == DATA


def test_without_digest_nothing_is_kept(cached: CachedStore, tmp_path: Path) -> None:
    assert cached.get("artifacts/a") == DATA
    assert not (tmp_path / "copies").exists()


def test_keep_only(cached: CachedStore, tmp_path: Path) -> None:
    cached.get("artifacts/a", DIGEST)
    cached.keep_only(frozenset([DIGEST]))
    assert (tmp_path / "copies" / DIGEST).exists()
    cached.keep_only(frozenset())
    assert list((tmp_path / "copies").iterdir()) == []


def test_keep_only_while_a_copy_is_written(
    cached: CachedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway polls while a large artifact is on its way."""
    sync = os.fsync

    def polled(descriptor: int) -> None:
        cached.keep_only(frozenset([DIGEST]))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", polled)
    assert cached.get("artifacts/a", DIGEST) == DATA


def test_keep_only_drops_the_draft_of_another(cached: CachedStore, tmp_path: Path) -> None:
    path = cached.fetch("artifacts/a", DIGEST)
    draft = path.with_name(f".{digest_bytes(b'retired')}.0f0f0f0f0f0f0f0f")
    draft.write_bytes(DATA[:3])
    cached.keep_only(frozenset([DIGEST]))
    assert list(path.parent.iterdir()) == [path]


def test_drafts_of_a_killed_process_go(cached: CachedStore, store: LocalStore) -> None:
    path = cached.fetch("artifacts/a", DIGEST)
    draft = path.with_name(f".{DIGEST}.0f0f0f0f0f0f0f0f")
    draft.write_bytes(DATA[:3])
    CachedStore(store, path.parent)
    assert list(path.parent.iterdir()) == [path]
