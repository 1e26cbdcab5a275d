"""Refuses access, archives, and proves the archive by reading it back."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from tenure.errors import ArchiveIncomplete
from tenure.lifecycle.retirement.decommission import (
    RETIRABLE,
    DecommissionStep,
    Item,
    Manifest,
    Progress,
    StepAction,
)
from tenure.usecases.retirement.archive import collect, manifest_key, row_of
from tenure.usecases.retirement.retirement import Retirement, StepResult
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, State, VersionRef

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.archive import Archive


def archive(retirement: Retirement, version: int, run: RunRef) -> StepResult:
    """Archive a version whose notice period is over.

    Once archived, reads everything again and repairs what the originals can still repair.

    Raises:
        ArchiveIncomplete: Something does not read back as it was written.
    """
    from tenure.adapters.archive import Archive

    def revoke(connection: "Connection", ref: VersionRef, progress: Progress) -> None:
        _revoke(retirement, connection, ref, progress)

    early = retirement.enter(version, StepAction.ARCHIVE, revoke)
    progress = retirement.progress(version)
    keeper = Archive(retirement.platform.store)
    if early is not None:
        if progress.state is State.ARCHIVED:
            _recheck(retirement, keeper, progress)
        return early
    manifest, digest = _write(retirement, keeper, progress)
    _archived(retirement, version, manifest.items, digest)
    return _report(retirement, progress, manifest, digest, run)


def _revoke(
    retirement: Retirement, connection: "Connection", ref: VersionRef, progress: Progress
) -> None:
    """From this commit on gateways answer 410."""
    from tenure.adapters.sql import decommissions

    if ref.state not in RETIRABLE:
        return
    now = retirement.platform.clock.now()
    decommissions.set_columns(
        connection, progress.id, revoked_at=now, step=str(DecommissionStep.REVOKED)
    )
    retirement.move(connection, ref, progress, State.RETIRING, reason=progress.reason)


def _write(retirement: Retirement, keeper: "Archive", progress: Progress) -> tuple[Manifest, str]:
    platform = retirement.platform
    items = tuple(keeper.copy(one) for one in collect(platform, progress))
    row = row_of(platform, progress).to_json()
    manifest = Manifest(progress.model, progress.version, row, items)
    key = manifest_key(progress.model, progress.version)
    digest = keeper.write_manifest(manifest, key)
    keeper.verify(keeper.manifest(key, digest).items)
    return manifest, digest


def _archived(retirement: Retirement, version: int, items: Sequence[Item], digest: str) -> None:
    from tenure.adapters.sql import decommissions

    platform = retirement.platform
    now = platform.clock.now()
    with platform.database.begin() as connection:
        ref, progress = retirement.look(connection, version, lock=True)
        if progress.state is not State.RETIRING:
            return  # another run was faster; what it wrote has the same bytes
        for item in items:
            decommissions.put_item(connection, progress.id, item, at=now)
        decommissions.set_columns(
            connection,
            progress.id,
            step=str(DecommissionStep.ARCHIVED),
            archive_key=manifest_key(progress.model, version),
            archive_digest=digest,
            verified_at=now,
            retain_until=now + timedelta(days=retirement.config.decommission.retain_days),
        )
        retirement.move(connection, ref, progress, State.ARCHIVED, manifest=digest)


def _recheck(retirement: Retirement, keeper: "Archive", progress: Progress) -> None:
    """Read the archive again; copy it anew from the originals when a copy went bad."""
    try:
        keeper.verify(keeper.manifest(progress.archive_key or "", progress.archive_digest).items)
    except ArchiveIncomplete:
        _, digest = _write(retirement, keeper, progress)
        if digest != progress.archive_digest:
            raise


def _report(
    retirement: Retirement, progress: Progress, manifest: Manifest, digest: str, run: RunRef
) -> StepResult:
    size = sum(item.size for item in manifest.items)
    report = Report(
        stage="archive",
        subject=progress.name,
        verdict=Verdict.PASSED,
        summary=f"{progress.name} archived: {len(manifest.items)} items, {size:,} bytes, all read "
        "back by digest; access is refused.",
        facts={"manifest": digest, **manifest.to_dict()},
        enforced=False,
    )
    saved = retirement.platform.reports.save(report, model=retirement.model, dataset=None, run=run)
    return StepResult(report.summary, digest=saved)
