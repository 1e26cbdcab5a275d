"""What the data gate says of columns that are gone, and of the rules that looked at them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tenure.lifecycle.data.expectations import Expectation, Suite, allowed
from tenure.lifecycle.data.quality import SCHEMA, Finding
from tenure.lifecycle.data.schema.changes import changes
from tenure.lifecycle.data.schema.shape import (
    UNKNOWN,
    ColumnShape,
    Reader,
    SchemaChange,
    SchemaChangeKind,
    Shape,
    stopped,
)
from tenure.verdicts import Severity

NAMED = 5
"""Models that one sentence names before it counts the others."""


@dataclass(frozen=True)
class LandedColumns:
    """The columns of a landed file as far as they differ from the contract.

    Args:
        set_aside: Columns of the contract that are not published: each with the type that was
            found instead, or "" when there is no such column.
        unknown: Columns that the contract does not know.
    """

    set_aside: Mapping[str, str]
    unknown: Sequence[str]


def landed_changes(
    contract: Shape, landed: LandedColumns, *, lapsed: Mapping[str, str]
) -> tuple[SchemaChange, ...]:
    """In what the file differs from the contract."""
    gone = [name for name, found in landed.set_aside.items() if not found]
    columns = {
        name: ColumnShape(landed.set_aside[name]) if landed.set_aside.get(name) else shape
        for name, shape in contract.columns.items()
        if name not in gone
    }
    columns |= {name: ColumnShape(UNKNOWN) for name in landed.unknown}
    kinds = (
        SchemaChangeKind.ADDED,
        SchemaChangeKind.DROPPED,
        SchemaChangeKind.RENAMED,
        SchemaChangeKind.LAPSED,
        SchemaChangeKind.RETYPED,
    )
    found = changes(contract, Shape(columns, contract.key, contract.time), lapsed=lapsed)
    return tuple(change for change in found if change.kind in kinds)


def schema_findings(
    found: Sequence[SchemaChange],
    contract: Shape,
    readers: Sequence[Reader],
    *,
    says_added: bool,
) -> list[Finding]:
    """One finding a change, none of which stops the batch: it stops whom it names."""
    findings = []
    for change in found:
        if change.kind is SchemaChangeKind.ADDED:
            if says_added:
                findings.append(_added(change))
            continue
        hit = stopped([change], readers)
        observed = f"{_what(change)}; it is not published, {_whom(list(hit))}"
        wanted = contract.columns[change.column].type
        severity = Severity.WARNING if hit else Severity.INFO
        findings.append(_schema(change, severity, observed, wanted))
    return findings


def unjudged(suite: Suite, absent: Collection[str]) -> dict[int, Finding]:
    """What becomes of the rules that need a column that is gone, by position in the suite.

    A rule about that column alone guards only its readers, who are stopped anyway. A rule that
    also looks at another column guards its readers too: if it is critical, the batch fails.
    """
    return {
        position: _unjudged(expectation, gone)
        for position, expectation in enumerate(suite.expectations)
        if (gone := set(absent).intersection(expectation.columns))
    }


def _unjudged(expectation: Expectation, gone: set[str]) -> Finding:
    guards_others = bool(set(expectation.columns) - gone)
    is_fatal = guards_others and expectation.severity is Severity.CRITICAL
    said = f"a rule that cannot be judged without {' and '.join(sorted(gone))}"
    return Finding(
        rule=expectation.type if is_fatal else SCHEMA,
        subject=expectation.subject,
        severity=Severity.CRITICAL if is_fatal else Severity.INFO,
        holds=False,
        observed=said if is_fatal else f"{said} ({expectation.type})",
        allowed=allowed(expectation),
        columns=expectation.columns,
    )


def _added(change: SchemaChange) -> Finding:
    observed = "a column that the contract does not know; it is not published"
    return _schema(change, Severity.INFO, observed, "no such column")


def _schema(change: SchemaChange, severity: Severity, observed: str, allowed: str) -> Finding:
    column = change.column
    return Finding(SCHEMA, column, severity, False, observed, allowed, columns=(column,))


def _what(change: SchemaChange) -> str:
    if change.kind is SchemaChangeKind.RETYPED:
        return f"the type {change.other}"
    if change.kind is SchemaChangeKind.RENAMED:
        return f"no such column but the new {change.other!r}, perhaps its new name"
    if change.kind is SchemaChangeKind.LAPSED:
        return f"no such column but {change.other!r}, its old name, whose window has closed"
    return "no such column"


def _whom(models: Sequence[str]) -> str:
    if not models:
        return "no model reads it"
    more = f" and {len(models) - NAMED} more" if len(models) > NAMED else ""
    names = ", ".join(models[:NAMED])
    return f"{names}{more} cannot train on this batch"
