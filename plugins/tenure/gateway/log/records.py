"""What the logs hold: one record a request, and how a segment's records become tables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from tenure.errors import ServiceUnreachable
from tenure.gateway.log.shipper import DeliveryHeldBack
from tenure.lifecycle.decisions.decision_log import moment, partition

Item = TypeVar("Item")


class LogFiles(Protocol):
    """Where segments are stored."""

    def put(self, key: str, data: bytes) -> str:
        """Store bytes (overwrites), returns their SHA-256."""
        ...


class DecisionRecord(msgspec.Struct, omit_defaults=True):
    """The decisions of one request; lists have one entry a row. Times are µs since 1970, UTC."""

    model: str
    version: int
    version_id: int
    request_id: str
    subject: str
    arm_assigned: str
    arm_answered: str
    generation: int
    share_bp: int
    received_at: int
    event_time: int
    fallback_level: str
    reason: str
    latency_ms: float
    decision_ids: list[str]
    scores: list[float]
    decisions: list[bool | None]
    """Null unless the model is binary."""
    confidences: list[float | None]
    """Null where the model is a regression."""
    numeric: dict[str, list[float | None]] = {}
    categorical: dict[str, list[str | None]] = {}
    seal_key: str = ""
    """Id of the local key that `sealed_values` is sealed with; empty for a plain record."""
    sealed_values: bytes = b""
    sealed: list[bytes] = []
    """Features of each row under the subject's key, as they are shipped; empty: plain."""
    answers: list[str] = []
    """The class of each row, of which the score is the probability; empty unless the model is
    multiclass."""
    probabilities: list[tuple[float, ...]] = []
    """Of each row those of all `classes`: for the answer, not for the table."""
    classes: list[str] = []
    review: list[bool] = []
    """Rows that a person has to look at; empty when none is."""
    cached: bool = False
    """Whether the scores were known from an earlier request: for the answer, not for the table."""
    variant: str | None = "native"
    """What scored: `native`, `onnx`, or nothing where no model answered."""
    caller: str | None = None
    """Digest of who asked; None in records of before it was kept."""
    lower: list[float] = []
    """Lower end of each row's interval; empty where answers have none, as are upper ends."""
    upper: list[float] = []


class Values(msgspec.Struct, array_like=True):
    """The features of a record, by themselves."""

    numeric: dict[str, list[float | None]]
    categorical: dict[str, list[str | None]]


class OutcomeRecord(msgspec.Struct):
    """The outcomes of one request, and the watermark that holds once they are stored."""

    model: str
    received_at: int
    outcome_ids: list[str]
    decision_ids: list[str | None]
    request_ids: list[str | None]
    labels: list[bool | str | float]
    """Classes where the model has several, numbers where it is a regression."""
    observed_at: list[int]
    watermark: int | None = None
    callers: list[str | None] = []
    """Digests of whose requests are named; None where the request id alone has to do."""


class Table(msgspec.Struct):
    """Columns for one Parquet file; `numeric` and `categorical` name the feature columns."""

    columns: dict[str, list[Any]]
    numeric: list[str] = []
    categorical: list[str] = []


encode = msgspec.msgpack.Encoder().encode
decode_decision = msgspec.msgpack.Decoder(DecisionRecord).decode
decode_outcome = msgspec.msgpack.Decoder(OutcomeRecord).decode

_SAME_FOR_ALL_ROWS = (
    "request_id",
    "model",
    "version",
    "version_id",
    "arm_assigned",
    "arm_answered",
    "generation",
    "share_bp",
    "subject",
    "received_at",
    "event_time",
    "fallback_level",
    "reason",
    "latency_ms",
    "caller",
)
_ONE_A_ROW = {
    "decision_id": "decision_ids",
    "score": "scores",
    "decision": "decisions",
    "confidence": "confidences",
}
_WHERE_ANY_HAS = {"sealed": "sealed", "answer": "answers", "lower": "lower", "upper": "upper"}
"""Only in a table where a record has them; null in the rows of the others."""


def decision_table(records: Sequence[DecisionRecord]) -> Table:
    """One row a decision. A feature that a record does not have is null in its rows.

    Without a column `variant`, and where it is null, scikit-learn scored what a model scored.
    """
    numeric = list(dict.fromkeys(name for r in records for name in r.numeric))
    categorical = list(dict.fromkeys(name for r in records for name in r.categorical))
    some = {c: a for c, a in _WHERE_ANY_HAS.items() if any(getattr(r, a) for r in records)}
    has_onnx = any(record.variant == "onnx" for record in records)
    columns: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        rows = len(record.decision_ids)
        for column, attribute in _ONE_A_ROW.items():
            columns[column] += getattr(record, attribute)
        for column in _SAME_FOR_ALL_ROWS:
            columns[column] += [getattr(record, column)] * rows
        absent: list[None] = [None] * rows
        for column, attribute in some.items():
            columns[column] += getattr(record, attribute) or absent
        if has_onnx:
            columns["variant"] += [record.variant] * rows
        for name in numeric:
            columns[f"f_{name}"] += record.numeric.get(name, absent)
        for name in categorical:
            columns[f"f_{name}"] += record.categorical.get(name, absent)
    return Table(dict(columns), numeric, categorical)


def outcome_table(records: Sequence[OutcomeRecord]) -> Table:
    """One row an outcome."""
    columns: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        columns["outcome_id"] += record.outcome_ids
        columns["decision_id"] += record.decision_ids
        columns["request_id"] += record.request_ids
        columns["caller"] += record.callers or [None] * len(record.labels)
        columns["label"] += record.labels
        columns["observed_at"] += record.observed_at
        columns["received_at"] += [record.received_at] * len(record.labels)
    return Table(dict(columns))


class DecisionDelivery:
    """Stores a segment of decisions: one Parquet object a model and hour, rarely a second.

    Args:
        store: Where to.
        gateway: Gateway id, part of the key.
        to_parquet: Makes the bytes of a Parquet file from a table.
        seal: Seals personal features for good; None when no record holds any.
        enqueue: Puts decisions that a person has to look at into the queue, once each.
    """

    def __init__(
        self,
        store: LogFiles,
        gateway: str,
        to_parquet: Callable[[Table], bytes],
        seal: Callable[[list[DecisionRecord]], list[DecisionRecord]] | None = None,
        enqueue: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._to_parquet = to_parquet
        self._seal = seal
        self._enqueue = enqueue

    def __call__(self, segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        """Overwrites what an earlier try of the same segment stored; a decision rests on none.

        What is wrong about one model's decisions is raised after all others are stored.
        """
        records = [decode_decision(payload) for payload in payloads]
        if self._seal is not None:
            records = self._seal(records)
        failures = for_each(_by_partition("decisions", records), partial(self._put, segment))
        if self._enqueue is not None:
            waiting: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for row in (row for record in records for row in for_review(record)):
                waiting[row["model"]].append(row)
            failures += for_each(waiting.values(), self._enqueue)
        if failures:
            raise failures[0]

    def _put(self, segment: str, folder_and_records: tuple[str, list[DecisionRecord]]) -> None:
        folder, group = folder_and_records
        for number, alike in enumerate(_alike(group), 1):
            part = segment if number == 1 else f"{segment}-{number}"
            self._store.put(
                f"{folder}/{self._gateway}-{part}.parquet",
                self._to_parquet(decision_table(alike)),
            )


def for_review(record: DecisionRecord) -> list[dict[str, Any]]:
    """What the queue keeps of each decision of the request that a person has to look at."""
    chosen = [n for n, wanted in enumerate(record.review) if wanted]
    return [
        {
            "decision_id": record.decision_ids[n],
            "model": record.model,
            "version": record.version,
            "subject": record.subject,
            "score": record.scores[n],
            "decision": record.decisions[n],
            "predicted": record.answers[n] if record.answers else None,
            "confidence": record.confidences[n],
            "fallback_level": record.fallback_level,
            "reason": record.reason or "low confidence",
            "received_at": moment(record.received_at),
        }
        for n in chosen
    ]


class OutcomeDelivery:
    """Stores a segment of outcomes, then moves the watermarks that came with them.

    Args:
        store: Where to.
        gateway: Gateway id, part of the key.
        to_parquet: Makes the bytes of a Parquet file from a table.
        advance: Moves the watermark of a model forward, never back.
    """

    def __init__(
        self,
        store: LogFiles,
        gateway: str,
        to_parquet: Callable[[Table], bytes],
        advance: Callable[[str, datetime], None],
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._to_parquet = to_parquet
        self._advance = advance

    def __call__(self, segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        """Store first: nobody may see a watermark before the outcomes that it promises.

        What is wrong about one model is raised after all others are stored and have moved.

        Raises:
            HeldBack: Older outcomes are missing, so the watermark was not moved.
        """
        records = [decode_outcome(payload) for payload in payloads]
        by_model: dict[str, list[OutcomeRecord]] = defaultdict(list)
        for record in records:
            by_model[record.model].append(record)
        failures = for_each(by_model.values(), partial(self._take, segment, after_gap=after_gap))
        if failures:  # what waits for older segments, last: the others are this one's own
            raise min(failures, key=lambda error: isinstance(error, DeliveryHeldBack))

    def _take(self, segment: str, records: Sequence[OutcomeRecord], *, after_gap: bool) -> None:
        """The outcomes of one model, then its watermark."""
        for folder, group in _by_partition("outcomes", [r for r in records if r.labels]):
            self._store.put(
                f"{folder}/{self._gateway}-{segment}.parquet",
                self._to_parquet(outcome_table(group)),
            )
        for model, reached in _newest_watermarks(records).items():
            if after_gap:
                raise DeliveryHeldBack(f"the watermark of {model}")
            self._advance(model, moment(reached))


def for_each(items: Iterable[Item], do: Callable[[Item], object]) -> list[Exception]:
    """Do it for each; what was wrong about some of them comes back.

    Raises:
        ServiceUnreachable: The others would meet that as well.
    """
    failures: list[Exception] = []
    for item in items:
        try:
            do(item)
        except ServiceUnreachable:
            raise
        except Exception as error:  # about this one: the others are done
            failures.append(error)
    return failures


def _by_partition(kind: str, records: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for record in records:
        groups[partition(kind, record.model, record.received_at)].append(record)
    yield from sorted(groups.items())


def _alike(records: Sequence[DecisionRecord]) -> list[list[DecisionRecord]]:
    """Records that one table can hold: in each, a feature is a number or a text, never both.

    A new champion may read as text what the old one read as a number, in the same second.
    """
    parts: list[tuple[set[str], set[str], list[DecisionRecord]]] = []
    for record in records:
        numbers, texts = record.numeric.keys(), record.categorical.keys()
        fitting = (p for p in parts if p[0].isdisjoint(texts) and p[1].isdisjoint(numbers))
        part = next(fitting, None)
        if part is None:
            part = (set(), set(), [])
            parts.append(part)
        part[0].update(numbers)
        part[1].update(texts)
        part[2].append(record)
    return [alike for _, _, alike in parts]


def _newest_watermarks(records: Sequence[OutcomeRecord]) -> Mapping[str, int]:
    newest: dict[str, int] = {}
    for record in records:
        if record.watermark is not None:
            newest[record.model] = max(record.watermark, newest.get(record.model, record.watermark))
    return newest
