"""Deletes what the manifest marks, and issues the record of the whole retirement."""

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.errors import ServiceUnreachable
from tenure.layout import archive_prefix
from tenure.lifecycle.retirement.decommission import (
    DecommissionStep,
    Item,
    Manifest,
    Progress,
    StepAction,
    may_be_deleted,
)
from tenure.usecases.retirement.retirement import Retirement, StepResult
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, State, canonical_json

if TYPE_CHECKING:
    from tenure.adapters.sql.decommissions import ArchivedItem


def delete(retirement: Retirement, version: int) -> StepResult:
    """Delete the originals that the manifest marks, and nothing else.

    Raises:
        ArchiveIncomplete: The archive no longer reads back; nothing was deleted.
    """
    from tenure.adapters.archive import Archive

    early = retirement.enter(version, StepAction.DELETE)
    if early is not None:
        return early
    progress = retirement.progress(version)
    keeper = Archive(retirement.platform.store)
    manifest = keeper.manifest(progress.archive_key or "", progress.archive_digest)
    keeper.verify(manifest.items)
    for item in _going(retirement, progress, manifest):
        _delete_original(retirement, progress, item)
    gone = retirement.mirror.tombstone(
        progress.model,
        version,
        run_id=_text(manifest.row.get("mlflow_run_id")),
        reason=f"Decommissioned: {progress.reason}",
    )
    _deleted(retirement, version, gone)
    return StepResult(f"{progress.name}: {len(manifest.marked)} originals deleted.")


def record(retirement: Retirement, version: int, run: RunRef) -> StepResult:
    """Issue the decommission record: who, why, what was kept and what was deleted."""
    from tenure.adapters.sql import decommissions

    early = retirement.enter(version, StepAction.RECORD)
    if early is not None:
        return early
    platform = retirement.platform
    progress = retirement.progress(version)
    report = _record(retirement, progress)
    digest = platform.reports.save(report, model=retirement.model, dataset=None, run=run)
    prefix = archive_prefix(retirement.model, version)
    platform.store.put(f"{prefix}record.json", canonical_json(report.to_dict()))
    with platform.database.begin() as connection:
        decommissions.set_columns(
            connection, progress.id, record_digest=digest, step=str(DecommissionStep.RECORDED)
        )
        retirement.note(connection, progress, "recorded", record=digest)
    return StepResult(report.summary, digest=digest)


def _going(retirement: Retirement, progress: Progress, manifest: Manifest) -> list[Item]:
    """What is still to be deleted; the ledger says so before the first one goes."""
    from tenure.adapters.sql import decommissions

    with retirement.platform.database.begin() as connection:
        needed = decommissions.shared_artifact_keys(connection, progress.version_id)
        open_keys = decommissions.undeleted_keys(connection, progress.id)
        items = [one for one in manifest.marked if may_be_deleted(one, needed)]
        retirement.note(connection, progress, "deleting", keys=[one.key for one in items])
    return [one for one in items if one.key in open_keys]


def _delete_original(retirement: Retirement, progress: Progress, item: Item) -> None:
    from tenure.adapters.sql import decommissions

    platform = retirement.platform
    platform.store.delete(item.key)
    if platform.store.exists(item.key):
        raise ServiceUnreachable(
            f"The object store still has {item.key} after deleting it.",
            still_safe="The archive is whole; access to the version is refused.",
            next_step="The task tries again. If it lasts, look for a lock or versioning rule of "
            "the store.",
        )
    with platform.database.begin() as connection:
        decommissions.mark_deleted(connection, progress.id, item.key, at=platform.clock.now())


def _deleted(retirement: Retirement, version: int, gone: list[str]) -> None:
    from tenure.adapters.sql import decommissions

    platform = retirement.platform
    with platform.database.begin() as connection:
        ref, progress = retirement.look(connection, version, lock=True)
        if progress.state is not State.ARCHIVED:
            return  # another run was faster
        decommissions.set_columns(
            connection,
            progress.id,
            deleted_at=platform.clock.now(),
            step=str(DecommissionStep.DELETED),
        )
        retirement.move(
            connection, ref, progress, State.DELETED, manifest=progress.archive_digest, mlflow=gone
        )


def _record(retirement: Retirement, progress: Progress) -> Report:
    from tenure.adapters.sql import decommissions

    with retirement.platform.database.begin() as connection:
        items = decommissions.archived_items(connection, progress.id)
        consumers = [name for name, _ in decommissions.consumers_of(connection, progress.model)]
    deleted = [one for one in items if one.deleted_at is not None]
    return Report(
        stage="decommission",
        subject=progress.name,
        verdict=Verdict.PASSED,
        summary=f"{progress.name} decommissioned: asked by {progress.requested_by}, confirmed by "
        f"{progress.second_person}; {len(items)} items archived, {len(deleted)} originals deleted.",
        facts={
            **_story(progress),
            "consumers": consumers,
            "archived": [_plain(one) for one in items],
        },
        enforced=False,
    )


def _story(progress: Progress) -> dict[str, object]:
    moments = (
        "created_at",
        "notified_at",
        "revoked_at",
        "verified_at",
        "retain_until",
        "deleted_at",
    )
    words = (
        "reason",
        "successor",
        "requested_by",
        "second_person",
        "archive_key",
        "archive_digest",
    )
    return {name: getattr(progress, name) for name in words} | {
        name: _moment(getattr(progress, name)) for name in moments
    }


def _plain(item: "ArchivedItem") -> dict[str, object]:
    return asdict(item) | {"deleted_at": _moment(item.deleted_at)}


def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value is not None else None


def _text(value: object) -> str | None:
    return str(value) if value else None
