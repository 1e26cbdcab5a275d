"""What differs between two shapes, and what that means to each reader."""

from dataclasses import replace

import pytest

from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.quality import QualityPolicy, is_partly_usable, summary
from tenure.lifecycle.data.quality import judge as judge_batch
from tenure.lifecycle.data.schema import (
    ColumnShape,
    Compatibility,
    LandedColumns,
    Reader,
    SchemaChange,
    SchemaChangeKind,
    Shape,
    changes,
    judge,
    landed_changes,
    schema_findings,
    stopped,
    unjudged,
    worst,
)
from tenure.verdicts import Severity

COMPATIBLE, MAPPING, BREAKING = Compatibility

BEFORE = Shape(
    {
        "id": ColumnShape("string", nullable=False),
        "at": ColumnShape("timestamp", nullable=False),
        "temp": ColumnShape("number"),
        "hour": ColumnShape("integer"),
        "origin": ColumnShape("string"),
        "mail": ColumnShape("string", token="k1"),
    },
    key=("id",),
    time="at",
)
READS_TEMP = Reader("reads_temp", frozenset({"temp"}), frozenset(), subject="id", time="at")
READS_HOUR = Reader("reads_hour", frozenset({"hour"}), frozenset(), subject="id", time="at")
READS_HOUR_AS_TEXT = Reader("hour_text", frozenset(), frozenset({"hour"}), subject="id", time="at")
READS_MAIL = Reader("reads_mail", frozenset(), frozenset({"mail"}), subject="id", time="at")
NAMED_BY_MAIL = Reader("by_mail", frozenset({"temp"}), frozenset(), subject="mail", time="at")


def without(*names: str) -> Shape:
    return BEFORE.without(names)


def with_column(name: str, **other: object) -> Shape:
    columns = dict(BEFORE.columns)
    columns[name] = replace(columns.get(name, ColumnShape("number")), **other)  # type: ignore[arg-type]
    return Shape(columns, BEFORE.key, BEFORE.time)


def renamed(old: str, new: str) -> Shape:
    columns = {new if name == old else name: column for name, column in BEFORE.columns.items()}
    return Shape(columns, BEFORE.key, BEFORE.time)


TABLE: dict[str, tuple[Shape, list[tuple[SchemaChangeKind, str]], dict[str, Compatibility]]] = {
    "nothing": (BEFORE, [], {"reads_temp": COMPATIBLE}),
    "added": (
        with_column("wind"),
        [(SchemaChangeKind.ADDED, "wind")],
        {"reads_temp": COMPATIBLE, "reads_hour": COMPATIBLE},
    ),
    "dropped": (
        without("temp"),
        [(SchemaChangeKind.DROPPED, "temp")],
        {"reads_temp": BREAKING, "reads_hour": COMPATIBLE},
    ),
    "two dropped": (
        without("temp", "hour"),
        [(SchemaChangeKind.DROPPED, "temp"), (SchemaChangeKind.DROPPED, "hour")],
        {"reads_temp": BREAKING, "reads_hour": BREAKING, "reads_mail": COMPATIBLE},
    ),
    "the time dropped": (
        without("at"),
        [(SchemaChangeKind.DROPPED, "at")],
        {"reads_temp": BREAKING, "reads_hour": BREAKING},
    ),
    "the subject dropped": (
        without("mail"),
        [(SchemaChangeKind.DROPPED, "mail")],
        {"by_mail": BREAKING},
    ),
    "renamed without a mapping": (
        renamed("temp", "temperature"),
        [(SchemaChangeKind.RENAMED, "temp"), (SchemaChangeKind.ADDED, "temperature")],
        {"reads_temp": MAPPING, "reads_hour": COMPATIBLE},
    ),
    "renamed to something else altogether": (
        renamed("temp", "fahrenheit"),
        [(SchemaChangeKind.RENAMED, "temp"), (SchemaChangeKind.ADDED, "fahrenheit")],
        {"reads_temp": MAPPING},
    ),
    "dropped, and one of another type added": (
        Shape({**without("temp").columns, "tempo": ColumnShape("string")}, ("id",), "at"),
        [(SchemaChangeKind.DROPPED, "temp"), (SchemaChangeKind.ADDED, "tempo")],
        {"reads_temp": BREAKING},
    ),
    "widened": (
        with_column("hour", type="number"),
        [(SchemaChangeKind.WIDENED, "hour")],
        {"reads_hour": COMPATIBLE, "hour_text": BREAKING, "reads_temp": COMPATIBLE},
    ),
    "narrowed": (
        with_column("temp", type="integer"),
        [(SchemaChangeKind.NARROWED, "temp")],
        {"reads_temp": COMPATIBLE, "reads_hour": COMPATIBLE},
    ),
    "another type": (
        with_column("temp", type="string"),
        [(SchemaChangeKind.RETYPED, "temp")],
        {"reads_temp": BREAKING, "reads_hour": COMPATIBLE},
    ),
    "nulls allowed": (
        with_column("id", nullable=True),
        [(SchemaChangeKind.NULLS_ALLOWED, "id")],
        {"reads_temp": COMPATIBLE},
    ),
    "nulls allowed in the time": (
        with_column("at", nullable=True),
        [(SchemaChangeKind.NULLS_ALLOWED, "at")],
        {"reads_temp": BREAKING, "reads_hour": BREAKING},
    ),
    "nulls forbidden": (
        with_column("temp", nullable=False),
        [(SchemaChangeKind.NULLS_FORBIDDEN, "temp")],
        {"reads_temp": COMPATIBLE},
    ),
    "another key": (
        Shape(BEFORE.columns, ("id", "at"), "at"),
        [(SchemaChangeKind.KEY_CHANGED, "")],
        {"reads_temp": BREAKING, "reads_hour": BREAKING},
    ),
    "no key any more": (
        Shape(BEFORE.columns, (), "at"),
        [(SchemaChangeKind.KEY_SET, "")],
        {"reads_temp": COMPATIBLE},
    ),
    "another time": (
        Shape(BEFORE.columns, ("id",), "hour"),
        [(SchemaChangeKind.TIME_CHANGED, "")],
        {"reads_temp": BREAKING},
    ),
    "another order": (
        Shape(dict(reversed(BEFORE.columns.items())), ("id",), "at"),
        [(SchemaChangeKind.REORDERED, "")],
        {"reads_temp": COMPATIBLE},
    ),
    "pseudonyms instead of values": (
        with_column("origin", token="k1"),
        [(SchemaChangeKind.PSEUDONYMISED, "origin")],
        {"reads_temp": COMPATIBLE},
    ),
    "values instead of pseudonyms": (
        with_column("mail", token=None),
        [(SchemaChangeKind.REVEALED, "mail")],
        {"reads_mail": BREAKING, "reads_temp": COMPATIBLE, "by_mail": COMPATIBLE},
    ),
    "pseudonyms of another key": (
        with_column("mail", token="k2"),
        [(SchemaChangeKind.REKEYED, "mail")],
        {"reads_mail": BREAKING, "reads_temp": COMPATIBLE, "by_mail": COMPATIBLE},
    ),
}
READERS = [READS_TEMP, READS_HOUR, READS_HOUR_AS_TEXT, READS_MAIL, NAMED_BY_MAIL]


@pytest.mark.parametrize("name", TABLE)
def test_changes_are_found_and_judged_for_each_reader(name: str) -> None:
    after, kinds, verdicts = TABLE[name]
    found = changes(BEFORE, after)
    assert [(change.kind, change.column) for change in found] == kinds
    by_name = {reader.name: reader for reader in READERS}
    assert verdicts == {
        reader: worst([judge(change, by_name[reader]) for change in found]) for reader in verdicts
    }


def test_every_kind_of_change_is_in_the_table_or_in_the_tests_of_mappings() -> None:
    seen = {kind for _, kinds, _ in TABLE.values() for kind, _ in kinds}
    assert set(SchemaChangeKind) - seen == {SchemaChangeKind.MAPPED, SchemaChangeKind.LAPSED}


MAPPED = {"temp": "temperature"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE, renamed("temp", "temperature")),
        (renamed("temp", "temperature"), BEFORE),
    ],
    ids=["a newer contract", "an older snapshot"],
)
def test_a_mapping_makes_a_rename_compatible_both_ways(before: Shape, after: Shape) -> None:
    found = changes(before, after, renamed=MAPPED)
    assert [(change.kind, change.column) for change in found] == [
        (SchemaChangeKind.MAPPED, "temperature")
    ]
    assert stopped(found, [READS_TEMP.mapped(MAPPED), READS_HOUR]) == {}


def test_a_mapping_does_not_hide_another_type() -> None:
    after = Shape({**without("temp").columns, "temperature": ColumnShape("string")}, ("id",), "at")
    found = changes(BEFORE, after, renamed=MAPPED)
    assert [change.kind for change in found] == [
        SchemaChangeKind.MAPPED,
        SchemaChangeKind.RETYPED,
        SchemaChangeKind.REORDERED,
    ]
    assert list(stopped(found, [READS_TEMP.mapped(MAPPED), READS_HOUR])) == ["reads_temp"]


def test_where_both_names_are_there_the_new_one_counts() -> None:
    both = Shape({**BEFORE.columns, "temperature": ColumnShape("string")}, ("id",), "at")
    expected = renamed("temp", "temperature")
    found = changes(expected, both, renamed=MAPPED)
    assert SchemaChangeKind.RETYPED in {change.kind for change in found}


def test_a_mapped_key_is_the_same_key() -> None:
    after = Shape(renamed("id", "ident").columns, ("ident",), "at")
    assert [c.kind for c in changes(BEFORE, after, renamed={"id": "ident"})] == [
        SchemaChangeKind.MAPPED
    ]


def test_the_order_of_a_key_means_nothing() -> None:
    one, other = (Shape(BEFORE.columns, key, "at") for key in (("id", "at"), ("at", "id")))
    assert changes(one, other) == ()


def test_after_the_window_the_old_name_breaks() -> None:
    contract = renamed("temp", "temperature")
    (change,) = (
        c for c in changes(contract, BEFORE, lapsed=MAPPED) if c.kind is not SchemaChangeKind.ADDED
    )
    assert change == SchemaChange(
        SchemaChangeKind.LAPSED,
        "temperature",
        "temperature is not there; the time to call it temp is over",
        "temp",
    )
    assert judge(change, READS_TEMP.mapped(MAPPED)) is BREAKING
    assert judge(change, READS_HOUR) is COMPATIBLE


def test_renames_are_paired_by_likeness_and_only_once() -> None:
    before = Shape({"temp_min": ColumnShape("number"), "temp_max": ColumnShape("number")})
    after = Shape({"tempmax": ColumnShape("number"), "tempmin": ColumnShape("number")})
    found = changes(before, after)
    assert [(c.column, c.other) for c in found if c.kind is SchemaChangeKind.RENAMED] == [
        ("temp_min", "tempmin"),
        ("temp_max", "tempmax"),
    ]


def test_a_shape_survives_its_json() -> None:
    assert Shape.from_dict(BEFORE.to_dict()) == BEFORE
    assert list(Shape.from_dict(BEFORE.to_dict()).columns) == list(BEFORE.columns)


class TestLanded:
    """What the gate says of a file whose columns differ from the contract."""

    def found(self, landed: LandedColumns, lapsed: dict[str, str] | None = None) -> list[str]:
        seen = landed_changes(BEFORE, landed, lapsed=lapsed or {})
        return [str(f) for f in schema_findings(seen, BEFORE, READERS, says_added=True)]

    @pytest.mark.parametrize(
        ("landed", "said"),
        [
            (
                LandedColumns({"temp": ""}, ()),
                [
                    "temp: found no such column; it is not published, reads_temp, by_mail cannot "
                    "train on this batch, expected number"
                ],
            ),
            (
                LandedColumns({"origin": ""}, ()),
                [
                    "origin: found no such column; it is not published, no model reads it, "
                    "expected string"
                ],
            ),
            (
                LandedColumns({"hour": "string"}, ()),
                [
                    "hour: found the type string; it is not published, reads_hour, hour_text "
                    "cannot train on this batch, expected integer"
                ],
            ),
            (
                LandedColumns({}, ["wind"]),
                [
                    "wind: found a column that the contract does not know; it is not published, "
                    "expected no such column"
                ],
            ),
        ],
    )
    def test_words(self, landed: LandedColumns, said: list[str]) -> None:
        assert self.found(landed) == said

    @pytest.mark.parametrize(
        ("column", "is_partly"), [("temp", True), ("origin", False), ("", False)]
    )
    def test_a_batch_is_partly_usable_when_it_stops_a_model(
        self, column: str, is_partly: bool
    ) -> None:
        landed = LandedColumns({column: ""} if column else {}, ["wind"])
        seen = landed_changes(BEFORE, landed, lapsed={})
        found = schema_findings(seen, BEFORE, READERS, says_added=True)
        assert is_partly_usable(f.check for f in found) is is_partly

    def test_a_closed_window_is_reported_and_many_models_are_counted(self) -> None:
        readers = [replace(READS_TEMP, name=f"m{i}") for i in range(7)]
        landed = LandedColumns({"temp": ""}, ["tmp"])
        seen = landed_changes(BEFORE, landed, lapsed={"tmp": "temp"})
        (finding,) = schema_findings(seen, BEFORE, readers, says_added=False)
        assert str(finding) == (
            "temp: found no such column but 'tmp', its old name, whose window has closed; it is "
            "not published, m0, m1, m2, m3, m4 and 2 more cannot train on this batch, expected "
            "number"
        )

    def test_it_stops_no_batch_and_no_row(self) -> None:
        seen = landed_changes(BEFORE, LandedColumns({"temp": "", "hour": "x"}, ["w"]), lapsed={})
        found = schema_findings(seen, BEFORE, READERS, says_added=True)
        judgement = judge_batch(10, found, QualityPolicy())
        assert (judgement.verdict, judgement.rows_ok) == ("passed", 10)
        assert summary("d", "b", judgement).startswith("d batch b: all 0 expectations hold; temp: ")


def suite(*expectations: tuple[str, dict[str, object], Severity]) -> Suite:
    built = [Expectation(str(n), *e) for n, e in enumerate(expectations)]
    return Suite("s", "0" * 64, "", tuple(built))


@pytest.mark.parametrize(
    ("kwargs", "severity", "is_fatal"),
    [
        ({"column": "temp"}, Severity.CRITICAL, False),
        ({"column": "temp"}, Severity.WARNING, False),
        ({"column": "hour"}, Severity.CRITICAL, None),
        ({"column_A": "temp", "column_B": "hour"}, Severity.CRITICAL, True),
        ({"column_A": "temp", "column_B": "hour"}, Severity.WARNING, False),
        ({"column_A": "temp", "column_B": "dewp"}, Severity.CRITICAL, False),
        ({"column_list": ["hour", "temp"]}, Severity.CRITICAL, True),
        ({}, Severity.CRITICAL, None),
    ],
)
def test_a_rule_that_also_guards_others_is_missed(
    kwargs: dict[str, object], severity: Severity, is_fatal: bool | None
) -> None:
    found = unjudged(suite(("expect_something", kwargs, severity)), {"temp", "dewp"})
    assert [finding.is_fatal for finding in found.values()] == (
        [] if is_fatal is None else [is_fatal]
    )
