"""Checks the rows of a request against a model's signature; each 4xx names its field.

The signature and the policy are compiled once a plan into one `FeatureRule` a feature.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from tenure.gateway.contract.bodies import InvocationsBody, Split, Tensor
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.contract.tensors import (
    NUMBERS,
    TEXTS,
    hold_width,
    place_of,
    rows_of,
    shown,
    values_of,
)
from tenure.lifecycle.serving import MAX_TEXT, ServingPolicy, Signature, Value
from tenure.lifecycle.serving.spelling import EXACT, Spelling, respell_moment, spell

_WIDTH = 40
_DATE_EXAMPLES = "2013-07-01 or 2013-07-01T09:00:00Z"


@dataclass(frozen=True)
class Rows:
    """Feature columns of a request, checked against the signature; null is None."""

    count: int
    numeric: Mapping[str, list[float | None]]
    categorical: Mapping[str, list[str | None]]

    def in_order(self, features: Sequence[str]) -> list[tuple[Value, ...]]:
        """Rows in the order of the features. Raises KeyError for one that was not sent."""
        columns: dict[str, Sequence[Value]] = {**self.numeric, **self.categorical}
        if len(features) == 1:
            return [(value,) for value in columns[features[0]]]
        return list(zip(*itemgetter(*features)(columns), strict=True))


@dataclass(frozen=True, slots=True)
class FeatureRule:
    """What the values of one feature are held to.

    Args:
        is_numeric: Numbers, else texts.
        nullable: Whether null is a value.
        span: (smallest, largest) that is accepted; None for any.
        known: Texts that are accepted; None for any.
        spelling: How its categories are written; None for free texts.
        is_date: Whether the texts are moments, of which parts are read.
    """

    is_numeric: bool
    nullable: bool
    span: tuple[float, float] | None
    known: frozenset[str] | None
    spelling: Spelling | None = None
    is_date: bool = False

    def numbers(self, values: Sequence[Any], where: str) -> list[float | None]:
        """The values as numbers. Raises Refusal."""
        return [
            None if value is None and self.nullable else self._number(value, where, position)
            for position, value in enumerate(values)
        ]

    def texts(self, values: list[Any], where: str) -> list[str | None]:
        """The values, which are texts; dates as training wrote them. Raises Refusal."""
        known, nullable, spelling = self.known, self.nullable, self.spelling
        if self.is_date:
            return [
                None if value is None and nullable else self._date(value, f"{where}[{position}]")
                for position, value in enumerate(values)
            ]
        for position, value in enumerate(values):
            if value is None and nullable:
                continue
            if type(value) is not str or len(value) > MAX_TEXT:
                raise self._no_text(value, f"{where}[{position}]")
            if spelling is not None and spelling.is_misspelled(value):
                message = _spelled(value, spelling)
                raise Refusal(422, "misspelled_category", message, f"{where}[{position}]")
            if known is not None and value not in known:
                message = f"{value[:_WIDTH]!r} was never seen in training."
                raise Refusal(422, "unseen_category", message, f"{where}[{position}]")
        return values

    def _date(self, value: object, where: str) -> str:
        if type(value) is not str or len(value) > MAX_TEXT:
            raise self._no_text(value, where)
        if (written := respell_moment(value)) is None:
            message = f"{value[:_WIDTH]!r} is no date: write {_DATE_EXAMPLES}."
            raise Refusal(422, "not_a_date", message, where)
        return written

    def _number(self, value: object, where: str, position: int) -> float:
        number = _finite(value)
        if number is None:
            raise self._no_number(value, f"{where}[{position}]")
        if type(value) is int and abs(value) > EXACT:
            message = f"{shown(value)} is beyond 2^53, where a float64 would change it."
            raise Refusal(422, "not_a_number", message, f"{where}[{position}]")
        if self.span is not None and not self.span[0] <= number <= self.span[1]:
            message = f"{number:g} is outside of {self.span[0]:g} to {self.span[1]:g}."
            raise Refusal(422, "out_of_range", message, f"{where}[{position}]")
        return number

    def _no_number(self, value: object, where: str) -> Refusal:
        if value is None:
            return Refusal(422, "null", "The model's YAML does not accept null here.", where)
        hint = "" if type(value) is not bool else f" As a number it is {int(value)}."
        message = f"{shown(value)} is not a finite number.{hint}"
        return Refusal(422, "not_a_number", message, where)

    def _no_text(self, value: object, where: str) -> Refusal:
        if value is None:
            return Refusal(422, "null", "The model's YAML does not accept null here.", where)
        message = f"{shown(value)} is not a text of at most {MAX_TEXT} characters."
        if self.is_date:
            message += f" A date is written as {_DATE_EXAMPLES}."
        elif (written := self._written(value)) is not None:
            message += f" As a category it is written {written!r}."
        return Refusal(422, "not_a_text", message, where)

    def _written(self, value: object) -> str | None:
        """How a number or a boolean is written as a category of this feature."""
        if not (type(value) is bool or _finite(value) is not None):
            return None
        text = spell(value)
        is_close = self.spelling is not None and self.spelling.is_misspelled(text)
        return self.spelling.respell(text) if self.spelling and is_close else text[:_WIDTH]


class RowRules:
    """What the rows of a request for one model are held to.

    Args:
        accepts: What may be there.
        required: Features that must be there.
        policy: What happens to the rest.
    """

    def __init__(self, accepts: Signature, required: Sequence[str], policy: ServingPolicy) -> None:
        nullable = policy.on_null == "accept"
        spans = accepts.ranges if policy.on_out_of_range == "reject" else {}
        known = accepts.categories if policy.on_unseen_category == "reject" else {}
        self.columns: Mapping[str, FeatureRule] = {
            **{n: FeatureRule(True, nullable, spans.get(n), None) for n in accepts.numeric},
            **{
                n: FeatureRule(
                    False,
                    nullable,
                    None,
                    known.get(n),
                    accepts.spelling(n),
                    is_date=n in accepts.dates,
                )
                for n in accepts.categorical
            },
        }
        self.required = frozenset(required)
        self.fills_missing = policy.on_missing_feature == "null"
        self.ignores_extra = policy.on_extra_feature == "ignore"

    def of_tensors(self, tensors: Sequence[Tensor], max_rows: int) -> Rows:
        """Rows of an `/infer` body. Raises Refusal (413, 422)."""
        columns: dict[str, list[Any]] = {}
        count = rows_of(tensors[0]) if tensors else 0
        for tensor in tensors:
            name = tensor.name
            if name in columns:
                message = "The feature is given twice."
                raise Refusal(422, "duplicate_feature", message, place_of(name))
            columns[name] = values = values_of(tensor, count)
            self._check_datatype(tensor, values)
        return self.checked(columns, count, max_rows, place="inputs")

    def of_frame(self, body: InvocationsBody, max_rows: int) -> Rows:
        """Rows of an `/invocations` body. Raises Refusal (413, 422)."""
        split, records = body.dataframe_split, body.dataframe_records
        if (split is None) == (records is None):
            message = "Send exactly one of dataframe_split, dataframe_records."
            raise Refusal(422, "invalid", message)
        if split is not None:
            count = len(split.data)
            return self.checked(_split_columns(split), count, max_rows, place="dataframe_split")
        assert records is not None
        return self.checked(
            _record_columns(records), len(records), max_rows, place="dataframe_records"
        )

    def checked(
        self, columns: dict[str, list[Any]], count: int, max_rows: int, *, place: str
    ) -> Rows:
        """Every value of every feature. Raises Refusal (413, 422)."""
        if not 1 <= count <= max_rows:
            message = f"{count} rows; allowed are 1 to {max_rows}."
            raise Refusal(413 if count else 422, "wrong_row_count", message, place)
        numeric: dict[str, list[float | None]] = {}
        categorical: dict[str, list[str | None]] = {}
        for name, values in columns.items():
            column = self.columns.get(name)
            if column is None:
                self._extra(name, place)
            elif column.is_numeric:
                numeric[name] = column.numbers(values, f"{place}.{name}")
            else:
                categorical[name] = column.texts(values, f"{place}.{name}")
        if not self.required <= columns.keys():
            self._fill(columns, count, numeric, categorical, place=place)
        return Rows(count, numeric, categorical)

    def _extra(self, name: str, place: str) -> None:
        if not self.ignores_extra:
            message = "The model has no such feature."
            raise Refusal(422, "unknown_feature", message, f"{place}.{name[:MAX_TEXT]}")

    def _fill(
        self,
        columns: Mapping[str, object],
        count: int,
        numeric: dict[str, list[float | None]],
        categorical: dict[str, list[str | None]],
        *,
        place: str,
    ) -> None:
        """Nulls for what is missing, where the policy says so. Raises Refusal where it does not."""
        missing = sorted(self.required - columns.keys())
        if not self.fills_missing:
            message = "The feature is missing."
            raise Refusal(422, "missing_feature", message, f"{place}.{missing[0]}")
        for name in missing:
            target: dict[str, Any] = numeric if self.columns[name].is_numeric else categorical
            target[name] = [None] * count

    def _check_datatype(self, tensor: Tensor, values: list[Any]) -> None:
        """A tensor must call itself what its feature is, and hold what it calls itself."""
        column = self.columns.get(tensor.name)
        if column is None:
            return
        allowed = NUMBERS if column.is_numeric else TEXTS
        if tensor.datatype not in allowed:
            message = (
                f"datatype is {tensor.datatype[:20]!r}; allowed: {', '.join(sorted(allowed))}."
            )
            raise Refusal(422, "wrong_datatype", message, place_of(tensor.name))
        hold_width(tensor.datatype, values, place_of(tensor.name))


def _finite(value: object) -> float | None:
    """The number; None for all else, so for a bool and for a text that reads like a number."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def _spelled(value: str, spelling: Spelling) -> str:
    written = spelling.respell(value)
    if written is None:
        return f"{value[:_WIDTH]!r} is no {spelling.kind} as training wrote it: {spelling.example}."
    return f"{value[:_WIDTH]!r} is written {written[:_WIDTH]!r} here."


def _split_columns(split: Split) -> dict[str, list[Any]]:
    if len(set(split.columns)) < len(split.columns):
        raise Refusal(422, "duplicate_feature", "A column stands twice.", "dataframe_split.columns")
    for number, row in enumerate(split.data):
        if len(row) != len(split.columns):
            message = f"{len(row)} values for {len(split.columns)} columns."
            raise Refusal(422, "wrong_shape", message, f"dataframe_split.data[{number}]")
    return {name: [row[i] for row in split.data] for i, name in enumerate(split.columns)}


def _record_columns(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for record in records for name in record)
    for number, record in enumerate(records):
        if missing := [name for name in names if name not in record]:
            where = f"dataframe_records[{number}].{missing[0][:MAX_TEXT]}"
            raise Refusal(422, "missing_feature", "Other records have it, this one not.", where)
    return {name: [record[name] for record in records] for name in names}
