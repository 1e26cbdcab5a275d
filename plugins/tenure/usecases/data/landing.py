"""What landed and was not judged yet; runs often, so it imports nothing heavy."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tenure.errors import DataRejected, ObjectMissing, ServiceUnreachable
from tenure.files import digest_file, disk_errors, whole_file
from tenure.layout import landing_prefix
from tenure.lifecycle.data.sources import (
    UNFINISHED_FOR,
    Source,
    UnreadFile,
    is_candidate,
    is_marker,
    is_unfinished,
    twin_of,
    why_unread,
)
from tenure.ports import Clock, ObjectInfo, ObjectStore
from tenure.vocabulary import digest_json

MAX_FILES = 100
"""Files that one run takes; the others wait for the next."""
_ABANDONED = timedelta(days=1)
"""No file is worked on for so long."""
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class PinnedFile:
    """A landed file as it was at one moment.

    Args:
        digest: SHA-256 of its bytes; of name, size and stamp when it is too large to be read.
        size: Bytes.
        copy: Nobody writes to it; None when the file is too large to be read.
    """

    digest: str
    size: int
    copy: Path | None


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
        self._max_bytes = source.memory_mb * _MEBIBYTE
        self._store = store
        self._clock = clock
        self._unreadable: list[UnreadFile] = []
        """What the last look could not read."""
        self._memory = cache / "landing" / f"{dataset}.json"

    def unjudged(self, is_judged: Callable[[str, str], bool]) -> list[str]:
        """Keys of files that are not judged, sorted, at most `MAX_FILES`.

        Args:
            is_judged: Asked with key and digest of each file.
        """
        self._unreadable = []
        digests = list(self._digests())
        return [key for key, digest in digests if not is_judged(key, digest)][:MAX_FILES]

    def unread(self) -> list[UnreadFile]:
        """What lies there and is not taken as a batch, sorted by name; never a marker of Spark.

        Asked after `unjudged`, it also names the files that could not be read then.
        """
        prefix = landing_prefix(self._dataset)
        keys = set(self._store.list(prefix))
        found = [
            self._named(key, why, self._modified(key))
            for key in keys
            if (why := why_unread(self._dataset, key, keys))
        ]
        found += [
            self._unread(one.name, f"is no file to be read: {one.why}", one.modified)
            for one in self._store.strangers(prefix)
            if not is_marker(one.name)
        ]
        return sorted([*found, *self._unreadable], key=lambda one: one.name)

    def _named(self, key: str, why: str, modified: datetime | None) -> UnreadFile:
        return self._unread(key.removeprefix(landing_prefix(self._dataset)), why, modified)

    def _unread(self, name: str, why: str, modified: datetime | None) -> UnreadFile:
        """A write that may still go on is waited for."""
        age = self._clock.now() - modified if modified else UNFINISHED_FOR
        return UnreadFile(name, why, is_unfinished(name) and age < UNFINISHED_FOR)

    def _modified(self, key: str) -> datetime | None:
        try:
            return self._store.info(key).modified
        except ObjectMissing:  # taken away since it was listed
            return None

    def pin(self, key: str, copy: Path) -> PinnedFile:
        """Copy the file, so that what is hashed is what is read, whoever writes to it meanwhile.

        Raises:
            DataRejected: It is gone.
            ServiceUnreachable: It changed while it was copied.
        """
        try:
            before = self._store.info(key)
            if before.size > self._max_bytes:
                return PinnedFile(_digest_unread(key, before), before.size, None)
            with self._store.borrow(key) as landed:
                shutil.copyfile(landed, copy)
            if self._store.info(key).stamp != before.stamp:
                raise _still_written(key)
        except (ObjectMissing, FileNotFoundError):
            raise _gone(key) from None
        return PinnedFile(digest_file(copy), before.size, copy)

    def _digests(self) -> Iterator[tuple[str, str]]:
        """Keys and digests of the files that nobody seems to be writing."""
        before = _recall(self._memory)
        now: dict[str, _FileState] = {}
        keys = dict.fromkeys(self._store.list(landing_prefix(self._dataset)))
        for key in keys:
            if not is_candidate(self._dataset, key) or twin_of(key, keys):
                continue
            try:
                now[key] = seen = self._look(key, before.get(key))
            except ObjectMissing:  # taken away since it was listed
                continue
            except (OSError, ValueError) as error:  # about this file: the others go on
                cause = getattr(error, "strerror", None) or str(error)
                self._unreadable.append(self._named(key, f"cannot be read ({cause})", None))
                continue
            if seen.digest:
                yield key, seen.digest
        if now != before:
            _remember(self._memory, now)

    def _look(self, key: str, before: "_FileState | None") -> "_FileState":
        """The digest of a file that has settled and does not change while it is read, else ''."""
        info = self._store.info(key)
        known = before is not None and before.stamp == info.stamp
        since = before.since if before is not None and known else self._clock.now().timestamp()
        if before is not None and known and before.digest:
            return before
        unsettled = _FileState(info.stamp, "", since)
        if not self._is_settled(info, since):
            return unsettled
        if info.size > self._max_bytes:
            return _FileState(info.stamp, _digest_unread(key, info), since)
        with self._store.borrow(key) as landed:
            digest = digest_file(landed)
        if self._store.info(key).stamp != info.stamp:
            return unsettled
        return _FileState(info.stamp, digest, since)

    def _is_settled(self, info: ObjectInfo, since: float) -> bool:
        """By the file's own time; or by how long we see it unchanged, should that time be wrong."""
        now = self._clock.now()
        unchanged = now - min(info.modified, datetime.fromtimestamp(since, tz=UTC))
        return unchanged >= self._settle


@dataclass(frozen=True)
class _FileState:
    """A file at the last look; `since` is when this stamp was first seen (seconds since 1970)."""

    stamp: str
    digest: str
    since: float


@contextmanager
def work_folder(parent: Path, now: datetime) -> Iterator[Path]:
    """A private folder for one file's work; removes those that killed runs left behind.

    Raises:
        ServiceUnreachable: Its disk is full or read-only.
    """
    with disk_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.iterdir():
            with suppress(FileNotFoundError):
                if now.timestamp() - left.stat().st_mtime > _ABANDONED.total_seconds():
                    shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
            yield Path(folder)


def _digest_unread(key: str, info: ObjectInfo) -> str:
    """Names a file that is too large to be read, so that it too is judged once."""
    return digest_json({"unread": key, "size": info.size, "stamp": info.stamp})


def _recall(path: Path) -> dict[str, _FileState]:
    try:
        return {
            str(key): _FileState(str(stamp), str(digest), float(since))
            for key, (stamp, digest, since) in json.loads(path.read_bytes()).items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _remember(path: Path, seen: dict[str, _FileState]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = {key: [one.stamp, one.digest, one.since] for key, one in seen.items()}
    with disk_errors(path), whole_file(path) as stream:
        stream.write(json.dumps(lines).encode())


def _gone(key: str) -> DataRejected:
    return DataRejected(
        f"{key} is gone: it was there when the run began.",
        still_safe="Nothing of it was published; all snapshots stand.",
        next_step="If it was taken away on purpose, nothing is to be done. Otherwise drop it "
        "again; the next run takes it.",
    )


def _still_written(key: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"{key} changed while it was copied: it is still being written.",
        still_safe="Nothing of it was judged or published; all snapshots stand.",
        next_step="The task tries again by itself. If this happens often, write to a name that "
        "begins with a dot and rename, or raise source.settle_seconds.",
    )
