"""The steward's tools: an edited suite beside the one in force, on the batches of the past.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.adapters import git_revisions
from tenure.adapters.sql import suites as rows
from tenure.config import DatasetConfig, ModelConfig, load_all
from tenure.config.suites import parse_suite, users_of
from tenure.errors import ArtifactRefused, ObjectMissing
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.installation.suite_in_force import suite_in_force
from tenure.layout import refused_key
from tenure.lifecycle.data.expectations import Suite
from tenure.lifecycle.data.preview import Comparison, findings_of, together, under_new_names
from tenure.lifecycle.data.quality import Finding, judge
from tenure.lifecycle.data.schema import unjudged
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.lifecycle.data.suite_changes import SuiteChange, changes
from tenure.usecases.data.judge_file import contract_findings, expectation_findings, read_landed
from tenure.usecases.data.privacy import may_keep_file
from tenure.usecases.data.snapshots import open_snapshot
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.arrow_tables import Batch


class NothingToCompare(Exception):
    """There is no other revision of the suite; the message says why."""


@dataclass(frozen=True)
class Edit:
    """A suite that is to judge, and what it is compared with."""

    before: Suite
    after: Suite
    against: str
    """What `before` is, for people."""
    renamed: int = 0
    """Rules of `before` that named columns which the contract renamed; they have the new names."""

    @property
    def changes(self) -> list[SuiteChange]:
        """What differs, in plain words."""
        return changes(self.before, self.after)


def edit(platform: Installation, name: str, revision: str | None = None) -> Edit:
    """The suite that judges from now on beside a git revision, or beside the one that judged last.

    When it judged already, it is compared with the last commit.

    Raises:
        ConfigInvalid: The edited suite, or the other one, is not a valid suite.
        NothingToCompare: No batch was judged yet, or git has no such revision.
    """
    users = users_of(load_all(platform.settings.include), name)
    after = suite_in_force(platform, name, users).suite
    if revision is not None:
        return _of_git(platform, after, revision, users)
    with platform.database.begin() as connection:
        known = rows.judged_last(connection, [dataset.name for dataset in users])
    if known is None:
        raise NothingToCompare(
            f"no batch was judged by {name} yet, so no suite is in force; name a revision of git"
        )
    if known.digest != after.digest:
        label = f"the suite in force ({known.digest[:12]}…)"
        before = parse_suite(known.body.encode(), known.name, None, Path(label))
        return _beside(before, after, label, users)
    try:
        return _of_git(platform, after, "HEAD", users)
    except NothingToCompare:
        return Edit(after, after, "the suite in force, which it is")


def _beside(before: Suite, after: Suite, label: str, users: Sequence[DatasetConfig]) -> Edit:
    """Batches are read under the contract's names, so the other suite must speak of these."""
    renamed = {old: new for one in users for old, new in one.contract.renamed().items()}
    before, changed = under_new_names(before, renamed)
    return Edit(before, after, label, changed)


def _of_git(
    platform: Installation, after: Suite, revision: str, users: Sequence[DatasetConfig]
) -> Edit:
    path = platform.settings.suites / f"{after.name}.json"
    try:
        body, commit = git_revisions.read(path, revision)
    except git_revisions.NoRevision as error:
        raise NothingToCompare(f"{after.name} cannot be read from git: {error}") from None
    label = f"{revision} ({commit[:12]})"
    before = parse_suite(body, after.name, None, Path(f"{label}:{path.name}"))
    return _beside(before, after, label, users)


@dataclass(frozen=True)
class LandedBatch:
    """A file of the past, as the database knows it.

    `is_replaced` says that it was refused, and that another file of its batch came later.
    """

    dataset: DatasetConfig
    batch: str
    source_key: str
    source_digest: str
    quarantine_key: str | None
    is_replaced: bool

    @property
    def name(self) -> str:
        """For people."""
        suffix = " (refused file, replaced later)" if self.is_replaced else ""
        return f"{self.dataset.name} {self.batch}{suffix}"


@dataclass(frozen=True)
class PreviewedBatch:
    """What became of a batch in a preview: a comparison, or why there is none.

    `origin` says which rows were judged.
    """

    landed: LandedBatch
    origin: str
    comparison: Comparison | None


LANDED, REBUILT = "the landed file", "its snapshot and its quarantined rows"
_GONE = "its file is gone and it was never published"
_NOT_KEPT = f"{_GONE}; of a dataset with hidden columns no refused file is kept"


def last_batches(platform: Installation, name: str, last: int) -> list[LandedBatch]:
    """The files that landed last, of every dataset that the suite judges, oldest first.

    Of each batch the file that counts, and those before it that were refused.
    """
    found = []
    for dataset in users_of(load_all(platform.settings.include), name):
        with platform.database.begin() as connection:
            known = rows.last_batches(connection, dataset.name, last, with_refused=True)
        found += [LandedBatch(dataset, **vars(row)) for row in known]
    return found


def preview(
    platform: Installation,
    edited: Edit,
    batches: Sequence[LandedBatch],
    done: Callable[[], None],
    run: RunRef | None = None,
) -> list[PreviewedBatch]:
    """Judge each batch by both suites, reading it once; `done` is called after each.

    `run` says who reads; without one it is who runs this command.
    """
    both, reader = together(edited.before, edited.after), run or as_command("suite preview")
    seen = []
    for landed in batches:
        seen.append(_see(platform, edited, both, landed, reader))
        done()
    return seen


def _see(
    platform: Installation, edited: Edit, both: Suite, landed: LandedBatch, reader: RunRef
) -> PreviewedBatch:
    dataset = landed.dataset
    batch, origin = _read(platform, both, landed, reader)
    if batch is None:
        return PreviewedBatch(landed, origin, None)
    of_contract = contract_findings(batch, landed.source_key, dataset)
    is_sound = batch.is_sound and not any(finding.is_fatal for finding in of_contract)
    said = expectation_findings(batch, dataset, both) if is_sound else []
    before, after = (
        judge(
            batch.rows,
            of_contract + (_own_findings(suite, both, said, batch) if is_sound else []),
            dataset.quality,
        )
        for suite in (edited.before, edited.after)
    )
    return PreviewedBatch(landed, origin, Comparison(landed.batch, before, after))


def _own_findings(suite: Suite, both: Suite, said: list[Finding], batch: "Batch") -> list[Finding]:
    """The findings of one suite; what becomes of a rule without its column, it says itself."""
    lost = unjudged(suite, batch.set_aside)
    mine = findings_of(suite, both, said)
    return [lost.get(position, finding) for position, finding in enumerate(mine)]


def _read(
    platform: Installation, both: Suite, landed: LandedBatch, reader: RunRef
) -> "tuple[Batch | None, str]":
    """The batch as it landed, and where its rows come from; None with the reason."""
    batch = _landed(platform, landed)
    if batch is not None:
        return batch, LANDED
    with platform.database.begin() as connection:
        found = rows.publication(connection, landed.dataset.name, landed.source_digest)
    if found is None:
        return None, _GONE if may_keep_file(landed.dataset) else _NOT_KEPT
    personal = personal_columns(landed.dataset.contract)
    named = sorted(personal & {c for e in both.expectations for c in e.columns})
    if named:
        return None, f"its file is gone and its snapshot holds pseudonyms of {', '.join(named)}"
    try:
        return _rebuilt(platform, landed.dataset, found, reader), REBUILT
    except ObjectMissing:
        return None, "its file and its snapshot are gone"


def _rebuilt(
    platform: Installation, dataset: DatasetConfig, found: rows.Publication, reader: RunRef
) -> "Batch":
    from tenure.adapters.arrow_tables import rebuild_batch

    kept = open_snapshot(platform, dataset.name, found.digest, purpose="preview", run=reader)
    aside = found.quarantine_key
    contract = dataset.contract
    pseudonyms = {
        n: contract.columns[n].model_copy(update={"type": "string"})
        for n in personal_columns(contract)
    }
    return rebuild_batch(
        kept,
        platform.store.fetch(aside) if aside else None,
        dataset.source,
        contract.model_copy(update={"columns": {**contract.columns, **pseudonyms}}),
        required=dataset.structure,
    )


def _landed(platform: Installation, landed: LandedBatch) -> "Batch | None":
    """The file that was judged, when it still lies there unchanged, or was kept as it came."""
    kept = landed.quarantine_key or ""
    refused = refused_key(landed.dataset.name, landed.source_digest)
    for key in (landed.source_key, refused, kept if kept.endswith(".rejected") else ""):
        try:
            if key:
                with platform.store.borrow(key, landed.source_digest) as path:
                    return read_landed(path, landed.dataset)
        except (ObjectMissing, ArtifactRefused):
            continue
    return None


@dataclass(frozen=True)
class Downstream:
    """A model that learns from a dataset, and what the edit means to it.

    `reads` are the columns of changed expectations that it reads; `trained_on` maps its versions
    in service to those batches of their training data whose verdict flips.
    """

    model: ModelConfig
    reads: tuple[str, ...]
    trained_on: dict[str, list[str]]


def downstream(
    platform: Installation, edited: Edit, seen: Sequence[PreviewedBatch]
) -> Iterator[Downstream]:
    """The models behind the datasets of the suite."""
    from tenure.adapters.sql import versions
    from tenure.vocabulary import State

    found = load_all(platform.settings.include)
    touched = {c for change in edited.changes for c in change.columns}
    datasets = {dataset.name for dataset in users_of(found, edited.after.name)}
    for model in found.models.values():
        if model.dataset not in datasets:
            continue
        flipped = {
            s.landed.batch
            for s in seen
            if s.comparison
            and s.comparison.flips
            and s.landed.dataset.name == model.dataset
            and not s.landed.is_replaced
        }
        trained_on = {}
        with platform.database.begin() as connection:
            for version in versions.in_state(
                connection, model.name, (State.CHAMPION, State.CANARY)
            ):
                facts = versions.row_by_id(connection, version.id).facts
                trained_on[version.name] = sorted(flipped & {*facts.batches})
        names = found.datasets[model.dataset].contract.renamed()
        columns = {names.get(column, column) for column in model.columns}
        yield Downstream(model, tuple(sorted(columns & touched)), trained_on)
