"""API keys of the gateway: made, listed and revoked with a line in the ledger."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.lifecycle.serving import SCOPES, ApiKey, Scope
from tenure.vocabulary import is_id, op_key

_KEY_BYTES = 32
_ID_CHARACTERS = 12
"""So much of a key's digest names it for people."""


@dataclass(frozen=True)
class ListedKey:
    """A key as people see it; `models` None means all, `rows_per_second` None any."""

    id: str
    name: str
    scopes: list[str]
    revoked_at: datetime | None
    created_at: datetime
    models: list[str] | None
    rows_per_second: int | None
    last_used_at: datetime | None


def create_key(
    platform: Installation,
    name: str,
    scopes: Sequence[Scope],
    *,
    actor: str = "cli",
    models: Sequence[str] | None = None,
    rows_per_second: int | None = None,
) -> str:
    """A new API key, in force within a second. It is shown once: the database keeps its SHA-256.

    A second key under the same name is how a client rotates: both are valid until the old one is
    revoked by its id.

    Args:
        platform: The installation.
        name: Whose key it is; an id.
        scopes: What it is good for.
        actor: Who makes it; for the ledger.
        models: The only models that exist for it; None for all.
        rows_per_second: Most rows that each gateway scores for it in a second; None for any.

    Raises:
        ConfigInvalid: The name is no id, or a scope or model is unknown or missing.
    """
    _check_key(platform, name, scopes, models)
    from tenure.adapters.sql import serving

    secret = f"tnr_{secrets.token_urlsafe(_KEY_BYTES)}"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    limited = None if models is None else sorted(models)
    key = ApiKey(digest, name, list(scopes), limited, rows_per_second)
    with platform.database.begin() as connection:
        serving.add_key(connection, key)
        platform.ledger.note(
            connection,
            subject=f"key:{name}",
            actor=actor,
            body={
                "created": digest[:_ID_CHARACTERS],
                "scopes": list(scopes),
                "models": limited,
                "rows_per_second": rows_per_second,
            },
            op_key=op_key("key", name, {"created": digest}),
        )
    return secret


def key_id(secret: str) -> str:
    """What a key is listed and revoked by."""
    return hashlib.sha256(secret.encode()).hexdigest()[:_ID_CHARACTERS]


def _check_key(
    platform: Installation, name: str, scopes: Sequence[Scope], models: Sequence[str] | None
) -> None:
    if not is_id(name) or not scopes or set(scopes) - set(SCOPES):
        raise ConfigInvalid(
            f"A key needs a name (a-z, 0-9, _ and -) and scopes of {', '.join(SCOPES)}; "
            f"got {name!r} with {list(scopes)}.",
            still_safe="No key was made.",
            next_step="Correct the command: tenure key create NAME --scope score.",
        )
    from tenure.adapters.sql import serving

    with platform.database.begin() as connection:
        known = set(serving.catalog(connection).models)
    if models is not None and (not models or set(models) - known):
        raise ConfigInvalid(
            f"A key was to be limited to {sorted(models)}; registered are {sorted(known)}.",
            still_safe="No key was made.",
            next_step="Name registered models with --model, or none for all.",
        )


def revoke_key(platform: Installation, name: str, *, actor: str = "cli", key_id: str = "") -> int:
    """Take keys out of force, within a second; returns how many there were.

    Args:
        platform: The installation.
        name: Whose keys.
        actor: Who does it; for the ledger.
        key_id: Only the key with this id; empty for every key of the name.
    """
    from tenure.adapters.sql import serving

    with platform.database.begin() as connection:
        digests = serving.revoke_keys(connection, name, digest_prefix=key_id)
        if digests:
            platform.ledger.note(
                connection,
                subject=f"key:{name}",
                actor=actor,
                body={"revoked": [digest[:_ID_CHARACTERS] for digest in digests]},
                op_key=op_key("key", name, {"revoked": sorted(digests)}),
            )
    return len(digests)


def list_keys(platform: Installation) -> list[ListedKey]:
    """Every key there ever was, by id, without its secret."""
    from tenure.adapters.sql import serving

    with platform.database.begin() as connection:
        rows = serving.list_keys(connection)
    return [
        ListedKey(
            id=row.key_digest[:_ID_CHARACTERS],
            name=row.name,
            scopes=row.scopes,
            revoked_at=row.revoked_at,
            created_at=row.created_at,
            models=row.models,
            rows_per_second=row.rows_per_second,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]
