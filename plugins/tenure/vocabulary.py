"""The nouns that every part shares: ids, digests, states, and who asked."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from tenure.errors import TextRefused

ID_PATTERN = r"^[a-z0-9](?:_?[a-z0-9-])*_?$"
"""No double underscore: it separates the parts of a DAG id."""
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=64)]
"""Name of a model, dataset or consumer; safe in paths, DAG ids and URLs."""
_DEVICE = "con|prn|aux|nul|(com|lpt)[0-9]"
"""No file of these names can be checked out on Windows."""
_LARGE = 1e16
"""From here on Python writes floats with an exponent, and JSONB gives them back as integers."""

BASIS_POINTS = 10_000
"""A share of traffic is a whole number of these: 500 is 5%."""


class State(StrEnum):
    """States of a model version, in the order in which a life runs."""

    DRAFT = "draft"
    TRAINED = "trained"
    VALIDATED = "validated"
    APPROVED = "approved"
    CANARY = "canary"
    CHAMPION = "champion"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"
    REJECTED = "rejected"
    RETIRING = "retiring"
    ARCHIVED = "archived"
    DELETED = "deleted"


class Role(StrEnum):
    """What a person may do; `platform.yaml` lists the user names of each."""

    VIEWER = "viewer"
    TRAINER = "trainer"
    APPROVER = "approver"
    OPERATOR = "operator"
    DECOMMISSIONER = "decommissioner"
    STEWARD = "steward"
    AUDITOR = "auditor"


LEGAL_MOVES: frozenset[tuple[State, State]] = frozenset(
    {
        (State.DRAFT, State.TRAINED),
        (State.TRAINED, State.VALIDATED),
        (State.VALIDATED, State.APPROVED),
        (State.APPROVED, State.CANARY),
        (State.APPROVED, State.CHAMPION),
        (State.CANARY, State.CHAMPION),
        (State.CHAMPION, State.SUPERSEDED),
        (State.SUPERSEDED, State.CHAMPION),
        (State.CANARY, State.ROLLED_BACK),
        (State.CHAMPION, State.ROLLED_BACK),
        (State.DRAFT, State.REJECTED),
        (State.TRAINED, State.REJECTED),
        (State.VALIDATED, State.REJECTED),
        (State.APPROVED, State.REJECTED),
        (State.SUPERSEDED, State.RETIRING),
        (State.ROLLED_BACK, State.RETIRING),
        (State.REJECTED, State.RETIRING),
        (State.RETIRING, State.ARCHIVED),
        (State.ARCHIVED, State.DELETED),
    }
)
"""Every move a model version may make; the database refuses all others as well."""


@dataclass(frozen=True)
class RunRef:
    """The Airflow task (or the command) that does something, and for whom.

    `user` is the person who triggered it, or None for a schedule or an asset event.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    user: str | None = None

    @property
    def task_name(self) -> str:
        """As people read it; one that is not mapped has no index.

        >>> RunRef("d", "r", "ingest", 3).task_name, RunRef("d", "r", "train").task_name
        ('ingest[3]', 'train')
        """
        return f"{self.task_id}[{self.map_index}]" if self.map_index >= 0 else self.task_id


@dataclass(frozen=True)
class VersionRef:
    """A model version as every part passes it around; `id` is the database row's key."""

    id: int
    model: str
    version: int
    state: State
    generation: int
    artifact_digest: str | None
    trained_by: str

    @property
    def name(self) -> str:
        """`model@version`, as people and the CLI write it."""
        return f"{self.model}@{self.version}"


def moment(text: str) -> datetime:
    """An ISO 8601 time that names its offset, in UTC: the one rule for requests and for files.

    `UTC` stands for `Z`, and an offset may stand apart, as databases write them. Digits beyond
    microseconds are dropped.

    >>> moment("2026-01-02 08:01:00+00") == moment("2026-01-02T09:01:00.0000009 +0100")
    True
    >>> moment("9999-12-31T23:59:59 UTC").isoformat()
    '9999-12-31T23:59:59+00:00'

    Raises:
        ValueError: It is no such time, or has no offset.
        OverflowError: In UTC it lies outside the years 1…9999.
    """
    parsed = datetime.fromisoformat(_APART.sub("", _UTC_WORD.sub("Z", text)))
    if parsed.tzinfo is None:
        raise ValueError("a time without an offset")
    return parsed.astimezone(UTC)


_UTC_WORD = re.compile(r"(?<=[0-9]) ?UTC\Z")
_APART = re.compile(r"(?<=[0-9]) (?=(?:[+-][0-9:]+|Z)\Z)")


@dataclass(frozen=True)
class TextRule:
    """What a text from outside may be; every door measures by one of these.

    A name is printable to the last character. Prose may have line breaks, tabs, joiners and spaces
    of every script, but nothing that a database refuses, that steers a terminal, or that turns the
    reading order around.

    Args:
        longest: Characters.
        is_prose: Whether people read it as sentences; else it is a name or an id.
    """

    longest: int
    is_prose: bool = False

    def problem(self, text: str) -> str | None:
        r"""What is wrong with the text, with numbers and without repeating it; None for nothing.

        >>> TextRule(3).problem("abcd")
        'has 4 characters; allowed are 1 to 3'
        >>> TextRule(9).problem("a\x00b")
        'has U+0000 (control character) as character 2; allowed is what can be printed'
        """
        if not 1 <= len(text) <= self.longest:
            return f"has {len(text):,} characters; allowed are 1 to {self.longest:,}"
        if text.isprintable():
            return "is blank" if self.is_prose and not text.strip() else None
        for place, character in enumerate(text, 1):
            if not self._allows(character):
                allowed = "text of one or more lines" if self.is_prose else "what can be printed"
                return f"has {_named(character)} as character {place:,}; allowed is {allowed}"
        return None if text.strip() else "is blank"

    def require(self, text: str, field: str, *, still_safe: str = "Nothing was done.") -> str:
        """The text itself.

        Raises:
            TextRefused: It is too long, empty, or not plain; names the field and the limit.
        """
        if problem := self.problem(text):
            raise TextRefused(
                f"{field} {problem}.",
                still_safe=still_safe,
                next_step=f"Give {field} again as plain text of at most {self.longest:,} "
                "characters.",
            )
        return text

    def _allows(self, character: str) -> bool:
        if character.isprintable() or not self.is_prose:
            return character.isprintable()
        is_mark = unicodedata.category(character) in {"Cf", "Zs"}
        return character in "\n\t" or (
            is_mark and unicodedata.bidirectional(character) not in _TURNS
        )


_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Marks that show a text in another order than it has (CVE-2021-42574)."""
_CHARACTERS = {"Cc": "control character", "Cs": "half of a surrogate pair"}

PLAIN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*$"
"""What prose excludes, for the forms of DAGs: Airflow refuses a run before it stores its text."""
NAME = TextRule(256)
"""A subject, a person, a request id."""
REASON = TextRule(500, is_prose=True)
NOTE = TextRule(2_000, is_prose=True)


def storable(text: str) -> str:
    r"""What other programs said, so that a database can hold it: no NUL, no half of a pair.

    >>> storable("a\x00b\ud800")
    'a\\x00b\\ud800'
    """
    return text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()


def digest_bytes(data: bytes) -> str:
    """SHA-256 as 64 hexadecimal characters."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: object) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Datetimes become ISO 8601 strings.
    """
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=_plain,
    ).encode()


def digest_json(value: object) -> str:
    """SHA-256 of the canonical form of a JSON value."""
    return digest_bytes(canonical_json(value))


def as_stored(value: object) -> object:
    """The JSON value as it comes back from JSONB, which keeps numbers as decimals.

    >>> as_stored({"a": [1e22, -0.0, 0.5, True]})
    {'a': [10000000000000000000000, 0.0, 0.5, True]}
    """
    if isinstance(value, float):
        if abs(value) >= _LARGE:
            return int(Decimal(repr(value)))
        return value + 0.0  # -0.0 becomes 0.0
    if isinstance(value, Mapping):
        return {str(key): as_stored(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_stored(one) for one in value]
    return value


def op_key(kind: str, subject: str, intent: Mapping[str, object]) -> str:
    """The key that makes a command happen once, however often it is sent."""
    return digest_json([kind, subject, dict(intent)])


def is_id(text: str) -> bool:
    """Whether the text may name a model, dataset or consumer.

    >>> is_id("flight_late"), is_id("../etc"), is_id("a__b"), is_id("nul")
    (True, False, False, False)
    """
    fine = len(text) <= 64 and re.fullmatch(ID_PATTERN, text) is not None
    return fine and not re.fullmatch(_DEVICE, text)


def _named(character: str) -> str:
    kind = _CHARACTERS.get(unicodedata.category(character), "no character of this Unicode version")
    return f"U+{ord(character):04X} ({unicodedata.name(character, kind)})"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return str(value)
    item = getattr(value, "item", None)  # numpy scalars
    if callable(item):
        return item()
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")
