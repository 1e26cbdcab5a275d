"""Who may approve, and since when: each revision of `platform.yaml` stands in the ledger.

Import it inside functions: it loads SQLAlchemy.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.adapters.sql import revisions, versions
from tenure.config import PlatformConfig, read_platform
from tenure.installation import Installation
from tenure.lifecycle.audit.authority import GivenApproval, RoleRevision, unauthorized
from tenure.vocabulary import Role, digest_bytes, op_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from tenure.adapters.sql.invariants import Breach

SUBJECT = "platform.yaml"
"""Of the ledger events about the file."""


@dataclass(frozen=True)
class Authority:
    """The revision of `platform.yaml` by which somebody was allowed something."""

    digest: str
    config: PlatformConfig


@dataclass(frozen=True)
class RevisionCounts:
    """Revisions that were taken up: 1 when the file is another one than before."""

    taken_up: int


def people(platform: Installation, role: Role) -> "Sequence[str]":
    """Who has the role by the file as it is now. Raises ConfigInvalid."""
    return read_platform(platform.settings.include)[0].roles.get(role, ())


def in_force(platform: Installation, connection: "Connection", *, seen_by: str) -> Authority:
    """The file as it is now; a revision that the ledger does not know becomes an event first.

    Who refers to it in an event of the same transaction takes the ledger's turn before: else
    another revision might come in between.

    Args:
        platform: The installation.
        connection: The caller's transaction.
        seen_by: Who came upon it; who wrote it, only the repository of the file can say.

    Raises:
        ConfigInvalid: The file is broken.
    """
    return _taken_up(platform, connection, seen_by)[0]


def take_up(platform: Installation, *, seen_by: str) -> RevisionCounts:
    """What maintenance does: see to it that the revision in force has its event. Raises alike."""
    with platform.database.begin() as connection:
        return RevisionCounts(int(_taken_up(platform, connection, seen_by)[1]))


def _taken_up(
    platform: Installation, connection: "Connection", seen_by: str
) -> tuple[Authority, bool]:
    """The revision in force, and whether its event is new."""
    config, digest, body = read_platform(platform.settings.include)
    newest = revisions.newest(connection, SUBJECT)
    if newest is None or newest.digest != digest:
        platform.ledger.take_turn(connection)
        newest = revisions.newest(connection, SUBJECT)  # somebody else may have been first
    if newest is not None and newest.digest == digest:
        return Authority(digest, config), False
    after = newest.seq if newest else 0
    versions.remember_config(
        connection, digest=digest, kind="platform", name="platform", body=body.decode()
    )
    roles = {str(role): list(names) for role, names in config.roles.items()}
    is_new = platform.ledger.note(
        connection,
        subject=SUBJECT,
        actor=seen_by,
        body={"digest": digest, "before": newest.digest if newest else None, "roles": roles},
        op_key=op_key("platform.revision", SUBJECT, {"digest": digest, "after": after}),
    )
    return Authority(digest, config), is_new


def is_recorded(platform: Installation) -> bool:
    """Whether the file in force is the revision of the newest event."""
    path = platform.settings.configs / "platform.yaml"
    digest = digest_bytes(path.read_bytes()) if path.is_file() else None
    with platform.database.begin() as connection:
        newest = revisions.newest(connection, SUBJECT)
    return newest is not None and newest.digest == digest


def breaches(connection: "Connection") -> "list[Breach]":
    """Approvals by people whom the revision in force then did not name, and bent revisions."""
    found = [
        RoleRevision(one.seq, one.digest, _names(one.roles, Role.APPROVER))
        for one in revisions.every(connection, SUBJECT)
    ]
    given = [GivenApproval(*one) for one in revisions.approvals(connection)]
    bent = revisions.bent(connection, [one.digest for one in found])
    return [
        *(
            {"event": one.seq, "approver": one.approver, "why": why}
            for one, why in unauthorized(given, found)
        ),
        *({"revision": digest, "why": "its text is gone or another"} for digest in bent),
    ]


def _names(roles: "Mapping[str, Sequence[str]]", role: Role) -> frozenset[str]:
    return frozenset(name.casefold() for name in roles.get(str(role), ()))
