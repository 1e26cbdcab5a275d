"""What changed between two revisions of a suite, in plain words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tenure.lifecycle.data.expectations import LISTED, Expectation, Suite, allowed, topic
from tenure.verdicts import Severity
from tenure.vocabulary import canonical_json


class SuiteChangeKind(StrEnum):
    """What a change means for the data that arrives from now on."""

    ADDED = "added"
    REMOVED = "removed"
    LOOSENED = "loosened"
    TIGHTENED = "tightened"
    CHANGED = "changed"
    """Neither only looser nor only tighter: another form, another set."""
    SEVERITY = "severity"


@dataclass(frozen=True)
class SuiteChange:
    """One difference; `before` and `after` are for people, empty where there is nothing."""

    kind: SuiteChangeKind
    subject: str
    columns: tuple[str, ...]
    rule: str
    before: str
    after: str
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}"


def changes(before: Suite, after: Suite) -> list[SuiteChange]:
    """Every difference that matters to data, in the order of the edited suite, removed ones last.

    Order, ids, notes and descriptions do not count. An expectation that changed is found again by
    its id, else by its type and columns.
    """
    old = list(before.expectations)
    found: list[SuiteChange] = []
    for new, partner in _pairs(old, after.expectations):
        if partner is None:
            found.append(_one_sided(SuiteChangeKind.ADDED, new))
            continue
        old.remove(partner)
        found += _differences(partner, new)
    return found + [_one_sided(SuiteChangeKind.REMOVED, gone) for gone in old]


def _pairs(
    old: Sequence[Expectation], new: Iterable[Expectation]
) -> Iterator[tuple[Expectation, Expectation | None]]:
    """Each new expectation with its old one: the same content first, then id, then place."""
    free = list(old)
    partners: dict[int, Expectation] = {}
    listed = list(new)
    for likeness in (_content, _identity, _place):
        for position, expectation in enumerate(listed):
            if position in partners:
                continue
            wanted = likeness(expectation)
            partner = next((o for o in free if likeness(o) == wanted), None)
            if partner is not None:
                partners[position] = partner
                free.remove(partner)
    for position, expectation in enumerate(listed):
        yield expectation, partners.get(position)


def _content(expectation: Expectation) -> object:
    return expectation.type, canonical_json(expectation.kwargs)


def _identity(expectation: Expectation) -> object:
    return expectation.id


def _place(expectation: Expectation) -> object:
    return expectation.type, expectation.subject


def _one_sided(kind: SuiteChangeKind, expectation: Expectation) -> SuiteChange:
    said = allowed(expectation)
    was, now = (said, "") if kind is SuiteChangeKind.REMOVED else ("", said)
    words = f"{topic(expectation)}: {said} ({expectation.severity})"
    return SuiteChange(
        kind, expectation.subject, expectation.columns, expectation.type, was, now, words
    )


def _differences(old: Expectation, new: Expectation) -> Iterator[SuiteChange]:
    if (old.type, old.subject) != (new.type, new.subject):  # one id, another rule
        yield _one_sided(SuiteChangeKind.REMOVED, old)
        yield _one_sided(SuiteChangeKind.ADDED, new)
        return
    kind = direction(old, new)
    if kind is not None:
        words = f"{topic(new)}: {_from_to(old, new)}"
        yield SuiteChange(
            kind, new.subject, new.columns, new.type, allowed(old), allowed(new), words
        )
    if old.severity is not new.severity:
        meaning = _MEANING[new.severity]
        words = f"{topic(new)}: {old.severity} → {new.severity} ({meaning})"
        yield SuiteChange(
            SuiteChangeKind.SEVERITY,
            new.subject,
            new.columns,
            new.type,
            str(old.severity),
            str(new.severity),
            words,
        )


def direction(old: Expectation, new: Expectation) -> SuiteChangeKind | None:
    """Whether the same rule got looser, tighter or other; None when it asks the same."""
    found = {
        _direction(old.type, name, old.kwargs.get(name), new.kwargs.get(name))
        for name in {*old.kwargs, *new.kwargs}
    } - {None}
    return found.pop() if len(found) == 1 else SuiteChangeKind.CHANGED if found else None


_MEANING = {
    Severity.INFO: "only reported from now on",
    Severity.WARNING: "rows that break it are set aside",
    Severity.CRITICAL: "a batch that breaks it fails",
}

_LESS_IS_LOOSER = {"mostly", "min_value", "strict_min", "strict_max"}
_MORE_IS_LOOSER = {"max_value", "or_equal"}
_ABSENT: Mapping[str, float] = {
    "mostly": 1.0,
    "min_value": float("-inf"),
    "max_value": float("inf"),
}
_LONGER_IS_TIGHTER = ("not_be_in_set", "contain_set")


def _direction(rule: str, name: str, old: object, new: object) -> SuiteChangeKind | None:
    """Whether an argument got looser or tighter; None when it means the same."""
    if name == "value_set":
        return _direction_of_set(rule, _keys(old), _keys(new))
    if name not in _LESS_IS_LOOSER | _MORE_IS_LOOSER:
        return None if old == new else SuiteChangeKind.CHANGED
    was, now = _comparable(name, old), _comparable(name, new)
    if was == now:
        return None
    return (
        SuiteChangeKind.LOOSENED
        if (now < was) == (name in _LESS_IS_LOOSER)
        else SuiteChangeKind.TIGHTENED
    )


def _comparable(name: str, value: object) -> float:
    """A number, a flag as 0 or 1, or the POSIX time of an ISO time; what is absent allows all."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    return float(value) if isinstance(value, int | float) else _ABSENT.get(name, 0.0)


def _direction_of_set(rule: str, old: set[bytes], new: set[bytes]) -> SuiteChangeKind | None:
    if old == new:
        return None
    if rule.endswith("equal_set") or not (old < new or new < old):
        return SuiteChangeKind.CHANGED
    grew = old < new
    return (
        SuiteChangeKind.TIGHTENED
        if grew == rule.endswith(_LONGER_IS_TIGHTER)
        else SuiteChangeKind.LOOSENED
    )


def _keys(values: object) -> set[bytes]:
    return {canonical_json(value) for value in values} if isinstance(values, list) else set()


def _from_to(old: Expectation, new: Expectation) -> str:
    """`at most 2% → at most 15%`; of a long set what was added and what was taken out."""
    was, now = old.kwargs.get("value_set"), new.kwargs.get("value_set")
    if isinstance(was, list) and isinstance(now, list) and max(len(was), len(now)) > LISTED:
        said = [
            f"{verb} {_listed(values)}"
            for verb, values in (
                ("added", [v for v in now if v not in was]),
                ("removed", [v for v in was if v not in now]),
            )
            if values
        ]
        if old.mostly != new.mostly:
            said.append(f"share of rows {old.mostly:g} → {new.mostly:g}")
        return "; ".join(said)
    return f"{allowed(old)} → {allowed(new)}"


def _listed(values: Sequence[object]) -> str:
    more = len(values) - LISTED
    return ", ".join(map(str, values[:LISTED])) + (f" and {more} more" if more > 0 else "")
