"""What the report page of a validation shows, put together from what was stored; reads only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tenure.config import DatasetConfig
from tenure.installation import Installation
from tenure.lifecycle.data.expectations import Expectation, Suite, allowed
from tenure.lifecycle.data.quality import Reason, is_partly_usable
from tenure.lifecycle.data.sentences import charted_number, rule_sentence, sentence, without_values
from tenure.lifecycle.data.suite_changes import changes
from tenure.verdicts import Check, Severity, Verdict
from tenure.views.datasets import DatasetReader, readers, stored_config, stored_suite
from tenure.views.failing_rows import FailingRows, Visibility, failing_rows
from tenure.views.tasks import ReportPage

if TYPE_CHECKING:
    from tenure.adapters.sql.data import SnapshotRow, ValidationRow
    from tenure.adapters.sql.suites import SuiteRow
    from tenure.adapters.sql.validations import BatchChecks, EarlierSuite, TrainedVersion

BATCHES = 30
"""Batches in the history of a check."""
_SHOWN_CHANGES = 12


@dataclass(frozen=True)
class Point:
    """A check in one batch; `value` is the observed number, a share in percent or a measure."""

    batch: str
    verdict: Verdict
    value: float | None


@dataclass(frozen=True)
class CheckLine:
    """One check: the sentence, what the steward noted, what was seen, and its history."""

    sentence: str
    notes: str
    rule: str
    severity: Severity
    verdict: Verdict
    observed: str
    allowed: str
    history: tuple[Point, ...]


@dataclass(frozen=True)
class SuiteDifference:
    """What changed in the suite since another revision judged."""

    since: str
    before: str
    words: tuple[str, ...]
    more: int


@dataclass(frozen=True)
class ValidationPage:
    """One validation in full; its checks are `broken`, `unsure` (no value to look at), `sound`."""

    dataset: str
    batch: str
    validation: "ValidationRow"
    config: DatasetConfig | None
    suite: str
    broken: list[CheckLine]
    unsure: list[CheckLine]
    sound: list[CheckLine]
    failing: FailingRows
    quarantine: str | None
    readers: list[tuple[DatasetReader, tuple[str, ...]]]
    versions: "list[TrainedVersion]"
    in_force: "SnapshotRow | None"
    suite_difference: SuiteDifference | None
    visibility: Visibility
    is_partly_usable: bool
    later: "ValidationRow | None"
    """The newest judgement of this batch, when that is another one."""
    drawn: bool = field(default=False)

    @property
    def failed(self) -> bool:
        """Whether the batch was stopped."""
        return self.validation.verdict is not Verdict.PASSED


@dataclass(frozen=True)
class _Stored:
    """Everything that the lifecycle database knows about a validation."""

    validation: "ValidationRow"
    history: "list[BatchChecks]"
    suite: "SuiteRow | None"
    suite_before: "EarlierSuite | None"
    config: str | None
    newest_config: str | None
    snapshot: "SnapshotRow | None"
    versions: "list[TrainedVersion]"
    later: "ValidationRow | None"


def validation_page(platform: Installation, page: ReportPage) -> ValidationPage | None:
    """The page of a report; None when it belongs to no validation."""
    report = page.row.report
    stored = _stored(platform, page.row.digest)
    if stored is None:
        return None
    validation = stored.validation
    then, now = stored_config(stored.config), stored_config(stored.newest_config)
    visibility = Visibility.of(config for config in (then, now) if config is not None)
    suite = _suite(stored.suite)
    lines = _lines(report.checks, suite, stored, visibility)
    by_verdict = {verdict: [li for li in lines if li.verdict is verdict] for verdict in Verdict}
    is_passed = validation.verdict is Verdict.PASSED
    blamed_columns = _blamed(report.checks)
    quarantine_key = validation.quarantine_key
    return ValidationPage(
        dataset=validation.dataset,
        batch=validation.batch,
        validation=validation,
        config=then or now,
        suite=stored.suite.name if stored.suite else str(report.facts.get("suite")),
        broken=by_verdict[Verdict.FAILED],
        unsure=by_verdict[Verdict.INCONCLUSIVE],
        sound=by_verdict[Verdict.PASSED],
        failing=failing_rows(
            platform,
            quarantine_key,
            visibility,
            keys=then.contract.key if then else (),
            words=_words(report.checks, lines),
        ),
        quarantine=platform.store.url(quarantine_key) if quarantine_key else None,
        readers=[
            (reader, tuple(sorted(reader.columns & blamed_columns)))
            for reader in readers(platform, validation.dataset)
        ],
        versions=stored.versions,
        in_force=stored.snapshot,
        suite_difference=_suite_difference(suite, stored.suite_before),
        visibility=visibility,
        is_partly_usable=is_passed and is_partly_usable(report.checks),
        later=stored.later,
        drawn=page.drawn,
    )


def _stored(platform: Installation, digest: str) -> _Stored | None:
    from tenure.adapters.sql import data
    from tenure.adapters.sql import validations as sql

    with platform.database.begin() as connection:
        validation = sql.of_report(connection, digest)
        if validation is None:
            return None
        name = validation.dataset
        newest = data.validations(connection, name, validation.batch, limit=1)[0]
        return _Stored(
            validation=validation,
            history=sql.history(connection, name, validation.id, BATCHES),
            suite=sql.suite(connection, validation.suite_digest),
            suite_before=sql.suite_before(connection, validation),
            config=sql.config(connection, validation.config_digest),
            newest_config=sql.newest_config(connection, name),
            snapshot=data.newest(connection, name),
            versions=sql.trained_on(connection, validation.snapshot_id),
            later=newest if newest.id != validation.id else None,
        )


def _suite(revision: "SuiteRow | EarlierSuite | None") -> Suite | None:
    if revision is None:
        return None
    return stored_suite(revision.digest, revision.name, revision.body)


def _lines(
    checks: Sequence[Check], suite: Suite | None, stored: _Stored, visibility: Visibility
) -> list[CheckLine]:
    known = {rule_key(e): e for e in suite.expectations} if suite else {}
    noted = (
        dict(zip(map(rule_key, suite.expectations), notes_of(suite), strict=True)) if suite else {}
    )
    past = [(one.batch, by_place(one.checks)) for one in stored.history]
    found = []
    for check in checks:
        key = (check.rule, check.subject, check.allowed)
        shown = visibility.shows_all(check.columns)
        expectation = known.get(key)
        found.append(
            CheckLine(
                sentence=sentence(expectation) if expectation else rule_sentence(*key),
                notes=noted.get(key, ""),
                rule=check.rule,
                severity=check.severity,
                verdict=check.verdict,
                observed=check.observed if shown else without_values(check),
                allowed=check.allowed,
                history=tuple(p for p in points_of(past, key, shown=shown) if p is not None),
            )
        )
    return found


def points_of(
    past: Sequence[tuple[str, Mapping[tuple[str, str], list[Check]]]],
    key: tuple[str, str, str],
    *,
    shown: bool,
) -> list[Point | None]:
    """The check in each batch: the same one, or the only one of its rule and column, or None."""
    return [_point(batch, checks, key, shown=shown) for batch, checks in past]


def _point(
    batch: str,
    checks: Mapping[tuple[str, str], list[Check]],
    key: tuple[str, str, str],
    *,
    shown: bool,
) -> Point | None:
    alike = checks.get(key[:2], [])
    same = [check for check in alike if check.allowed == key[2]] or alike
    if len(same) != 1:
        return None
    return Point(batch, same[0].verdict, charted_number(same[0], shown=shown))


def by_place(checks: Sequence[Check]) -> dict[tuple[str, str], list[Check]]:
    """The checks by their rule and subject."""
    found: dict[tuple[str, str], list[Check]] = {}
    for check in checks:
        found.setdefault((check.rule, check.subject), []).append(check)
    return found


def rule_key(expectation: Expectation) -> tuple[str, str, str]:
    """By which a check of a report is found again."""
    return expectation.type, expectation.subject, allowed(expectation)


def notes_of(suite: Suite) -> list[str]:
    """What the steward wrote beside each expectation, in the order of the suite."""
    return [_note(item) for item in json.loads(suite.body)["expectations"]]


def _note(item: Mapping[str, Any]) -> str:
    notes = item.get("notes") or item.get("description") or ""
    return " ".join(map(str, notes)) if isinstance(notes, list) else str(notes)


def _words(checks: Sequence[Check], lines: Sequence[CheckLine]) -> dict[Reason, str]:
    """Reason as it stands in quarantine to the sentence of its check."""
    return {
        Reason(check.rule, check.subject, check.columns, check.allowed): line.sentence
        for check, line in zip(checks, lines, strict=True)
    }


def _blamed(checks: Sequence[Check]) -> set[str]:
    return {name for check in checks if check.verdict is Verdict.FAILED for name in check.columns}


def _suite_difference(suite: Suite | None, before: "EarlierSuite | None") -> SuiteDifference | None:
    if suite is None or before is None:
        return None
    old = _suite(before)
    words = [str(change) for change in changes(old, suite)] if old else []
    return SuiteDifference(
        since=before.batch,
        before=before.digest,
        words=tuple(words[:_SHOWN_CHANGES]),
        more=max(0, len(words) - _SHOWN_CHANGES),
    )
