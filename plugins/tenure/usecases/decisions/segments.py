"""The decision and outcome files that count, and their compaction."""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tenure.errors import ObjectMissing
from tenure.failpoints import failpoint
from tenure.files import digest_file
from tenure.installation import Installation
from tenure.layout import LOGS, log_prefix
from tenure.lifecycle.decisions.compaction import (
    KEPT,
    CompactionManifest,
    Folder,
    compatible,
    folders,
    live,
    next_manifest,
    orphans,
    to_delete,
)
from tenure.lifecycle.decisions.segment_record import seal_digest
from tenure.ports import ObjectStore
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.vocabulary import canonical_json, op_key

_log = logging.getLogger("tenure.maintenance")
HOURS_A_RUN = 200
"""Folders that one run compacts, so that what else is to be maintained does not wait."""


def live_keys(store: ObjectStore, prefix: str) -> list[str]:
    """Keys of the Parquet files below a prefix that hold each row once; read no others.

    The prefix ends with a slash: a folder of hours, a day, a model, or everything.
    """
    return [key for one in folders(store.list(prefix)) for key in _live(store, one)]


def answers_by_version(platform: Installation, model: str) -> dict[int, int]:
    """Logged answers by the number of the version that they name; reads a column of every file."""
    from tenure.adapters import decision_files

    keys = live_keys(platform.store, log_prefix("decisions", model))
    found = decision_files.counted(map(platform.store.fetch, keys), "version")
    return {int(number): answers for number, answers in sorted(found.items())}


def segment_name(key: str) -> str:
    """What a file was shipped as, without its folder and suffix."""
    return key.rpartition("/")[2].removesuffix(".parquet")


def _live(store: ObjectStore, folder: Folder) -> list[str]:
    return live(folder, None if folder.is_plain else _manifests(store, folder))


def _manifests(store: ObjectStore, folder: Folder) -> list[CompactionManifest]:
    found = []
    for key in folder.manifests:
        try:
            body = json.loads(store.get(key))
        except ObjectMissing:  # a later manifest took its place long before this one was deleted
            continue
        made_at = datetime.fromisoformat(body["made_at"])
        found.append(CompactionManifest(key, frozenset(body["replaces"]), made_at))
    return found


@dataclass
class CompactionCounts:
    """What a run did: hours and files that became one, files deleted, hours left for the next.

    `strange` are files that are not those that were recorded: they stay as they are, for
    `tenure ledger verify --invariants` to name.
    """

    hours: int = 0
    files: int = 0
    deleted: int = 0
    left: int = 0
    strange: int = 0


def compact(platform: Installation, *, at_most: int = HOURS_A_RUN) -> CompactionCounts:
    """Compact every hour that is over, and delete what was replaced long ago.

    It may die anywhere and run at any time. One runs at a time: who comes second does nothing.
    """
    from tenure.adapters.sql.maintenance import try_lock

    done = CompactionCounts()
    with platform.database.begin() as connection:
        if not try_lock(connection, "tenure.compaction"):
            return done
        for kind in LOGS:
            one_by_one(
                platform,
                f"compact_{kind}",
                folders(platform.store.list(log_prefix(kind))),
                name=lambda folder: folder.path,
                do=partial(_tend, platform, done, at_most),
            )
    return done


@dataclass(frozen=True)
class SealCounts:
    """Records that a ledger event was written over."""

    records: int


def seal(platform: Installation, *, actor: str) -> SealCounts:
    """Write a ledger event over the records that came since the last one.

    Whoever changes a record together with its file must rewrite the chain as well.
    """
    from tenure.adapters.sql import log_segments

    with platform.database.begin() as connection:
        platform.ledger.take_turn(connection)
        before = log_segments.seals(connection, last=1)
        since = before[-1].until if before else None
        records = log_segments.unsealed(connection, since)
        if records:
            until = records[-1].recorded_at.astimezone(UTC).isoformat()
            platform.ledger.note(
                connection,
                subject=log_segments.SUBJECT,
                actor=actor,
                body={
                    "until": until,
                    "files": len(records),
                    "rows": sum(one.rows for one in records if one.replaces is None),
                    "digest": seal_digest(records),
                },
                op_key=op_key("segments.seal", log_segments.SUBJECT, {"until": until}),
            )
    return SealCounts(len(records))


def _tend(platform: Installation, done: CompactionCounts, at_most: int, folder: Folder) -> None:
    now = platform.clock.now()
    if not folder.is_settled(now):
        return
    manifests = [] if folder.is_plain else _manifests(platform.store, folder)
    keys = live(folder, None if folder.is_plain else manifests)
    if len(keys) > 1:
        if done.hours >= at_most:
            done.left += 1
            return
        sound = _recorded(platform, folder, keys)
        done.strange += len(keys) - len(sound)
        merged = _merge(platform, folder, sound, manifests, now)
        done.files += merged
        done.hours += bool(merged)
    _clean(platform, folder, manifests, now, done)


def _recorded(platform: Installation, folder: Folder, keys: Sequence[str]) -> dict[str, Path]:
    """Local paths of the files whose bytes are those that were recorded.

    A file that somebody edited or added must not become one with the others.
    """
    from tenure.adapters.sql import log_segments

    with platform.database.begin() as connection:
        records = log_segments.below(connection, f"{folder.path}/")
    known = {(one.key, one.digest) for one in records}
    paths = {key: platform.store.fetch(key) for key in keys}
    return {key: path for key, path in paths.items() if (key, digest_file(path)) in known}


def _merge(
    platform: Installation,
    folder: Folder,
    paths: Mapping[str, Path],
    manifests: Sequence[CompactionManifest],
    now: datetime,
) -> int:
    """Make one file of each group that fits together; returns how many files were replaced."""
    from tenure.adapters import segment_files

    kinds = {key: segment_files.kinds(path) for key, path in paths.items()}
    readable = {key: found for key, found in kinds.items() if found is not None}
    merged = 0
    for group in compatible(readable):
        if len(group) < 2:
            continue
        manifest = next_manifest(folder, group, manifests, now)
        with tempfile.TemporaryDirectory(prefix="tenure-compact-") as scratch:
            target = Path(scratch) / "rows.parquet"
            files = {segment_name(key): paths[key] for key in group}
            rows = segment_files.merge(files, target)
            names = sorted(manifest.replaces)
            recorded = RecordedFiles(platform, "compaction")
            recorded.put_compacted(manifest.data, target, rows=rows, replaces=names)
        failpoint("compact.data")
        _put(platform.store, manifest, rows)
        failpoint("compact.manifest")
        merged += len(group)
    return merged


def _put(store: ObjectStore, manifest: CompactionManifest, rows: int) -> None:
    body = {
        "made_at": manifest.made_at.isoformat(),
        "replaces": sorted(manifest.replaces),
        "rows": rows,
    }
    store.put(manifest.key, canonical_json(body))


def _clean(
    platform: Installation,
    folder: Folder,
    manifests: Sequence[CompactionManifest],
    now: datetime,
    done: CompactionCounts,
) -> None:
    """Manifests of this very run are not among `manifests`: what they replace stays for now."""
    store = platform.store
    going = to_delete(folder, manifests, now)
    going += [key for key in orphans(folder) if store.info(key).modified + KEPT <= now]
    for key in going:
        store.delete(key)
        failpoint("compact.delete")
        done.deleted += 1
