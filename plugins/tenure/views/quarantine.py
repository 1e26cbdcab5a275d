"""What lies in quarantine of a dataset, by cause and batch, and what people decided about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig
from tenure.installation import Installation
from tenure.lifecycle.data.quality import Reason, ReasonCount, counts_from_facts
from tenure.lifecycle.data.sentences import rule_sentence
from tenure.vocabulary import Role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.quarantine import QuarantinedBatch, QuarantineDecision

BATCHES = 12
"""Columns of the table, the newest batches with rows in quarantine."""


@dataclass(frozen=True)
class CauseRows:
    """The rows of one cause in one batch; `decision` is the one that holds, of a release open."""

    reason: Reason
    rows: int
    decision: "QuarantineDecision | None"

    @property
    def is_discarded(self) -> bool:
        """Whether a steward discarded them."""
        return self.decision is not None and self.decision.act == "discard"


@dataclass(frozen=True)
class BatchInQuarantine:
    """One batch: where its rows are, and its causes, the most frequent first.

    `rows_in` = `published` + `released` + `waiting` + `discarded`, and of a refused batch `held`:
    good rows that wait for the repaired file.
    """

    row: "QuarantinedBatch"
    published: int
    released: int
    waiting: int
    discarded: int
    held: int
    causes: list[CauseRows]

    def rows_of(self, reason: Reason) -> int:
        """Its rows of a cause."""
        return sum(one.rows for one in self.causes if one.reason == reason)


@dataclass(frozen=True)
class Quarantine:
    """The quarantine of a dataset: `reasons` are those of the batches; `more` batches are left out.

    `proposals` are releases, newest first; `words` say what rules in force ask, by rule, subject
    and what they allow.
    """

    batches: list[BatchInQuarantine]
    more: int
    reasons: list[ReasonCount]
    proposals: "list[QuarantineDecision]"
    words: Mapping[tuple[str, str, str], str]

    def sentence(self, reason: Reason) -> str:
        """The cause for people."""
        known = self.words.get((reason.rule, reason.subject, reason.allowed))
        return known or rule_sentence(reason.rule, reason.subject, reason.allowed)


def quarantine_of(
    connection: "Connection", name: str, words: Mapping[tuple[str, str, str], str] | None = None
) -> Quarantine:
    """Read off the reports, so that no file is opened; `words` as in `Quarantine`."""
    from tenure.adapters.sql import quarantine

    rows = quarantine.batches(connection, name, BATCHES)
    decisions = quarantine.of_dataset(connection, name)
    shown = [_batch(row, quarantine.that_hold(decisions, row.id)) for row in rows]
    total: dict[Reason, int] = {}
    for batch in shown:
        for cause in batch.causes:
            total[cause.reason] = total.get(cause.reason, 0) + cause.rows
    counted = sorted(total.items(), key=lambda one: -one[1])
    return Quarantine(
        batches=shown,
        more=rows[0].total - len(rows) if rows else 0,
        reasons=[ReasonCount(reason, number) for reason, number in counted],
        proposals=[one for one in decisions if one.act == "release"],
        words=words or {},
    )


def open_releases(platform: Installation) -> dict[str, int]:
    """Releases that wait for a second person, by dataset."""
    from tenure.adapters.sql import quarantine

    with platform.database.begin() as connection:
        return quarantine.unanswered(connection)


def may_take(platform: Installation, config: DatasetConfig, user: str) -> bool:
    """Whether the person may take quarantined rows along: a steward, or who owns the dataset."""
    people = {config.owner.casefold(), config.steward.casefold()}
    return platform.config.allows(user, Role.STEWARD) or user.casefold() in people


def _batch(row: "QuarantinedBatch", decisions: "Sequence[QuarantineDecision]") -> BatchInQuarantine:
    discarded = sum(one.rows for one in decisions if one.act == "discard")
    released = sum(one.rows for one in decisions if one.made is not None)
    holding = {
        one.cause_id: one for one in reversed(decisions) if one.act == "discard" or one.is_open
    }
    return BatchInQuarantine(
        row=row,
        published=row.rows_ok - released if row.is_published else 0,
        released=released,
        waiting=row.rows_quarantined - discarded,
        discarded=discarded,
        held=0 if row.is_published else row.rows_ok,
        causes=[
            CauseRows(one.reason, one.rows, holding.get(one.reason.id))
            for one in counts_from_facts({"reasons": row.reasons})
        ],
    )
