"""Names of landing files."""

import re
from dataclasses import dataclass
from datetime import date

import pytest
from pydantic import ValidationError

from tenure.lifecycle.data.sources import (
    Contract,
    CsvFormat,
    FileJudgement,
    Rules,
    Source,
    batch_of,
    broken_name,
    is_candidate,
)
from tenure.ports import is_object_key

CANDIDATES = {
    "landing/d/a.parquet": True,
    "landing/d/a.csv": True,
    "landing/d/README": True,
    "landing/d/_SUCCESS": False,
    "landing/d/.a.parquet": False,
    "landing/d/a.parquet.tmp": False,
    "landing/d/a.PART": False,
    "landing/d/sub/a.parquet": False,
    "landing/e/a.parquet": False,
    "snapshots/d/a.parquet": False,
}


@pytest.mark.parametrize(("key", "wanted"), CANDIDATES.items())
def test_candidates(key: str, wanted: bool) -> None:
    assert is_candidate("d", key) is wanted


NAMES = {
    "a.parquet": ("a", True),
    "2013-03.parquet": ("2013-03", True),
    "a.b.parquet": ("a.b", True),
    "a b.parquet": ("a_b", False),
    "é.parquet": ("x_", False),
    "a.csv": ("a", False),
    "a": ("a", False),
    "x" * 101 + ".parquet": ("x" * 100, False),
    "{{ 1 }}.parquet": ("x___1___", False),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_batch_of(name: str, expected: tuple[str, bool]) -> None:
    batch, fine = expected
    key = f"landing/d/{name}"

    assert batch_of(key) == batch
    assert (broken_name(key, Source(format="parquet")) is None) is fine
    assert is_object_key(f"quarantine/d/{batch_of(key)}/x")


CSV_NAMES = {
    "a.csv": ("a", True),
    "a.csv.gz": ("a", True),
    "2024.03.csv.gz": ("2024.03", True),
    "a.gz": ("a", False),
    "a.parquet": ("a", False),
}


@pytest.mark.parametrize(("name", "expected"), CSV_NAMES.items())
def test_a_csv_file_may_be_packed(name: str, expected: tuple[str, bool]) -> None:
    key = f"landing/d/{name}"

    assert (batch_of(key), broken_name(key, Source(format="csv")) is None) == expected


def test_the_suffix_is_named() -> None:
    assert broken_name("landing/d/a.txt", Source(format="csv")) == (
        "the file is called 'a.txt', expected the suffix .csv or .csv.gz"
    )


def test_a_long_name_is_called_long() -> None:
    assert broken_name(f"landing/d/{'y' * 100}.csv", Source(format="csv")) is None
    assert broken_name(f"landing/d/{'y' * 101}.csv", Source(format="csv")) == (
        f"the file is called '{'y' * 80}'…, with 101 characters before the suffix, expected at "
        "most 100"
    )


WRONG = {
    "two orders of day and month": (
        {"time_zone": "UTC", "csv": {"times": ["%d.%m.%Y", "%d/%m/%Y %H", "%m/%d/%Y %H"]}},
        "'%d/%m/%Y %H' and '%m/%d/%Y %H' read the same text as different days",
    ),
    "a zone that is none": ({"time_zone": "Mars/Base"}, "there is no time zone 'Mars/Base'"),
    "a zone that is a path": ({"time_zone": "../../etc/passwd"}, "there is no time zone"),
    "times without zone": ({"csv": {"times": ["%d.%m.%Y"]}}, "time_zone must say which one"),
    "a form without year": (
        {"time_zone": "UTC", "csv": {"times": ["%d.%m."]}},
        "'%d.%m.' must hold each of %Y %m %d once, and may %H %M %S",
    ),
    "a form with two years": ({"time_zone": "UTC", "csv": {"times": ["%Y%Y%m%d"]}}, "must hold"),
    "two characters": ({"csv": {"delimiter": ";;"}}, "delimiter"),
    "a quote": ({"csv": {"delimiter": '"'}}, "delimiter"),
    "a line end": ({"csv": {"delimiter": "\n"}}, "delimiter"),
    "an unknown encoding": ({"csv": {"encoding": "zip"}}, "encoding"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=WRONG.keys())
def test_settings_that_cannot_be(content: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        Source.model_validate(content)


def test_a_tab_is_a_delimiter() -> None:
    assert CsvFormat(delimiter="\t").delimiter == "\t"


class TestRenames:
    """Old names lead to columns of the contract, until a day."""

    contract = Contract.model_validate(
        {
            "columns": {"temperature": {"type": "number"}},
            "renames": {"temp": {"to": "temperature", "until": "2026-06-30"}},
        }
    )

    @pytest.mark.parametrize(
        ("today", "is_open"),
        [
            (None, True),
            (date(2026, 6, 29), True),
            (date(2026, 6, 30), True),
            (date(2026, 7, 1), False),
        ],
    )
    def test_the_last_day_counts(self, today: date | None, is_open: bool) -> None:
        assert self.contract.renamed(today) == ({"temp": "temperature"} if is_open else {})

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("a", "b", "'b' (for 'a') is not a column of the contract"),
            ("temperature", "temperature", "'temperature' is still a column of the contract"),
        ],
    )
    def test_it_leads_from_nowhere_to_a_column(self, old: str, new: str, says: str) -> None:
        broken = {
            "columns": {"temperature": {"type": "number"}},
            "renames": {old: {"to": new, "until": "2026-06-30"}},
        }
        with pytest.raises(ValueError, match=re.escape(says)):
            Contract.model_validate(broken)


OLD, NEW = Rules("suite 1", "config"), Rules("suite 2", "config")


@dataclass(frozen=True)
class Stored:
    source_key: str
    source_digest: str
    suite_digest: str
    config_digest: str


def judgement(key: str, digest: str, rules: Rules = NEW) -> Stored:
    return Stored(f"landing/d/{key}.csv", digest, **vars(rules))


STANDING: dict[str, tuple[list[Stored], bool]] = {
    "nothing was judged": ([], False),
    "this file, by these rules": ([judgement("a", "1")], True),
    "this file, by other rules": ([judgement("a", "1", OLD)], False),
    "another file came after it": ([judgement("a", "2")], False),
    "under another name, where it stands": ([judgement("b", "1")], True),
    "under another name, by other rules": ([judgement("b", "1", OLD)], False),
    "under another name, but this one had another": (
        [judgement("a", "2"), judgement("b", "1")],
        False,
    ),
    "under another name, that was wrong": ([judgement("b c", "1")], False),
    "under this name, however wrong others are": ([judgement("a", "1"), judgement("é", "1")], True),
    "under two names, once by other rules": ([judgement("b", "1"), judgement("c", "1", OLD)], True),
}


@pytest.mark.parametrize("case", STANDING)
def test_a_judgement_stands(case: str) -> None:
    judged, stands = STANDING[case]

    standing = FileJudgement(judged, NEW, Source(format="csv"))

    assert (standing.of("landing/d/a.csv", "1") is not None) is stands
