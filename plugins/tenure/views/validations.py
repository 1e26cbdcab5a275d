"""What the report page of a validation shows, put together from what was stored; reads only."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenure.config import DatasetConfig
from tenure.installation import Installation
from tenure.lifecycle.data.expectations import Expectation, Suite, allowed
from tenure.lifecycle.data.sentences import measured, rule_sentence, sentence
from tenure.lifecycle.data.suite_changes import changes
from tenure.views.datasets import DatasetReader, readers, stored_config, stored_suite
from tenure.views.failing_rows import FailingRows, Visibility, blamed, failing_rows

Row = dict[str, Any]
BATCHES = 30
"""Batches in the history of a check."""
NOT_SHOWN = "a value that is not shown"
_NAME = re.compile(r"(.*) \((\w+)\)")
_SHOWN_CHANGES = 12


@dataclass(frozen=True)
class Point:
    """A check in one batch; `value` is the observed number, a share in percent or a measure."""

    batch: str
    verdict: str
    value: float | None


@dataclass(frozen=True)
class CheckLine:
    """One check: the sentence, what the steward noted, what was seen, and its history."""

    sentence: str
    notes: str
    rule: str
    severity: str
    verdict: str
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
    """One validation in full; `sound` and `broken` are its checks."""

    dataset: str
    batch: str
    validation: Row
    config: DatasetConfig | None
    suite: str
    broken: list[CheckLine]
    sound: list[CheckLine]
    failing: FailingRows
    quarantine: str | None
    readers: list[tuple[DatasetReader, tuple[str, ...]]]
    versions: list[Row]
    in_force: Row | None
    suite_difference: SuiteDifference | None
    visibility: Visibility
    drawn: bool = field(default=False)

    @property
    def failed(self) -> bool:
        """Whether the batch was stopped."""
        return bool(self.validation["verdict"] != "passed")


@dataclass(frozen=True)
class _Stored:
    """Everything that the lifecycle database knows about a validation."""

    validation: Row
    history: list[Row]
    suite: Row | None
    suite_before: Row | None
    config: str | None
    newest_config: str | None
    snapshot: Row | None
    versions: list[Row]


def validation_page(platform: Installation, report: Row) -> ValidationPage | None:
    """The page of a report's row (with `drawn`); None when it belongs to no validation."""
    stored = _stored(platform, report["digest"])
    if stored is None:
        return None
    validation = stored.validation
    then, now = stored_config(stored.config), stored_config(stored.newest_config)
    visibility = Visibility.of(config for config in (then, now) if config is not None)
    suite = _suite(stored.suite)
    lines = _lines(report["body"]["checks"], suite, stored, visibility)
    broken = [line for line in lines if line.verdict != "passed"]
    blamed_columns = _blamed(report["body"]["checks"])
    quarantine_key = validation["quarantine_key"]
    return ValidationPage(
        dataset=validation["dataset"],
        batch=validation["batch"],
        validation=validation,
        config=then or now,
        suite=stored.suite["name"] if stored.suite else str(report["body"]["facts"].get("suite")),
        broken=broken,
        sound=[line for line in lines if line.verdict == "passed"],
        failing=failing_rows(
            platform,
            quarantine_key,
            visibility,
            keys=then.contract.key if then else (),
            words=_words(report["body"]["checks"], lines),
        ),
        quarantine=platform.store.url(quarantine_key) if quarantine_key else None,
        readers=[
            (reader, tuple(sorted(reader.columns & blamed_columns)))
            for reader in readers(platform, validation["dataset"])
        ],
        versions=stored.versions,
        in_force=stored.snapshot,
        suite_difference=_suite_difference(suite, stored.suite_before),
        visibility=visibility,
        drawn=report["drawn"],
    )


def _stored(platform: Installation, digest: str) -> _Stored | None:
    from tenure.adapters.sql import data
    from tenure.adapters.sql import validations as sql

    with platform.database.begin() as connection:
        validation = sql.of_report(connection, digest)
        if validation is None:
            return None
        name = validation["dataset"]
        return _Stored(
            validation=validation,
            history=sql.history(connection, name, validation["id"], BATCHES),
            suite=sql.suite(connection, validation["suite_digest"]),
            suite_before=sql.suite_before(connection, name, validation),
            config=sql.config(connection, validation["config_digest"]),
            newest_config=sql.newest_config(connection, name),
            snapshot=data.newest(connection, name),
            versions=sql.trained_on(connection, validation["snapshot_id"]),
        )


def _suite(revision: Row | None) -> Suite | None:
    if revision is None:
        return None
    return stored_suite(revision["digest"], revision["name"], revision["body"])


def _lines(
    checks: Sequence[Row], suite: Suite | None, stored: _Stored, visibility: Visibility
) -> list[CheckLine]:
    known = {_key(e): e for e in suite.expectations} if suite else {}
    noted = dict(zip(map(_key, suite.expectations), _notes(suite), strict=True)) if suite else {}
    past = [(row["batch"], _by_place(row["checks"])) for row in stored.history]
    found = []
    for check in checks:
        rule, severity = _rule(check)
        key = (rule, check["subject"], check["allowed"])
        shown = visibility.shows_all(_columns(check["subject"]))
        expectation = known.get(key)
        found.append(
            CheckLine(
                sentence=sentence(expectation) if expectation else rule_sentence(*key),
                notes=noted.get(key, ""),
                rule=rule,
                severity=severity,
                verdict=check["verdict"],
                observed=check["observed"] if shown else without_values(check["observed"]),
                allowed=check["allowed"],
                history=tuple(_points(past, key, shown=shown)),
            )
        )
    return found


def _points(
    past: Sequence[tuple[str, Mapping[tuple[str, str], list[Row]]]],
    key: tuple[str, str, str],
    *,
    shown: bool,
) -> list[Point]:
    """The check in each batch: the same one, or the only one of its rule and column."""
    found = []
    for batch, checks in past:
        alike = checks.get(key[:2], [])
        same = [check for check in alike if check["allowed"] == key[2]] or alike
        if len(same) == 1:
            observed = same[0]["observed"] if shown else without_values(same[0]["observed"])
            found.append(Point(batch, same[0]["verdict"], measured(observed)))
    return found


def without_values(observed: str) -> str:
    """An observation without any value of the data: counts of rows stay, the rest is hidden.

    >>> without_values("3 of 12 unknown values (25.0%), such as 'ada'")
    '3 of 12 unknown values (25.0%)'
    >>> without_values("mean 53.2")
    'a value that is not shown'
    """
    counted = re.match(r"[\d,]+ of [\d,]+ [^,]*?(?=, such as |$)", observed)
    if counted:
        return counted[0]
    return observed if re.fullmatch(r"[\d,]+ (good )?rows", observed) else NOT_SHOWN


def _by_place(checks: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for check in checks:
        found.setdefault((_rule(check)[0], check["subject"]), []).append(check)
    return found


def _rule(check: Row) -> tuple[str, str]:
    """Rule and severity of a check that is called `rule (severity)`."""
    named = _NAME.fullmatch(check["name"])
    return (named[1], named[2]) if named else (check["name"], "critical")


def _key(expectation: Expectation) -> tuple[str, str, str]:
    return expectation.type, expectation.subject, allowed(expectation)


def _notes(suite: Suite) -> list[str]:
    """What the steward wrote beside each expectation, in the order of the suite."""
    return [_note(item) for item in json.loads(suite.body)["expectations"]]


def _note(item: Mapping[str, Any]) -> str:
    notes = item.get("notes") or item.get("description") or ""
    return " ".join(map(str, notes)) if isinstance(notes, list) else str(notes)


def _words(checks: Sequence[Row], lines: Sequence[CheckLine]) -> dict[str, str]:
    """Reason as it stands in quarantine to the sentence of its check."""
    return {
        f"{check['subject']}: {line.rule}, allowed {check['allowed']}": line.sentence
        for check, line in zip(checks, lines, strict=True)
    }


def _blamed(checks: Sequence[Row]) -> set[str]:
    broken = [check["subject"] for check in checks if check["verdict"] != "passed"]
    return {column for subject in broken for column in _columns(subject)}


def _columns(subject: str) -> set[str]:
    return blamed(f"{subject}: ")


def _suite_difference(suite: Suite | None, before: Row | None) -> SuiteDifference | None:
    if suite is None or before is None:
        return None
    old = _suite(before)
    words = [str(change) for change in changes(old, suite)] if old else []
    return SuiteDifference(
        since=before["batch"],
        before=before["digest"],
        words=tuple(words[:_SHOWN_CHANGES]),
        more=max(0, len(words) - _SHOWN_CHANGES),
    )
