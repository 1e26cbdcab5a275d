"""The page of one version: who said what about which bytes, and what proves it; reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.errors import ArtifactRefused
from tenure.installation import Installation
from tenure.lifecycle.audit.ledger import Event, event_hash
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion.approval import evidence_digest, quorum_of

if TYPE_CHECKING:
    from tenure.adapters.sql.overview import VerdictLine
    from tenure.adapters.sql.version_page import SeatAnswer, TrainedOn, VerifiedChain


@dataclass(frozen=True)
class Seat:
    """One answer: the seat is the person's place among the distinct people who approved.

    `is_bound` says whether it is about the artifact and the evidence as they are now; None when
    the evidence cannot be computed.
    """

    given: "SeatAnswer"
    number: int | None
    is_bound: bool | None


@dataclass(frozen=True)
class EvidencePart:
    """A part of what the approvers were shown, with its digest; `is_report` when it opens."""

    name: str
    digest: str | None
    is_report: bool


@dataclass(frozen=True)
class LedgerLine:
    """A ledger event with the hash that its own content gives."""

    event: Event
    holds: bool
    is_verified: bool
    """Whether the newest verification of the whole ledger goes as far."""


@dataclass(frozen=True)
class VersionPage:
    """Everything that an auditor asks about a version.

    `evidence` is the digest that an approval of it as it is now is bound to; None before it is
    trained, or when its facts cannot be read, which `trouble` says.
    """

    row: VersionRow
    quorum: int
    parts: Sequence[EvidencePart]
    evidence: str | None
    trouble: str
    seats: Sequence[Seat]
    reports: "Sequence[VerdictLine]"
    trained_on: "Sequence[TrainedOn]"
    ledger: Sequence[LedgerLine]
    verified: "VerifiedChain | None"
    config: str | None
    had_canary: bool
    """Whether it ever was on probation with a share of the traffic."""

    @property
    def unsound(self) -> list[int]:
        """Numbers of ledger events whose hash is not that of their content."""
        return [line.event.seq for line in self.ledger if not line.holds]


def version_page(platform: Installation, model: str, number: int) -> VersionPage | None:
    """One version in full, or None when there is none of the number."""
    from tenure.adapters.sql import version_page as sql
    from tenure.adapters.sql.canary_page import canaries_of

    with platform.database.begin() as connection:
        row = sql.row_of(connection, model, number)
        if row is None:
            return None
        parts, trouble = _parts(row, sql.record_digest(connection, row.id))
        evidence = _evidence(row) if row.is_trained and not trouble else None
        verified = sql.verified(connection)
        opens = [part.digest for part in parts if part.is_report and part.digest]
        return VersionPage(
            row=row,
            quorum=quorum_of(sql.risk_tier(connection, model)),
            parts=parts,
            evidence=evidence,
            trouble=trouble,
            seats=_seats(row, evidence, sql.answers(connection, row.id)),
            reports=sql.reports(connection, row.name, opens),
            trained_on=sql.trained_on(connection, row.id),
            ledger=[_line(event, verified) for event in sql.events(connection, row.id)],
            verified=verified,
            config=sql.config_text(connection, row.config_digest),
            had_canary=any(one.id == row.id for one in canaries_of(connection, model)),
        )


def version_of_evidence(platform: Installation, digest: str) -> tuple[str, int] | None:
    """Model and number of the version that was approved with this evidence, or None."""
    from tenure.adapters.sql import version_page as sql

    with platform.database.begin() as connection:
        return sql.of_evidence(connection, digest)


def dossier(platform: Installation, page: VersionPage) -> dict[str, object]:
    """The page with every report in full, as JSON values: what an auditor takes along."""
    from tenure.adapters.sql.reports import by_digest

    with platform.database.begin() as connection:
        found = [by_digest(connection, one.digest) for one in page.reports]
    return {
        "version": {**page.row.to_json(), "state": page.row.state},
        "as_of": platform.clock.now().isoformat(),
        "quorum": page.quorum,
        "evidence": {part.name: part.digest for part in page.parts},
        "evidence_digest": page.evidence,
        "approvals": [{**_texts(asdict(seat.given)), "seat": seat.number} for seat in page.seats],
        "trained_on": [_texts(asdict(one)) for one in page.trained_on],
        "reports": {row.digest: row.report.to_dict() for row in found if row is not None},
        "ledger": [_texts(asdict(line.event)) for line in page.ledger],
        "ledger_verification": _verification(page.verified),
        "config": page.config,
    }


def _verification(found: "VerifiedChain | None") -> dict[str, object] | None:
    if found is None:
        return None
    head = found.anchor
    return {"seq": head.seq, "head": head.hash, "at": found.at.isoformat()}


def _texts(values: Mapping[str, object]) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def _parts(row: VersionRow, record: str | None) -> tuple[list[EvidencePart], str]:
    onnx, trouble = None, ""
    try:
        onnx = row.facts.onnx_file if row.is_trained else None
    except ArtifactRefused as error:
        trouble = error.what
    parts = [
        EvidencePart("evaluation", row.evaluation_report, is_report=True),
        EvidencePart("bias audit", row.bias_report, is_report=True),
        EvidencePart("artifact", row.artifact_digest, is_report=False),
        EvidencePart("data", row.data_digest, is_report=False),
        EvidencePart("suite", row.suite_digest, is_report=False),
        EvidencePart("code", row.code_digest, is_report=False),
        EvidencePart("config", row.config_digest, is_report=False),
        EvidencePart("lock", row.lock_digest, is_report=False),
    ]
    parts += [EvidencePart("ONNX file", onnx.digest, is_report=False)] if onnx else []
    parts += [EvidencePart("decommission record", record, is_report=True)] if record else []
    return parts, trouble


def _evidence(row: VersionRow) -> str:
    onnx = row.facts.onnx_file
    return evidence_digest(
        artifact=str(row.artifact_digest),
        evaluation=str(row.evaluation_report),
        bias=str(row.bias_report),
        onnx=onnx.digest if onnx else None,
    )


def _seats(row: VersionRow, evidence: str | None, given: "Sequence[SeatAnswer]") -> list[Seat]:
    people = [one.approver.casefold() for one in given if one.answer == "approve"]
    order = {name: number for number, name in enumerate(dict.fromkeys(people), start=1)}
    return [
        Seat(
            one,
            order.get(one.approver.casefold()) if one.answer == "approve" else None,
            None
            if evidence is None
            else (one.artifact_digest, one.evidence_digest) == (row.artifact_digest, evidence),
        )
        for one in given
    ]


def _line(event: Event, verified: "VerifiedChain | None") -> LedgerLine:
    content = {name: value for name, value in asdict(event).items() if name != "hash"}
    return LedgerLine(
        event,
        holds=event_hash(**content) == event.hash,
        is_verified=verified is not None and event.seq <= verified.anchor.seq,
    )
