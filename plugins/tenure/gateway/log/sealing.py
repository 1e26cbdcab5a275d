"""Personal features in the log: sealed at once under a local key, shipped under the subject's own.

No request waits for the lifecycle database, so the record is first sealed with a key that this
gateway keeps for some minutes. The shipper opens it and seals each row with the data key of its
subject, which stands, wrapped, in the lifecycle database and nowhere else.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from tenure.gateway.log.records import DecisionRecord, Values

logger = logging.getLogger(__name__)

ERASED = b""
"""What stands in place of sealed features that nobody can open any more."""

_encode_values = msgspec.msgpack.Encoder().encode
_decode_values = msgspec.msgpack.Decoder(Values).decode
_encode_row = msgspec.json.Encoder().encode


class Vault(Protocol):
    """Keys; the local ones lie on this disk, those of subjects in the lifecycle database."""

    def is_personal(self, model: str) -> bool:
        """Whether the features of this model are sealed; True when nobody can say."""
        ...

    def seal(self, features: bytes, *, about: str) -> tuple[str, bytes]:
        """Id of the local key, and the sealed bytes."""
        ...

    def open(self, key_id: str, sealed: bytes, *, about: str) -> bytes | None:
        """The opposite; None when the key is gone or the bytes are others."""
        ...

    def seal_for_good(self, rows: Sequence[tuple[str, str, bytes]]) -> list[bytes | None]:
        """Seal (pseudonym, decision id, features) each; None where the key was destroyed.

        Raises ServiceUnreachable.
        """
        ...

    def forget(self) -> None:
        """Nothing waits to be shipped: destroy local keys that were not used for a while."""
        ...


def sealed_for_now(vault: Vault, record: DecisionRecord) -> DecisionRecord:
    """The record as it may lie on this disk; the same one when its model is not personal."""
    if not vault.is_personal(record.model):
        return record
    values = _encode_values(Values(record.numeric, record.categorical))
    key_id, sealed = vault.seal(values, about=record.decision_ids[0])
    return msgspec.structs.replace(
        record, numeric={}, categorical={}, seal_key=key_id, sealed_values=sealed
    )


def sealed_for_good(vault: Vault, records: Sequence[DecisionRecord]) -> list[DecisionRecord]:
    """The records as they may be stored; plain ones are left as they are. One look-up for all."""
    opened = {id(r): _rows(vault, r) for r in records if r.seal_key}
    wanted = [
        (record.subject, decision_id, row)
        for record in records
        for decision_id, row in zip(record.decision_ids, opened.get(id(record)) or (), strict=False)
    ]
    sealed = iter(vault.seal_for_good(wanted) if wanted else ())
    return [
        record if id(record) not in opened else _with_rows(record, opened[id(record)], sealed)
        for record in records
    ]


def _with_rows(
    record: DecisionRecord, rows: Sequence[bytes] | None, sealed: Iterator[bytes | None]
) -> DecisionRecord:
    count = len(record.decision_ids)
    found = [ERASED] * count if rows is None else [next(sealed) or ERASED for _ in range(count)]
    return msgspec.structs.replace(record, seal_key="", sealed_values=b"", sealed=found)


def _rows(vault: Vault, record: DecisionRecord) -> list[bytes] | None:
    """Features of each row as JSON, numbers and texts apart; None when they are lost."""
    about = record.decision_ids[0]
    plain = vault.open(record.seal_key, record.sealed_values, about=about)
    if plain is None:
        logger.error("features=lost decision=%s cause=local key is gone", about)
        return None
    values = _decode_values(plain)
    return [
        _encode_row(
            {
                "numeric": {name: column[row] for name, column in values.numeric.items()},
                "categorical": {name: column[row] for name, column in values.categorical.items()},
            }
        )
        for row in range(len(record.decision_ids))
    ]
