"""What landed and was not judged yet; runs often, so it imports nothing heavy."""

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tenure.lifecycle.sources import Source, is_candidate, landing_prefix
from tenure.ports import Clock, ObjectStore

MAX_FILES = 100
"""Files that one run takes; the others wait for the next."""


class Landing:
    """The landing folder of one dataset.

    Digests are remembered by stamp in a file under `cache`, so that a file that did not change is
    not read again; losing that file costs one reading.
    """

    def __init__(
        self, dataset: str, source: Source, *, store: ObjectStore, clock: Clock, cache: Path
    ) -> None:
        self._dataset = dataset
        self._settle = timedelta(seconds=source.settle_seconds)
        self._store = store
        self._clock = clock
        self._memory = cache / "landing" / f"{dataset}.json"

    def unjudged(self, judged: set[str]) -> list[str]:
        """Keys whose content is not among the judged digests, sorted, at most `MAX_FILES`."""
        digests = dict(self._digests())
        return [key for key, digest in digests.items() if digest not in judged][:MAX_FILES]

    def _digests(self) -> Iterator[tuple[str, str]]:
        before = _recall(self._memory)
        now: dict[str, tuple[str, str]] = {}
        oldest_unsettled = self._clock.now() - self._settle
        for key in self._store.list(landing_prefix(self._dataset)):
            if not is_candidate(self._dataset, key):
                continue
            try:
                info = self._store.info(key)
                if self._settle and info.modified > oldest_unsettled:
                    continue
                stamp, digest = before.get(key, ("", ""))
                if stamp != info.stamp:
                    digest = _digest(self._store.fetch(key))
            except KeyError:  # taken away since it was listed
                continue
            now[key] = (info.stamp, digest)
            yield key, digest
        if now != before:
            _remember(self._memory, now)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _recall(path: Path) -> dict[str, tuple[str, str]]:
    try:
        return {str(k): (str(v[0]), str(v[1])) for k, v in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, IndexError, TypeError, KeyError):
        return {}


def _remember(path: Path, digests: dict[str, tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(digests))
    draft.replace(path)
