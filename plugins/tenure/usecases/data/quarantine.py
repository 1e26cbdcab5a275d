"""What a steward does about rows that were set aside: take them along, discard, release.

A release takes two people. It judges nothing anew: it is another judgement of the same file by the
same rules, in which the rows of one cause count as accepted, with a snapshot of its own. So rows in
are rows published and rows in quarantine, as of every batch, and what learned from the snapshot
before stays as it is. A file that is judged again, by whatever rules, is decided on anew.

Import it inside functions: it loads SQLAlchemy.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from tenure.adapters.sql import data, quarantine, reads, reports
from tenure.adapters.sql.data import NewSnapshot, NewValidation, ValidationRow
from tenure.adapters.sql.quarantine import NewDecision, QuarantineDecision
from tenure.adapters.sql.reports import ReportRow
from tenure.config import DatasetConfig, load_dataset
from tenure.errors import NotPermitted, ObjectMissing, StateConflict
from tenure.failpoints import failpoint
from tenure.files import digest_file
from tenure.installation import Installation
from tenure.layout import INGEST_DATA, dag_id, quarantine_key, snapshot_key
from tenure.lifecycle.data.quality import (
    REASONS,
    Reason,
    count_reasons,
    counts_from_facts,
    counts_to_facts,
)
from tenure.lifecycle.data.schema import Shape
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.lifecycle.data.sentences import rule_sentence
from tenure.lifecycle.data.sources import Rules
from tenure.usecases.data.judge_file import QUARANTINE, SNAPSHOT, Draft
from tenure.usecases.data.landing import work_folder
from tenure.usecases.data.publication import put_manifest
from tenure.usecases.data.second_person import require_second_person
from tenure.usecases.data.snapshots import open_snapshot
from tenure.verdicts import Report, Verdict
from tenure.views.failing_rows import MASK, MAX_BYTES, Visibility
from tenure.views.quarantine import may_take
from tenure.vocabulary import REASON, Role, RunRef, digest_json, op_key

Act = Literal["release", "discard"]
_SAFE = "Nothing was changed: the rows stay in quarantine, and every snapshot stands."
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class QuarantineAsk:
    """Rows of one cause, and who asks.

    Args:
        dataset: Whose.
        judgement: Number of the judgement that set them aside.
        cause: `Reason.id`.
        user: The person.
    """

    dataset: str
    judgement: int
    cause: str
    user: str


@dataclass(frozen=True)
class QuarantinePlan:
    """A dry run: what would change, and how many rows it concerns; with 0 nothing can be done."""

    sentence: str
    rows: int

    @property
    def seen(self) -> str:
        """Names what the person saw."""
        return digest_json([self.sentence, self.rows])


@dataclass(frozen=True)
class _Case:
    config: DatasetConfig
    row: ValidationRow
    evidence: ReportRow
    cause: Reason
    decisions: list[QuarantineDecision]

    @property
    def name(self) -> str:
        return f"{self.row.dataset} {self.row.batch}"

    @property
    def words(self) -> str:
        """The cause for people."""
        return rule_sentence(self.cause.rule, self.cause.subject, self.cause.allowed)

    @property
    def discarded(self) -> frozenset[str]:
        """Causes whose rows are never published."""
        return frozenset(one.cause_id for one in self.decisions if one.act == "discard")


def plan(platform: Installation, ask: QuarantineAsk, act: Act) -> QuarantinePlan:
    """The dry run of a release or a discard, in numbers.

    Raises:
        StateConflict: There is no such cause any more, or it is decided.
    """
    with platform.database.begin() as connection:
        case = _case(connection, platform, ask)
    return _planned(platform, case, act)


def decide(
    platform: Installation, ask: QuarantineAsk, act: Act, *, reason: str, seen: str | None = None
) -> int:
    """Discard the rows of a cause, or propose their release; returns the decision's number.

    Args:
        platform: The installation.
        ask: Which rows.
        act: What.
        reason: Why.
        seen: `QuarantinePlan.seen` of the dry run; None when there was none.

    Raises:
        NotPermitted: The person is no steward.
        TextRefused: The reason cannot be kept.
        StateConflict: As `plan`; or no row would change, or it is not as in the dry run.
    """
    REASON.require(reason, "reason", still_safe=_SAFE)
    if not platform.config.allows(ask.user, Role.STEWARD):
        raise NotPermitted(
            f"{ask.user} may not decide about quarantined rows: that needs the role steward.",
            still_safe=_SAFE,
            next_step="Ask the dataset's steward, or add the name to `roles.steward` in "
            "include/configs/platform.yaml.",
        )
    with platform.database.begin() as connection:
        quarantine.hold(connection, ask.dataset)
        case = _case(connection, platform, ask)
        planned = _planned(platform, case, act)
        if not planned.rows or seen not in {None, planned.seen}:
            raise StateConflict(planned.sentence, still_safe=_SAFE, next_step="Reload the page.")
        new = NewDecision(
            dataset=ask.dataset,
            validation_id=case.row.id,
            act=act,
            cause_id=case.cause.id,
            cause=case.words,
            rows=planned.rows,
            reason=reason,
            decided_by=ask.user,
        )
        number = quarantine.add(connection, new)
        body = {"decision": number, "batch": case.row.batch, **vars(new)}
        _note(platform, connection, f"quarantine.{act}", ask, number, body)
        failpoint("quarantine.decided")
    return number


def answer(
    platform: Installation, number: int, *, of: str, accept: bool, user: str, reason: str
) -> QuarantineDecision:
    """Accept a proposed release, which publishes a new snapshot of the batch, or decline it; once.

    Args:
        platform: The installation.
        number: Of the proposal.
        of: The dataset.
        accept: Yes or no.
        user: Who answers.
        reason: Why.

    Raises:
        NotPermitted: The person is neither steward nor approver, or it is her own proposal.
        TextRefused: The reason cannot be kept.
        StateConflict: There is no such proposal, it was answered, the batch was judged again since,
            or its rows cannot be put together.
    """
    REASON.require(reason, "reason", still_safe=_SAFE)
    with platform.database.begin() as connection:
        found = _open_proposal(connection, platform, number, of, user=user, accept=accept)
        ask = QuarantineAsk(of, found.validation_id, found.cause_id, user)
        case = _case(connection, platform, ask, answering=number) if accept else None
    if case is None:
        with platform.database.begin() as connection:
            quarantine.hold(connection, of)
            _open_proposal(connection, platform, number, of, user=user, accept=False)
            quarantine.answer(connection, number, answered_by=user, reason=reason, made=None)
            body = {"decision": number, "answer": "decline", "reason": reason}
            _note(platform, connection, "quarantine.answer", ask, number, body)
    else:
        _release(platform, case, ask, number, reason)
    with platform.database.begin() as connection:
        answered = quarantine.find(connection, number)
    assert answered is not None
    return answered


def rows_as_csv(platform: Installation, ask: QuarantineAsk) -> tuple[str, str]:
    """Name and text of a CSV file with the rows of a cause, as they came; the read is recorded.

    Columns that are personal, or that the contract does not know, are masked. What a spreadsheet
    would run as a formula begins with an apostrophe.

    Raises:
        NotPermitted: The person is neither steward nor owner, or the dataset is restricted.
        StateConflict: There are no such rows, or too many for a page.
    """
    from tenure.adapters.arrow_tables.peeking import every_row

    config, _ = load_dataset(platform.settings.include, ask.dataset)
    _require_taking(platform, config, ask.user)
    with platform.database.begin() as connection:
        row, _evidence, cause = _judged(connection, ask)
        visibility = _visibility(connection, config, row)
        key = _require_rows(platform, row)
        run = _run("download", ask.user)
        reads.note_quarantine_read(connection, ask.dataset, key, purpose="download", run=run)
    found = [one for one in every_row(platform.store.fetch(key)) if cause in one.reasons]
    names = list(found[0].cells) if found else []
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["row", *map(_cell, names), "reasons"])
    for one in found:
        cells = [_cell(one.cells[n]) if visibility.shows(n) else MASK for n in names]
        writer.writerow([one.number, *cells, _cell("; ".join(map(str, one.reasons)))])
    return f"{ask.dataset}-{row.batch}-quarantine-{cause.id}.csv", text.getvalue()


def _planned(platform: Installation, case: _Case, act: Act) -> QuarantinePlan:
    from tenure.adapters.arrow_tables.peeking import every_reason

    trouble = _obstacle(case) if act == "release" else ""
    if trouble:
        return QuarantinePlan(trouble, 0)
    of_rows = every_reason(platform.store.fetch(_require_rows(platform, case.row)))
    mine = [reasons for reasons in of_rows if case.cause in reasons]
    return _release_plan(case, mine) if act == "release" else _discard_plan(case, mine)


def _release_plan(case: _Case, mine: Sequence[Sequence[Reason]]) -> QuarantinePlan:
    alone = sum({*reasons} == {case.cause} for reasons in mine)
    rest = len(mine) - alone
    also = f" {rest:,} stay in quarantine, for other reasons that they have." if rest else ""
    if not alone:
        return QuarantinePlan(f"No row would be published.{also}", 0)
    row = case.row
    return QuarantinePlan(
        f"Would publish {alone:,} of the {len(mine):,} rows: the snapshot of {case.name} would "
        f"hold {row.rows_ok + alone:,} of {row.rows_in:,} rows, now {row.rows_ok:,}.{also} Models "
        "get them at their next training; versions that learned from the snapshot of now stay as "
        "they are.",
        alone,
    )


def _discard_plan(case: _Case, mine: Sequence[Sequence[Reason]]) -> QuarantinePlan:
    fresh = sum(not case.discarded.intersection(r.id for r in reasons) for reasons in mine)
    if case.cause.id in case.discarded:
        return QuarantinePlan("These rows are discarded already.", 0)
    if not fresh:
        return QuarantinePlan("All of these rows are discarded already, for another cause.", 0)
    return QuarantinePlan(
        f"Would discard {fresh:,} rows of {case.name}: nobody can release them any more. The file "
        "with them stays in quarantine as evidence, and what is published stays published.",
        fresh,
    )


def _obstacle(case: _Case) -> str:
    """Why rows of the cause cannot be released; empty when they can."""
    if case.row.digest is None:
        return (
            f"{case.name} was refused as a whole: no row of it is published before a repaired file "
            "comes, or its rules change."
        )
    if not case.cause.is_of_suite:
        return (
            "The contract set these rows aside: they lack the types or the key that every reader "
            "relies on. Only a repaired file brings them."
        )
    if case.cause.id in case.discarded:
        return "These rows are discarded."
    waiting = [one.id for one in case.decisions if one.is_open and one.cause_id == case.cause.id]
    return f"Proposal {waiting[0]} asks for this already." if waiting else ""


def _release(
    platform: Installation, case: _Case, ask: QuarantineAsk, number: int, reason: str
) -> None:
    """Files first, by content; then one transaction makes them a fact, or leaves nothing of it."""
    with platform.database.begin() as connection:
        shape = reads.shapes_of(connection, [case.row.snapshot_id or 0]).get(
            case.row.snapshot_id or 0
        )
    _require_tokens(case, shape)
    assert shape is not None
    cache = platform.settings.home / "cache"
    with work_folder(cache / "work", platform.clock.now()) as folder:
        draft, aside, report = _written(platform, case, ask, number, folder)
    run = RunRef(
        case.evidence.dag_id or dag_id(ask.dataset, INGEST_DATA),
        case.evidence.run_id or "workbench",
        case.evidence.task_id or "release",
        case.evidence.map_index,
        ask.user,
    )
    platform.reports.save(report, model=None, dataset=ask.dataset, run=run)
    failpoint("quarantine.stored")
    rules = Rules(case.row.suite_digest, case.row.config_digest)
    with platform.database.begin() as connection:
        quarantine.hold(connection, ask.dataset)
        _open_proposal(connection, platform, number, ask.dataset, user=ask.user, accept=True)
        _case(connection, platform, ask, answering=number)
        manifest = put_manifest(platform.store, ask.dataset, case.row.batch, report, draft, shape)
        published = data.publish(
            connection,
            ask.dataset,
            case.row.batch,
            case.row.suite_digest,
            NewSnapshot(**vars(draft), manifest_digest=manifest),
        )
        made = data.record(
            connection,
            ask.dataset,
            rules,
            NewValidation(
                batch=case.row.batch,
                source_key=case.row.source_key,
                source_digest=case.row.source_digest,
                verdict=Verdict.PASSED,
                rows_in=case.row.rows_in,
                rows_ok=draft.rows,
                rows_quarantined=case.row.rows_in - draft.rows,
                quarantine_key=aside,
                report_digest=report.digest,
                shape=shape,
            ),
            snapshot_id=published,
        )
        quarantine.answer(connection, number, answered_by=ask.user, reason=reason, made=made)
        body = {
            "decision": number,
            "answer": "accept",
            "reason": reason,
            "batch": case.row.batch,
            "rows": draft.rows - case.row.rows_ok,
            "snapshot": draft.digest,
            "report": report.digest,
        }
        _note(platform, connection, "quarantine.answer", ask, number, body)
        failpoint("quarantine.answering")


def _written(
    platform: Installation, case: _Case, ask: QuarantineAsk, number: int, folder: Path
) -> tuple[Draft, str | None, Report]:
    """The files of the release, stored, and its report."""
    from tenure.adapters.arrow_tables.releasing import release_rows

    row, snapshot, aside = case.row, folder / SNAPSHOT, folder / QUARANTINE
    assert row.digest is not None
    run = _run("release", ask.user)
    try:
        done = release_rows(
            open_snapshot(platform, row.dataset, row.digest, purpose="release", run=run),
            platform.store.fetch(_require_rows(platform, row)),
            case.cause,
            source=case.config.source,
            time_column=case.config.time_column,
            to_snapshot=snapshot,
            to_quarantine=aside,
        )
    except (KeyError, ObjectMissing) as error:
        raise _cannot(f"its rows cannot be put together: {error}") from None
    draft = Draft(digest_file(snapshot), done.rows, done.time_min, done.time_max)
    platform.store.put_once(snapshot_key(row.dataset, draft.digest), snapshot)
    key = None
    if done.left:
        rules = f"{digest_json([row.suite_digest, row.config_digest])[:12]}-release{number}"
        key = quarantine_key(
            row.dataset, row.batch, source=row.source_digest, rules=rules, kind="parquet"
        )
        platform.store.put_file(key, aside)
    before = case.evidence.report
    report = replace(
        before,
        summary=f"{case.name}: {done.released:,} rows released by people (set aside: "
        f"{case.words}); {done.rows:,} rows published, {len(done.left):,} not. Before: "
        f"{before.summary}",
        facts={
            **before.facts,
            "rows_ok": done.rows,
            "rows_quarantined": len(done.left),
            "quarantine_key": key,
            "snapshot": draft.digest,
            REASONS: counts_to_facts(count_reasons(done.left)),
            "released": {"decision": number, "rows": done.released, "from": row.digest},
        },
    )
    return draft, key, report


def _case(
    connection: Connection, platform: Installation, ask: QuarantineAsk, *, answering: int = 0
) -> _Case:
    """What stands now about the rows; `answering` is the proposal that is no obstacle to itself."""
    config, _ = load_dataset(platform.settings.include, ask.dataset)
    row, evidence, cause = _judged(connection, ask)
    if quarantine.newest(connection, ask.dataset, row.batch) != row.id:
        raise _cannot(f"{ask.dataset} {row.batch} was judged again, or released in part, since")
    decisions = quarantine.that_hold(quarantine.of_dataset(connection, ask.dataset), row.id)
    others = [one for one in decisions if one.id != answering]
    case = _Case(config, row, evidence, cause, others)
    if answering and (trouble := _obstacle(case)):
        raise _cannot(trouble.rstrip("."))
    return case


def _judged(connection: Connection, ask: QuarantineAsk) -> tuple[ValidationRow, ReportRow, Reason]:
    row = quarantine.judgement(connection, ask.dataset, ask.judgement)
    evidence = reports.by_digest(connection, row.report_digest) if row else None
    counted = counts_from_facts(evidence.report.facts) if evidence else []
    cause = next((one.reason for one in counted if one.reason.id == ask.cause), None)
    if row is None or evidence is None or cause is None:
        raise _cannot(f"{ask.dataset} has no rows that were set aside for this cause")
    return row, evidence, cause


def _open_proposal(
    connection: Connection,
    platform: Installation,
    number: int,
    dataset: str,
    *,
    user: str,
    accept: bool,
) -> QuarantineDecision:
    found = quarantine.find(connection, number)
    if found is None or found.dataset != dataset or found.act != "release":
        raise _cannot(f"There is no proposal {number} to release rows of {dataset}")
    require_second_person(
        platform,
        f"release {number} of {dataset}",
        proposed_by=found.decided_by,
        user=user,
        accept=accept,
        still_safe=_SAFE,
    )
    if not found.is_open:
        done = "accepted" if found.answer == "accept" else "declined"
        raise _cannot(f"Proposal {number} was {done} by {found.answered_by} already")
    return found


def _require_tokens(case: _Case, shape: Shape | None) -> None:
    """In quarantine personal values are pseudonyms: beside values in clear they would be noise."""
    if shape is None:
        raise _cannot(f"the shape of the snapshot of {case.name} was not kept")
    personal = personal_columns(case.config.contract)
    clear = sorted(n for n, c in shape.columns.items() if n in personal and not c.token)
    if clear:
        raise _cannot(
            f"{case.name} publishes {', '.join(clear)} in clear, and quarantine holds pseudonyms"
        )


def _require_taking(platform: Installation, config: DatasetConfig, user: str) -> None:
    if config.sensitivity == "restricted":
        raise NotPermitted(
            f"{config.name} is restricted: no row of it leaves by a page.",
            still_safe=_SAFE,
            next_step="Who may read the object store finds the file that the report names.",
        )
    if not may_take(platform, config, user):
        raise NotPermitted(
            f"{user} may not take quarantined rows of {config.name} along.",
            still_safe=_SAFE,
            next_step=f"Ask {config.steward} or {config.owner}, or add the name to "
            "`roles.steward` in include/configs/platform.yaml.",
        )


def _require_rows(platform: Installation, row: ValidationRow) -> str:
    """Key of the quarantined rows."""
    key = row.quarantine_key or ""
    try:
        if key.endswith(".parquet") and platform.store.info(key).size <= MAX_BYTES:
            return key
    except ObjectMissing:
        pass
    raise _cannot(
        f"the quarantined rows of {row.dataset} {row.batch} are gone, or are more than "
        f"{MAX_BYTES // 1024**2} MiB"
    )


def _visibility(connection: Connection, config: DatasetConfig, row: ValidationRow) -> Visibility:
    """As on the page of the validation: the strictest of then and now."""
    from tenure.adapters.sql import validations
    from tenure.views.datasets import stored_config

    then = stored_config(validations.config(connection, row.config_digest))
    return Visibility.of(one for one in (config, then) if one is not None)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    if isinstance(value, str) and text.startswith(_FORMULA) and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _run(step: str, user: str) -> RunRef:
    return RunRef("workbench", step, step, user=user)


def _note(  # noqa: PLR0917 -- what an event says
    platform: Installation,
    connection: Connection,
    what: str,
    ask: QuarantineAsk,
    number: int,
    body: dict[str, object],
) -> None:
    subject = f"dataset:{ask.dataset}"
    platform.ledger.note(
        connection,
        subject=subject,
        actor=ask.user,
        body=body,
        op_key=op_key(what, subject, {"decision": number}),
    )


def _cannot(why: str) -> StateConflict:
    return StateConflict(
        f"{why[0].upper()}{why[1:]}.",
        still_safe=_SAFE,
        next_step="Open the workbench again and look at what is in quarantine now.",
    )
