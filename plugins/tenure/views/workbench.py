"""What a steward works with: rules beside the last files, their limits, and open proposals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tenure.adapters.git_revisions import branch_head
from tenure.config import DatasetConfig, load_all, load_dataset
from tenure.config.suite_limits import SuiteLimit, limits_of
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.installation.suite_in_force import SuiteInForce, suite_branch, suite_in_force
from tenure.layout import TRAIN_MODEL, dag_id, parse_dag_id
from tenure.lifecycle.data.expectations import Expectation
from tenure.lifecycle.data.quality import SCHEMA
from tenure.lifecycle.data.sentences import rule_sentence, sentence
from tenure.verdicts import Check, Severity, Verdict
from tenure.views.datasets import DatasetReader, readers, stored_config
from tenure.views.failing_rows import Visibility
from tenure.views.quarantine import Quarantine, may_take, quarantine_of
from tenure.views.validations import Point, by_place, notes_of, points_of, rule_key
from tenure.vocabulary import Role

if TYPE_CHECKING:
    from tenure.adapters.sql.notes import DatasetNote
    from tenure.adapters.sql.reads import DatasetReads
    from tenure.adapters.sql.suite_proposals import SuiteProposal
    from tenure.adapters.sql.validations import JudgedFileChecks

FILES = 30
"""Columns of the matrix."""
PROPOSALS = 20
"""That the page lists, newest first."""


@dataclass(frozen=True)
class WorkbenchRule:
    """A rule and what it found in each file; a rule of the contract has no number and no limit."""

    number: int | None
    sentence: str
    notes: str
    severity: Severity
    is_share: bool
    limits: tuple[SuiteLimit, ...]
    points: tuple[Point | None, ...]

    @property
    def breaches(self) -> int:
        """Files that broke it."""
        return sum(p is not None and p.verdict is Verdict.FAILED for p in self.points)


@dataclass(frozen=True)
class OpenedProposal:
    """A proposal, and whether it still fits the suite in force."""

    row: "SuiteProposal"
    fits: bool


@dataclass(frozen=True)
class WorkbenchPage:
    """The workbench of a dataset.

    `repaired` are report digests of files that another file of the batch followed; `usable` the
    readers that can use the newest published batch; `commit` is that of the accepted proposal, on
    its `branch`; `trouble` says why there are no rules to show; `opened` is who read the data, of
    whom `hidden` are counted and not named.
    """

    name: str
    config: DatasetConfig
    in_force: SuiteInForce | None
    files: "list[JudgedFileChecks]"
    repaired: frozenset[str]
    usable: tuple[str, ...]
    readers: list[DatasetReader]
    rules: list[WorkbenchRule]
    others: list[WorkbenchRule]
    proposals: list[OpenedProposal]
    shared_with: tuple[str, ...]
    may_propose: bool
    may_answer: bool
    may_take: bool
    quarantine: Quarantine
    opened: "list[DatasetReads]"
    may_write: bool
    notes: "list[DatasetNote]"
    subscribers: list[str]
    hidden: int = 0
    branch: str = ""
    commit: str | None = None
    trouble: str = ""

    def without_hidden(self, allows: Callable[[str], bool]) -> "WorkbenchPage":
        """As a person sees it who may not see every DAG: what she may not see is counted.

        Who read for a model is named where she may see that model, and the DAG that read.
        """

        def may_name(one: "DatasetReads") -> bool:
            owners = [dag_id(one.model, TRAIN_MODEL)] if one.model else []
            if one.dag_id and parse_dag_id(one.dag_id).owner:
                owners.append(one.dag_id)
            return all(map(allows, owners))

        opened = [one for one in self.opened if may_name(one)]
        return replace(self, opened=opened, hidden=len(self.opened) - len(opened))

    @property
    def verdicts(self) -> list[Point]:
        """The verdict on each file, for the head of the matrix."""
        return [Point(one.batch, one.verdict, None) for one in self.files]


def workbench_page(platform: Installation, name: str, user: str) -> WorkbenchPage | None:
    """The workbench as this person sees it; None where the dataset has no valid YAML."""
    from tenure.adapters.sql import notes, reads, suite_proposals, validations

    try:
        config, _ = load_dataset(platform.settings.include, name)
    except ConfigInvalid:
        return None
    found, trouble = _in_force(platform, config)
    asked = found.suite.expectations if found else ()
    words = {rule_key(expectation): sentence(expectation) for expectation in asked}
    with platform.database.begin() as connection:
        files = validations.last_files(connection, name, FILES)
        kept = stored_config(validations.newest_config(connection, name))
        rows = suite_proposals.of_suite(connection, config.suite, PROPOSALS)
        aside = quarantine_of(connection, name, words)
        opened = reads.readers_of(connection, name)
        written = notes.notes_of(connection, name)
        named = notes.subscribers(connection, [name]).get(name, [])
    visibility = Visibility.of(one for one in (config, kept) if one is not None)
    rules = _rules(found, files, visibility) if found else []
    shown = {key[:2] for key in words}
    of_dataset, path = readers(platform, name), platform.settings.suites / f"{config.suite}.json"
    accepted = found.proposal if found else None
    allows = platform.config.allows
    return WorkbenchPage(
        name=name,
        config=config,
        in_force=found,
        files=files,
        repaired=_repaired(files),
        usable=_usable(files, of_dataset),
        readers=of_dataset,
        rules=rules,
        others=_others(files, shown, visibility),
        proposals=[OpenedProposal(row, _fits(row, found)) for row in rows],
        shared_with=_shared_with(platform, config),
        may_propose=allows(user, Role.STEWARD),
        may_answer=allows(user, Role.STEWARD) or allows(user, Role.APPROVER),
        may_take=config.sensitivity != "restricted" and may_take(platform, config, user),
        quarantine=aside,
        opened=opened,
        may_write=may_write(platform, user),
        notes=written,
        subscribers=named,
        branch=suite_branch(accepted) if accepted else "",
        commit=branch_head(path, suite_branch(accepted)) if accepted else None,
        trouble=trouble,
    )


def may_write(platform: Installation, user: str) -> bool:
    """Whether the person may write notes and subscribe: whoever has a role."""
    return any(platform.config.allows(user, role) for role in Role)


def suite_of(platform: Installation, name: str) -> str | None:
    """The suite that judges a dataset; None where there is no valid YAML."""
    try:
        return load_dataset(platform.settings.include, name)[0].suite
    except ConfigInvalid:
        return None


def unanswered(platform: Installation) -> dict[str, int]:
    """Proposals that wait for a second person, by one dataset of each suite."""
    from tenure.adapters.sql import suite_proposals

    with platform.database.begin() as connection:
        waiting = suite_proposals.unanswered(connection)
    if not waiting:
        return {}
    found = load_all(platform.settings.include).datasets.values()
    of_suite = {dataset.suite: dataset.name for dataset in reversed(list(found))}
    return {of_suite[suite]: number for suite, number in waiting.items() if suite in of_suite}


def _in_force(platform: Installation, config: DatasetConfig) -> tuple[SuiteInForce | None, str]:
    try:
        return suite_in_force(platform, config.suite, [config]), ""
    except ConfigInvalid as error:
        why = error.what.splitlines()[0].replace(str(platform.settings.include), "include")
        return None, f"The suite is not valid, so nothing can be judged: {why}"


def _rules(
    found: SuiteInForce, files: "Sequence[JudgedFileChecks]", visibility: Visibility
) -> list[WorkbenchRule]:
    past = [(one.batch, by_place(one.checks)) for one in files]
    notes = notes_of(found.suite)
    return [
        _rule(number, expectation, notes[number], past, visibility)
        for number, expectation in enumerate(found.suite.expectations)
    ]


def _rule(
    number: int,
    expectation: Expectation,
    notes: str,
    past: Sequence[tuple[str, Mapping[tuple[str, str], list[Check]]]],
    visibility: Visibility,
) -> WorkbenchRule:
    limits = limits_of(expectation)
    shown = visibility.shows_all(expectation.columns)
    return WorkbenchRule(
        number=number,
        sentence=sentence(expectation),
        notes=notes,
        severity=expectation.severity,
        is_share=any(limit.is_share for limit in limits),
        limits=limits,
        points=tuple(points_of(past, rule_key(expectation), shown=shown)),
    )


def _others(
    files: "Sequence[JudgedFileChecks]", shown: set[tuple[str, str]], visibility: Visibility
) -> list[WorkbenchRule]:
    """Rules of the contract, the policy and of suites before, that one of the files broke."""
    past = [(one.batch, by_place(one.checks)) for one in files]
    broken = {
        (check.rule, check.subject): check
        for one in files
        for check in one.checks
        if check.verdict is Verdict.FAILED and (check.rule, check.subject) not in shown
    }
    return [
        WorkbenchRule(
            number=None,
            sentence=rule_sentence(check.rule, check.subject, check.allowed),
            notes="",
            severity=check.severity,
            is_share=check.counts is not None,
            limits=(),
            points=tuple(
                points_of(
                    past,
                    (check.rule, check.subject, check.allowed),
                    shown=visibility.shows_all(check.columns),
                )
            ),
        )
        for check in broken.values()
    ]


def _repaired(files: "Sequence[JudgedFileChecks]") -> frozenset[str]:
    newest = {one.batch: one.report_digest for one in files}
    return frozenset(one.report_digest for one in files if newest[one.batch] != one.report_digest)


def _usable(
    files: "Sequence[JudgedFileChecks]", of_dataset: Sequence[DatasetReader]
) -> tuple[str, ...]:
    """Readers of the newest published file, without those that lost a column in it."""
    published = [one for one in files if one.verdict is Verdict.PASSED]
    if not published:
        return ()
    lost = {
        column
        for check in published[-1].checks
        if check.rule == SCHEMA and check.verdict is Verdict.FAILED
        for column in check.columns
    }
    return tuple(one.name for one in of_dataset if not one.columns & lost)


def _fits(row: "SuiteProposal", found: SuiteInForce | None) -> bool:
    return found is not None and (row.before_digest, row.file_digest) == (
        found.suite.digest,
        found.file_digest,
    )


def _shared_with(platform: Installation, config: DatasetConfig) -> tuple[str, ...]:
    found = load_all(platform.settings.include).datasets.values()
    return tuple(one.name for one in found if one.suite == config.suite and one.name != config.name)
