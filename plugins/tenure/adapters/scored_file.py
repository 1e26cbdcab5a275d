"""Rows of any CSV or Parquet file, counted by label, decision and group in one scan of DuckDB.

Plain DuckDB, without Ibis: the whole command takes less time than its import would.
"""
# Columns are quoted, nothing else of the statements comes from outside.
# ruff: noqa: S608

import csv
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tenure.errors import FileRefused
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.training.bias.scored import AuditColumns, ErrorCell, ScoredCell
from tenure.ports import ErrorSums

MOST_CELLS = 10_000
"""Combinations of label, decision and groups beyond which a column is no label and no group."""
MOST_VALUES = 1_000
"""Values of one attribute."""
MOST_NUMBERS = 30
"""Values of an attribute that is a number, without edges."""
_PARQUET = b"PAR1"
_DELIMITERS = (",", ";", "\t", "|")
_UNIT = 10**12
"""Scores are added up in whole parts of it: equal whatever order the threads add in."""
_STEPS = 2**50
"""Errors are added up in whole parts of the largest one, as of a version's."""
_OPTIONS = {"memory_limit": "768MB", "autoinstall_known_extensions": "false", "TimeZone": "UTC"}
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_PLAIN = frozenset({"BOOLEAN", "VARCHAR", "DATE", *_WHOLE, *(f"U{kind}" for kind in _WHOLE)})
_NO_VALUE = ("STRUCT", "MAP", "UNION", "BLOB", "VARIANT")
"""How types begin that hold no single value."""
_KEPT = "The file was only read."


def count_file(path: Path, columns: AuditColumns) -> list[ScoredCell]:
    """The rows of a file by label, decision and group.

    Raises:
        FileRefused: The file cannot be read, lacks a column or has it twice, a score is no
            probability, or a column has too many values.
    """
    return _ScoredFile.open(path, columns).cells()


def error_file(path: Path, columns: AuditColumns) -> list[ErrorCell]:
    """The rows of a file of numbers by group, with sums of their errors.

    Raises:
        FileRefused: As for `count_file`, or a label or prediction is no finite number.
    """
    return _ScoredFile.open(path, columns).error_cells()


class _ScoredFile:
    """One file, opened: its relation in SQL and its columns."""

    def __init__(self, path: Path, columns: AuditColumns, database: Any, relation: str) -> None:
        self._path = path
        self._columns = columns
        self._database = database
        self._relation = relation
        self._unit = 1.0
        self._place: dict[str, str] = {}
        self._type: dict[str, str] = {}

    @classmethod
    def open(cls, path: Path, columns: AuditColumns) -> "_ScoredFile":
        import duckdb

        if not path.is_file():
            is_there = "is no file" if path.exists() else "does not exist"
            raise _refused(f"{path} {is_there}", "Name a CSV or Parquet file")
        if not path.stat().st_size:
            raise _refused(f"{path} is empty", "Name a file with a header and rows")
        database = duckdb.connect(config=_OPTIONS)
        with path.open("rb") as file:
            is_parquet = file.read(4) == _PARQUET
        place = _quoted(_literally(path))
        try:
            names, relation = (
                _parquet(database, place) if is_parquet else _csv(path, place, columns.named)
            )
            found = cls(path, columns, database, relation)
            found._find(names)
        except duckdb.Error as error:
            raise _unreadable(path, error) from None
        return found

    def _find(self, names: Sequence[str]) -> None:
        """Where each named column is; DuckDB renames what it sees twice, so by position."""
        described = self._rows(f"DESCRIBE SELECT * FROM {self._relation}")
        for wanted in self._columns.named:
            places = [n for n, name in enumerate(names) if name == wanted]
            if not places:
                shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
                raise _refused(
                    f"{self._path} has no column {wanted!r}; it has {shown}",
                    "Name a column as the header does",
                )
            if len(places) > 1:
                raise _refused(
                    f"{self._path} has {len(places)} columns that are called {wanted!r}",
                    "Rename all but one",
                )
            renamed, kind, *_ = described[places[0]]
            if kind.startswith(_NO_VALUE) or kind.endswith("]"):
                raise _refused(
                    f"{self._path}: {wanted} is {kind[:40]}, which is no single value",
                    "Name a column of texts, numbers, booleans or dates",
                )
            escaped = str(renamed).replace('"', '""')
            self._place[wanted], self._type[wanted] = f'"{escaped}"', str(kind)

    def cells(self) -> list[ScoredCell]:
        import duckdb

        try:
            self._rows(self._counting())
            self._refuse_what_cannot_be_counted()
            found = self._rows("SELECT * FROM cells")
        except duckdb.Error as error:
            raise _unreadable(self._path, error) from None
        groups = len(self._columns.protected)
        return [
            ScoredCell(
                group=tuple(map(_spelled, row[:groups])),
                label=_spelled(row[groups]),
                decision=row[groups + 1] if self._columns.score else _spelled(row[groups + 1]),
                rows=int(row[groups + 2]),
                score=(float(row[-2] or 0) / _UNIT, float(row[-1] or 0) / _UNIT),
            )
            for row in found
        ]

    def error_cells(self) -> list[ErrorCell]:
        import duckdb

        try:
            self._refuse_what_is_no_number()
            self._rows(self._adding())
            self._refuse_what_cannot_be_counted()
            found = self._rows("SELECT * FROM cells")
        except duckdb.Error as error:
            raise _unreadable(self._path, error) from None
        groups = len(self._columns.protected)
        units = [math.prod((self._unit,) * power) / _STEPS for power in (1, 1, 2, 4)]
        return [
            ErrorCell(
                tuple(map(_spelled, row[:groups])),
                int(row[groups + 1]),
                int(row[groups + 2]),
                ErrorSums(
                    int(row[groups + 3]),
                    *(
                        float(one or 0) * unit
                        for one, unit in zip(row[groups + 4 :], units, strict=True)
                    ),
                ),
            )
            for row in found
        ]

    def _refuse_what_is_no_number(self) -> None:
        for name in (self._columns.label, str(self._columns.prediction)):
            if self._type[name] == "BOOLEAN":
                raise _refused(
                    f"{self._path}: {name} is true or false, and the label of a regression is a "
                    "number",
                    "Name the column with numbers, or leave --metric out",
                )
            value = self._number(name)
            bad = f"(({value}) IS NULL OR NOT isfinite({value}))"
            if self._type[name] in ("DOUBLE", "FLOAT"):  # NaN is a missing value, as for pandas
                bad = f"isinf({value})"
            self._refuse_row(name, bad, "which is no finite number")

    def _adding(self) -> str:
        """Sums by group, of whole parts of the largest error: equal in whatever order they come."""
        asked = self._columns
        keys = [self._key(name) for name in asked.protected]
        label, prediction = (self._known(name) for name in (asked.label, str(asked.prediction)))
        error = f"({prediction} - {label})"
        largest = self._rows(f"SELECT max(abs({error})) FROM {self._relation}")[0][0]
        self._unit = float(largest or 0.0) or 1.0
        part = f"({error} / {self._unit!r}::DOUBLE)"
        sums = (part, f"abs({part})", f"({part} ** 2)", f"({part} ** 4)")
        parts = [
            *(f"{key} AS g{n}" for n, key in enumerate(keys)),
            "count(*) AS n",
            f"count(*) - count({label})",
            f"count({label}) - count({error})",
            f"count({error})",
            *(f"sum(round({one} * {_STEPS})::BIGINT)" for one in sums),
        ]
        return (
            f"CREATE TEMP TABLE cells AS SELECT {', '.join(parts)} FROM {self._relation} "
            "GROUP BY ALL ORDER BY ALL"
        )

    def _known(self, name: str) -> str:
        """As a number, NaN as null."""
        return _unless_nan(f"{self._number(name)}::DOUBLE")

    def _counting(self) -> str:
        asked = self._columns
        keys = [self._key(name) for name in asked.protected]
        score, decision = "NULL::DOUBLE", "NULL"
        if asked.score is not None:
            score = self._number(asked.score)
            kind = "FLOAT" if self._type[asked.score] == "FLOAT" else "DOUBLE"
            decision = f"{score} >= {asked.threshold!r}::{kind}"
        elif asked.prediction is not None:
            decision = self._value(asked.prediction)
        parts = [
            *(f"{key} AS g{n}" for n, key in enumerate(keys)),
            f"{self._value(asked.label)} AS label",
            f"{decision} AS decision",
            "count(*) AS n",
            f"sum(CASE WHEN {_is_share(score)} THEN round({score} * {_UNIT})::BIGINT END)",
            f"sum(CASE WHEN {_is_share(score)} THEN round({score} ** 2 * {_UNIT})::BIGINT END)",
        ]
        return (
            f"CREATE TEMP TABLE cells AS SELECT {', '.join(parts)} FROM {self._relation} "
            "GROUP BY ALL ORDER BY ALL"
        )

    def _key(self, name: str) -> str:
        """The value of an attribute; of one with edges the edge below it, or one below them all."""
        edges = self._columns.edges.get(name)
        if edges is None:
            return self._value(name)
        number = self._number(name)
        steps = " ".join(f"WHEN {number} >= {edge!r} THEN {edge!r}" for edge in reversed(edges))
        below = edges[0] - max(1.0, abs(edges[0]))
        known = f"isfinite({number}) OR isinf({number})"
        return f"CASE WHEN {known} THEN CASE {steps} ELSE {below!r} END END"

    def _value(self, name: str) -> str:
        """As a type that Python spells as the rest of Tenure does; NaN is null."""
        place, kind = self._place[name], self._type[name]
        if kind == "FLOAT":
            return _unless_nan(f"{place}::VARCHAR::DOUBLE")
        if kind == "DOUBLE":
            return _unless_nan(place)
        if kind in _PLAIN or kind.startswith("DECIMAL"):
            return place
        return f"{place}::VARCHAR"

    def _number(self, name: str) -> str:
        """As a number, null where it is none; NaN of a file with types is null as well.

        DuckDB 2.0 pushes a bare TRY_CAST into its CSV reader, where it raises: hence the trim.
        """
        place, kind = self._place[name], self._type[name]
        if kind == "VARCHAR":
            return f"TRY_CAST(trim({place}) AS DOUBLE)"
        return _unless_nan(place if kind == "FLOAT" else f"TRY_CAST({place} AS DOUBLE)")

    def _refuse_what_cannot_be_counted(self) -> None:
        """Everything that the counts would hide; the row is looked for only when there is one."""
        asked = self._columns
        if asked.score is not None:
            value = self._number(asked.score)
            bad = f"({value} IS NULL OR NOT ({_is_share(value)}))"
            self._refuse_row(asked.score, bad, "which is no probability: a score is from 0 to 1")
        for name in asked.edges:
            bad = f"{self._number(name)} IS NULL"
            self._refuse_row(name, bad, "which is no number, and its edges are numbers")
        cells = int(self._rows("SELECT count(*) FROM cells")[0][0])
        for n, name in enumerate(asked.protected):
            self._refuse_many(n, name)
        if cells > MOST_CELLS:
            raise _refused(
                f"{self._path} has {cells:,} combinations of label, prediction and groups, more "
                f"than {MOST_CELLS:,}",
                "Name the columns of the label and the prediction, and attributes with few values",
            )

    def _refuse_row(self, name: str, bad: str, why: str) -> None:
        where = f"{self._place[name]} IS NOT NULL AND {bad}"
        counted = f"SELECT count(*) FROM {self._relation} WHERE {where}"
        if not (rows := int(self._rows(counted)[0][0])):
            return
        place = self._place[name]
        numbered = f"(SELECT row_number() OVER () AS row_at, * FROM {self._relation})"
        first = f"SELECT row_at, {place} FROM {numbered} WHERE {where} ORDER BY row_at LIMIT 1"
        at, value = self._rows(first)[0]
        raise _refused(
            f"{self._path}: {name} is {str(value)[:40]!r} in row {at:,} (the first of {rows:,}), "
            f"{why}",
            "Repair the rows; where nothing is known leave the cell empty: it is counted",
        )

    def _refuse_many(self, n: int, name: str) -> None:
        if name in self._columns.edges:
            return
        values, numbers = self._rows(
            f"SELECT count(DISTINCT g{n}), count(DISTINCT TRY_CAST(g{n}::VARCHAR AS DOUBLE)) "
            "FROM cells"
        )[0]
        if values == numbers and values > MOST_NUMBERS:
            raise _refused(
                f"{self._path}: {name} is a number with {values:,} values, each of which would be "
                "a group",
                f"Say where its bands begin: {self._advised(name)}",
            )
        if values > MOST_VALUES:
            raise _refused(
                f"{self._path}: {name} has {values:,} values, each of which would be a group; "
                f"{MOST_VALUES:,} are looked at",
                "Name an attribute with fewer values, or join rare ones before",
            )

    def _advised(self, name: str) -> str:
        """Quarters of the rows, as an option that can be copied."""
        quarters = self._rows(
            f"SELECT quantile_disc({self._number(name)}, [0.25, 0.5, 0.75]) FROM {self._relation}"
        )[0][0]
        edges = ",".join(f"{value:.3g}" for value in sorted(set(quarters)))
        return f"--edges {name}={edges} makes quarters"

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._database.execute(sql).fetchall()
        return found


def _parquet(database: Any, place: str) -> tuple[list[str], str]:
    """Names as the file has them, top level only, and the relation."""
    elements = database.execute(
        f"SELECT name, num_children FROM parquet_schema({place})"
    ).fetchall()
    names: list[str] = []
    at = 1
    for _ in range(int(elements[0][1])):
        names.append(elements[at][0])
        at = _after(elements, at)
    return names, f"read_parquet({place}, hive_partitioning=false)"


def _after(elements: Sequence[tuple[str, int | None]], at: int) -> int:
    """The next element that is no part of this one."""
    children, at = int(elements[at][1] or 0), at + 1
    for _ in range(children):
        at = _after(elements, at)
    return at


def _csv(path: Path, place: str, wanted: Collection[str]) -> tuple[list[str], str]:
    """Names as the header has them, and the relation: every cell a text, an empty one null."""
    headers = [(_header(path, delimiter), delimiter) for delimiter in _DELIMITERS]
    names, delimiter = max(headers, key=lambda one: (len({*wanted} & {*one[0]}), len(one[0])))
    kinds = ", ".join(f"'c{n}': 'VARCHAR'" for n in range(len(names)))
    relation = (
        f"read_csv({place}, columns={{{kinds}}}, delim={_quoted(delimiter)}, quote='\"', "
        "escape='\"', comment='', header=true, skip=0, auto_detect=false, "
        "allow_quoted_nulls=false)"
    )
    return names, relation


def _header(path: Path, delimiter: str) -> list[str]:
    """The first record. Raises FileRefused where it is no text in UTF-8."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise _refused(
            f"{path} is neither Parquet nor a CSV in UTF-8: {error}", "Write it again as one"
        ) from None


def _unless_nan(value: str) -> str:
    """NaN as null.

    The bounds that Parquet keeps of a column leave NaN out, and DuckDB 2.0 believes them: it takes
    `isnan`, `nullif` and comparisons for answered. Not so `isfinite` and `isinf`.
    """
    return f"CASE WHEN isfinite({value}) OR isinf({value}) THEN {value} END"


def _is_share(value: str) -> str:
    return f"{value} BETWEEN 0 AND 1"


def _spelled(value: object) -> str | None:
    return None if value is None else spell(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _literally(path: Path) -> str:
    """So that no character of a path is taken for a pattern."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))


def _unreadable(path: Path, error: Exception) -> FileRefused:
    said = "; ".join(line.strip() for line in str(error).splitlines()[:4] if line.strip())
    return _refused(f"{path} cannot be read: {said[:400]}", "Repair the file, or write it again")


def _refused(what: str, next_step: str) -> FileRefused:
    return FileRefused(f"{what}.", still_safe=_KEPT, next_step=f"{next_step}.")
