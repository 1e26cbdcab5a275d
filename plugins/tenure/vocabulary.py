"""The nouns that every part shares: ids, digests, states, and who asked."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

ID_PATTERN = r"^[a-z0-9](?:_?[a-z0-9-])*_?$"
"""No double underscore: it separates the parts of a DAG id."""
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=64)]
"""Name of a model, dataset or consumer; safe in paths, DAG ids and URLs."""
_DEVICE = "con|prn|aux|nul|(com|lpt)[0-9]"
"""No file of these names can be checked out on Windows."""

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


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return str(value)
    item = getattr(value, "item", None)  # numpy scalars
    if callable(item):
        return item()
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")
