"""How an unknown file is found out: planted forms, and uncertain ones that stay text."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tenure.adapters.arrow_tables.csv_text import UnreadableFile, read_text
from tenure.adapters.arrow_tables.detecting import FileForm, detect
from tenure.adapters.arrow_tables.doubts import NoTable
from tenure.lifecycle.data.sources import CsvFormat, Source


def found(tmp_path: Path, content: str | bytes, encoding: str = "utf-8") -> FileForm:
    path = tmp_path / "a"
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return detect(path)


def column(tmp_path: Path, *values: str, delimiter: str = ";") -> tuple[str, Source, list[str]]:
    lines = "".join(f"{i}{delimiter}{value}\n" for i, value in enumerate(values * 5))
    detected = found(tmp_path, f"i{delimiter}c\n{lines}")
    return detected.types["c"], detected.source, detected.notes


CASES = Path(__file__).parents[2] / "cases"
DOUBT = "it is read as text"
STRANGERS: dict[str, tuple[dict[str, str], dict[str, object], list[str]]] = {
    "01-na-country-code/countries.csv": (
        {"country": "string", "visitors": "integer"},
        {"nulls": ("NA",)},
        [
            "country: 40 cells hold a word for null (None, null) and stay text",
            "NA: read as no value where a column is not text",
        ],
    ),
    "02-quote-all-missing/drops.csv": (
        {"fare": "number", "rides": "integer"},
        {"nulls": ("",)},
        [],
    ),
    "09-cr-line-ends/mac.csv": ({"id": "integer", "price": "number"}, {}, []),
    "10-backslash-escape/quotes.csv": (
        {"note": "string", "n": "integer"},
        {"escape": "\\"},
        ["a backslash before a quote is read as an escape"],
    ),
    "11-float-ints/jan.csv": ({"seats": "integer"}, {}, []),
    "12-thousands/umsatz.csv": (
        {"betrag": "string", "stueck": "string"},
        {"delimiter": ";", "decimal": ","},
        [DOUBT, DOUBT],
    ),
    "12-thousands/sales.csv": ({"amount": "string", "units": "string"}, {}, [DOUBT, DOUBT]),
    "14-e-notation-codes/parts.csv": (
        {"part_code": "string"},
        {},
        ["part_code: some values look like 1E5 and others like 100000; it is read as text"],
    ),
    "15-mixed-encoding/towns-cp1250.csv": (
        {"town": "string"},
        {"encoding": "iso-8859-1"},
        ["where the byte 0xf2 is 'ò' (windows-1250: 'ň'"],
    ),
    "17-all-null-column/allnull.csv": ({"v": "string"}, {}, []),
    "18-quoted-newlines/notes.csv.gz": ({"note": "string", "n": "integer"}, {}, []),
    "21-parquet-types/dict.parquet": ({"dict": "string"}, {}, []),
    "21-parquet-types/nulls.parquet": ({"nulls": "string"}, {}, []),
    "22-int-as-double/jan.parquet": ({"seats": "integer"}, {}, []),
}


@pytest.mark.parametrize(("case", "said"), STRANGERS.items(), ids=STRANGERS)
def test_files_of_strangers(
    case: str, said: tuple[dict[str, str], dict[str, object], list[str]]
) -> None:
    types, form, notes = said

    detected = detect(CASES / case)

    assert types.items() <= dict(detected.types).items()
    assert detected.source.csv == CsvFormat(**form)  # type: ignore[arg-type]
    assert len(detected.notes) == len(notes)
    assert all(part in note for part, note in zip(notes, detected.notes, strict=True))


def test_an_escaped_quote_is_a_quote() -> None:
    path = CASES / "10-backslash-escape/quotes.csv"
    form = detect(path).source.csv

    notes = read_text(path, form, max_bytes=10**6).table.column("note").to_pylist()

    assert notes[2] == 'said "no" to 3'


REFUSED = {
    "07-index-column/frame.csv": ("a column without a name (column 1)", "`row,id,v`"),
    "08-excel-sep-line/export.csv": ("a first line 'sep=;' that tells Excel", "`tail -n +2 FILE`"),
    "13-duplicate-columns/dup.csv": ("2 columns called 'v' (columns 2, 3)", "`id,v,v_2`"),
    "a,b,a,b,a,a_2": (
        "3 columns called 'a' (columns 1, 3, 5); 2 columns called 'b' (columns 2, 4)",
        "`a,b,a_3,b_2,a_4,a_2`",
    ),
    "a;b;": ("a column without a name (column 3)", "If every line ends with ';', leave that out."),
    ",a,": ("2 columns without a name (columns 1, 3)", "`row,a,column_3`"),
    '"sep=,"': ("that tells Excel the delimiter", "Leave that line out"),
    "Report;;": ("2 columns without a name (columns 2, 3)", "If the first line is a title"),
    "|a|b|": ("2 columns without a name (columns 1, 4)", "begins and ends with '|', leave those"),
    "a,A,b": ("'A' and 'a' differ by case only", "`a,A_2,b`"),
    "a,_row,_Reasons": ("'_row' is a name that quarantined rows need", "`a,_row_2,_Reasons_2`"),
    "a\x01b": ("a column name with a control character ('a\\x01b', column 1)", "another delimiter"),
}


@pytest.mark.parametrize(("case", "said"), REFUSED.items(), ids=REFUSED)
def test_a_header_that_is_none_is_refused_with_a_way_on(
    tmp_path: Path, case: str, said: tuple[str, str]
) -> None:
    path = CASES / case
    if not path.is_file():
        path = tmp_path / "a.csv"
        path.write_text(f"{case}\n" + f"{case.replace('a', '1').replace('b', '2')}\n" * 3)

    with pytest.raises(NoTable) as error:
        detect(path)

    assert said[0] in str(error.value)
    assert said[1] in error.value.next_step


ROW = "1,2.5,red\n"
STRAY = '1,"said "no" to 3",x\n'
NO_TABLES: dict[str, tuple[str | bytes, str, str]] = {
    "a title": (
        "Sales 2024\n\na,b,c\n" + ROW * 9,
        "10 of 10 rows with 3 cells (the first is row 1) below a header of 1",
        "the header seems to be line 2, blank lines not counted (`tail -n +2 FILE`)",
    ),
    "comments": (
        "# by x, y\n# on Monday\na,b,c\n" + ROW * 9, "below a header of 2", "`tail -n +3 FILE`",
    ),
    "row names": ("b,c\n" + ROW * 9, "9 of 9 rows with 3 cells", "R: `row.names=FALSE`"),
    "a delimiter at each end": (
        "a,b,c\n" + "1,2,3,\n" * 9, "9 of 9 rows with 4 cells", "ends with ',', leave that out",
    ),
    "spaces before quotes": (
        "a, b, c\n" + '1, "x, y", "z, w"\n' * 9, "with 5 cells", "there must be no space",
    ),
    "quotes within cells": (
        "a,b,c\n" + STRAY * 3 + ROW * 3,
        "3 of 6 rows with a quote within a cell that is neither doubled nor escaped (the first is "
        "row 1)",
        "Double each quote",
    ),
    "zip": (b"PK\x03\x04\x14\0", "a ZIP archive or an office workbook (.xlsx, .ods)", "CSV (UTF"),
    "zstd": (b"\x28\xb5\x2f\xfd\0", "packed by Zstandard", "only .csv.gz"),
    "gzip twice": (gzip.compress(gzip.compress(b"a,b\n1,2\n")), "packed by gzip twice", "CSV"),
    "zip in gzip": (gzip.compress(b"PK\x03\x04\x14\0"), "a ZIP archive", "CSV"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an old office workbook", "CSV"),
    "encrypted Parquet": (b"PARE\0\0PARE", "an encrypted Parquet file", "CSV"),
    "UTF-32": ("a,b\n1,2\n".encode("utf-32"), "UTF-32 text", "CSV (UTF-8)"),
    "web page": ("\ufeff\n<!DOCTYPE html><table><tr>", "XML or HTML", "CSV"),
    "JSON lines": ('{"a": 1, "b": 2}\n' * 3, "JSON", "CSV"),
    "JSON": ('[\n {"a": 1}, {"a": 2}]', "JSON", "CSV"),
    "an old terminal": (
        "a,b\n1,Müller\n".encode("cp850"),
        "text that is neither UTF-8 nor windows-1252 (the byte 0x81)",
        "`iconv -f ENCODING -t UTF-8 FILE`",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "said", "step"), NO_TABLES.values(), ids=NO_TABLES.keys())
def test_what_is_no_table_is_named_with_a_way_on(
    tmp_path: Path, content: str | bytes, said: str, step: str
) -> None:
    with pytest.raises(NoTable) as error:
        found(tmp_path, content)

    assert said in str(error.value)
    assert step in error.value.next_step


def test_all_columns_that_no_contract_has_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    pq.write_table(
        pa.table({"a": [1], "l": [[1]], "b": [b"x"], "u": pa.array([2**63], pa.uint64())}), path
    )

    with pytest.raises(NoTable) as error:
        detect(path)

    assert "'l' of type list<element: int64>; no contract has; a column 'b'" in str(error.value)
    assert "'u' of type uint64 with values from 9,223,372,036,854,775,808" in str(error.value)
    assert error.value.next_step.startswith("Leave these columns out of the file")


@pytest.mark.parametrize("kind", ["list", "struct", "map", "binary", "time", "duration", "uuid"])
def test_a_column_that_no_contract_has_is_named(kind: str) -> None:
    with pytest.raises(UnreadableFile, match=f"a column '{kind}' of type .*; no contract has"):
        detect(CASES / "21-parquet-types" / f"{kind}.parquet")


DOUBTS = {
    "groups of points alone": (("1.101", "22.750"), "'.' is read as decimal sign, but it may part"),
    "groups of commas alone": (("1,101", "22,750"), DOUBT),
    "spaces between thousands": (("1 234,5", "22 750,25"), DOUBT),
    "apostrophes": (("1'234.50", "22'750.25"), DOUBT),
    "percent": (("12.5%", "7%"), DOUBT),
    "currency": (("€ 12,50", "€ 7,25"), DOUBT),
    "exponents among codes": (("1e3", "1000", "77"), "stay different"),
    "thin spaces": (("1\u2009234,5", "22\u2009750"), DOUBT),
    "Indian groups": (("1,23,456.50", "22,75,000.25"), DOUBT),
    "minus behind, as SAP writes it": (("100,50-", "7,00-", "3,25"), DOUBT),
    "whole numbers with a minus behind": (("100-", "7", "3"), DOUBT),
    "parentheses": (("(100.50)", "22.25"), DOUBT),
    "currency before": (("EUR 12.50", "EUR 7.25"), DOUBT),
    "thousands as a letter": (("1.5M", "20k"), DOUBT),
    "spaces": ((" 12", "7 "), DOUBT),
    "infinity among numbers": (("inf", "2.5", "1.5"), "(the first one in row 1); it is read as"),
    "errors of Excel": (("2.5", "#DIV/0!", "1.5"), "(the first one in row 2); it is read as text"),
    "beyond all numbers": (("1e400", "2.5"), "beyond what a number can be; it is read as text"),
    "more digits than a number": (("1234567890123456.78", "2.5"), "1 different values lose digits"),
    "next to nothing": (("1e-400", "2.5"), "1 different values lose digits"),
    "two digits for the year": (("01.02.24", "31.12.23"), "dates or times in a form that is not"),
    "American clock": (("01/22/2024 01:00 PM",), "dates or times in a form that is not known"),
    "months by name": (("5-Jan-2024", "Feb 6, 2024"), "dates or times in a form that is not known"),
    "a zone by name": (("2024-01-01 12:00:00 CET",), "dates or times in a form that is not known"),
    "the end of the day as 24:00": (
        ("2024-01-01T24:00:00Z", "2024-01-01T12:00:00Z"), "dates or times in a form that is not",
    ),
    "days of MySQL": (("0000-00-00", "2024-01-02"), "dates or times in a form that is not known"),
    "seconds as digits": (("20240131235959",), "c seems to hold times as YYYYMMDDhhmmss"),
    "days as digits": (("20240131", "20240201"), "c seems to hold days as YYYYMMDD"),
    "words for null in text": (("NULL", "a", "\\N"), "10 cells hold a word for null (NULL, \\N)"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "note"), DOUBTS.values(), ids=DOUBTS.keys())
def test_what_could_be_read_in_another_way_is_said(
    tmp_path: Path, values: tuple[str, ...], note: str
) -> None:
    said = column(tmp_path, *values)[2]

    assert [note in one for one in said] == [True]


NAMED_TIMES = {
    "order_date": ("45292", "45293"),
    "ts": ("1704067200000", "1704067201000"),
    "created_at": ("1704067200", "1704067201"),
    "timestamp": ("1704067200000000000",),
}


@pytest.mark.parametrize(("name", "values"), NAMED_TIMES.items())
def test_numbers_that_tell_times_are_said(
    tmp_path: Path, name: str, values: tuple[str, ...]
) -> None:
    lines = "".join(f"{value}\n" for value in values)

    assert f"{name} seems to hold" in found(tmp_path, f"{name}\n{lines}").notes[0]
    assert found(tmp_path, f"amount\n{lines}").notes == []


ROWS = {
    "header once more": ("a,b\n1,2\na,b\n3,4\n", "1 rows repeat the header; they are set aside"),
    "a quote": (
        'a,b\n1,x\n3,x\n2,"y"z\n', "1 rows have a quote within a cell that is not doubled (the fir",
    ),
    "nothing": ("a,b\n1,2\n,\n,\n", "2 rows have no value at all"),
    "a sum": ("a,b\nx,1\ny,2\nTotal,3\n", "the last row begins with 'Total': it may be the sum"),
    "no header": ("7,2.5,red\n1,2.5,red\n", "the first line looks like values (7, 2.5), but is re"),
    "pandas": ("Unnamed: 0,b\n1,2\n", "Unnamed: 0 seems to be the index that pandas wrote"),
    "spaces": ("a, b\n1,2\n", "1 column names begin or end with a space: ' b'"),
    "one column": ("a b c\n1 2 3\n", "only one column: if there are more, the delimiter is none"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "note"), ROWS.values(), ids=ROWS.keys())
def test_what_is_strange_of_header_and_rows_is_said(
    tmp_path: Path, content: str, note: str
) -> None:
    assert [note in one for one in found(tmp_path, content).notes] == [True]


def test_years_are_names_as_good_as_others(tmp_path: Path) -> None:
    assert found(tmp_path, "2023,2024\n1,2\n").notes == []


def test_a_word_for_no_alone_is_no_boolean(tmp_path: Path) -> None:
    """Norway is NO and a woman F, also where another column says yes and no, or t and f."""
    lines = "".join(f"{a},NO,{f},F,True\n" for a, f in [("yes", "t"), ("no", "f")] * 5)

    types = found(tmp_path, f"active,country,flag,sex,on\n{lines}").types

    assert types == {
        "active": "boolean",
        "country": "string",
        "flag": "boolean",
        "sex": "string",
        "on": "boolean",
    }


def test_day_and_month_come_in_one_order(tmp_path: Path) -> None:
    """One column says the day first, one the month, one cannot say: the others never decide."""
    lines = "".join(f"{d}/04/2024,04/{d}/2024,0{d % 9 + 1}/04/2024\n" for d in range(3, 29))

    detected = found(tmp_path, f"a,b,c\n{lines}")

    assert detected.types == {"a": "timestamp", "b": "string", "c": "string"}
    assert detected.source.csv.times == ("%d/%m/%Y",)
    assert "b: its dates put day and month in another order" in detected.notes[0]
    assert detected.notes[1] == "c: day or month first is not certain, so it is read as text"
    with pytest.raises(ValidationError, match="read the same text as different days"):
        CsvFormat(times=("%d/%m/%Y", "%m/%d/%Y"))


PLAIN = {
    "measures": ("1.5", "2.25", "1e3"),
    "three digits behind a zero": ("0.125", "0.250"),
    "whole": ("1", "20"),
    "words": ("a", "b c"),
    "dotted numbers": ("10.0.0.1", "192.168.0.7"),
    "dates": ("2024-01-02T00:00:00Z",),
    "leading zeros": ("007", "123"),
}


@pytest.mark.parametrize("values", PLAIN.values(), ids=PLAIN.keys())
def test_what_is_plain_needs_no_word(tmp_path: Path, values: tuple[str, ...]) -> None:
    assert column(tmp_path, *values)[2] == []


def test_decimal_comma_is_known_by_groups_of_another_column(tmp_path: Path) -> None:
    text = "a;b\n" + "1.234,50;2,125\n" * 9

    assert found(tmp_path, text).source.csv.decimal == ","
    assert found(tmp_path, text).types == {"a": "string", "b": "number"}


def test_line_ends_of_an_old_mac_part_lines(tmp_path: Path) -> None:
    """With ten decimal commas a line, all in one line, commas would win."""
    text = "a;b\r" + "1,5,5,5,5,5;2,5\r" * 3

    assert found(tmp_path, text).source.csv.delimiter == ";"
    with pytest.raises(NoTable, match="tells Excel the delimiter"):
        found(tmp_path, f"sep=;\r{text}")


def test_files_that_were_put_together(tmp_path: Path) -> None:
    part = "\ufeffid,c\n1,red\n2,blue\n"

    detected = found(tmp_path, part + part.replace("1", "3").replace("2", "4"))

    assert detected.types == {"id": "integer", "c": "string"}
    assert detected.notes == ["1 rows repeat the header; they are set aside"]


def test_an_encoding_is_looked_for_in_the_whole_file(tmp_path: Path) -> None:
    """The first other byte stands behind the first megabyte; a few wrong bytes make no encoding."""
    late = b"i,c\n" + b"1,abcdefgh\n" * 110_000 + "2,Plzeň\n".encode("cp1250")
    assert found(tmp_path, late).source.csv.encoding == "iso-8859-1"
    half = b"i,c\n" + "1,größer\n".encode() * 50 + "2,größer\n".encode("latin-1") * 50
    assert found(tmp_path, half).source.csv.encoding == "utf-8"
    mixed = b"i,c\n" + "1,größer\n".encode() * 50 + b"2,\xff\n"
    detected = found(tmp_path, mixed)
    assert detected.source.csv.encoding == "utf-8"
    assert detected.notes == ["encoding: not all bytes are UTF-8; rows with others are set aside"]


DELIMITERS = [",", ";", "\t", "|", ":", "~"]


@pytest.mark.parametrize("sign", DELIMITERS)
def test_delimiters(tmp_path: Path, sign: str) -> None:
    text = f'a{sign}b{sign}c\n1{sign}"x{sign}, ; y"{sign}2\n' * 3

    assert found(tmp_path, text).source.csv.delimiter == sign
    assert list(found(tmp_path, text).types) == ["a", "b", "c"]


def test_one_column_and_a_sentence(tmp_path: Path) -> None:
    assert found(tmp_path, "a\nx\ny\n").types == {"a": "string"}
    text = "id,said\n" + "".join(f'{i},"well; yes; no; {i}"\n' for i in range(9))
    assert found(tmp_path, text).source.csv.delimiter == ","


def test_single_quotes(tmp_path: Path) -> None:
    detected = found(tmp_path, "a,b\n" + "1,'x, y'\n" * 5)

    assert (detected.source.csv.quote, list(detected.types)) == ("'", ["a", "b"])


ENCODINGS = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8",
    "utf-16": "utf-16",
    "utf-16-le": "utf-16-le",
    "utf-16-be": "utf-16-be",
    "iso-8859-1": "iso-8859-1",
    "cp1252": "windows-1252",
}


@pytest.mark.parametrize(("encoding", "said"), ENCODINGS.items())
def test_encodings(tmp_path: Path, encoding: str, said: str) -> None:
    text = "größe,preis\n" + "fünf,1€\n" * 3 if encoding != "iso-8859-1" else "größe,b\nfünf,1\n"
    detected = found(tmp_path, text, encoding)

    assert detected.source.csv.encoding == said
    assert next(iter(detected.types)) == "größe"


def test_gzip_needs_no_setting(tmp_path: Path) -> None:
    assert found(tmp_path, gzip.compress(b"a;b\n1;2\n")).source.csv == CsvFormat(delimiter=";")


TYPES = {
    "integer": ("1", "-2", "+3"),
    "number": ("1", "2.5", "-1e3"),
    "boolean": ("true", "False"),
    "timestamp": ("2024-03-01T12:00:00Z", "2024-03-01 12:00+02:00"),
    "string": ("a", "1"),
}


@pytest.mark.parametrize(("kind", "values"), TYPES.items())
def test_types(tmp_path: Path, kind: str, values: tuple[str, ...]) -> None:
    assert column(tmp_path, *values)[0] == kind


TEXT = {
    "leading zeros": ("007", "123"),
    "telephone numbers": ("+4922112345", "+4922154321"),
    "digits beyond 64 bits": ("12345678901234567890",),
    "day or month first": ("03/04/2024", "05/06/2024"),
    "no such day": ("31.02.2024", "32.01.2024"),
    "words for null alone": ("NA", "None"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("values", TEXT.values(), ids=TEXT.keys())
def test_what_stays_text(tmp_path: Path, values: tuple[str, ...]) -> None:
    kind, source, _ = column(tmp_path, *values)

    assert (kind, source.csv.nulls, source.time_zone) == ("string", (), None)


CALLED: dict[str, tuple[str, tuple[str, ...], str]] = {
    "zip codes": ("Postal Code", ("98108", "98117"), "string"),
    "with an addition": ("zip", ("98108", "98117", "98117-1234"), "string"),
    "telephone numbers": ("phone", ("2065550100", "2065550199"), "string"),
    "flags": ("phone", ("0", "1"), "integer"),
    "called otherwise": ("units", ("98108", "98117"), "integer"),
}


@pytest.mark.parametrize(("name", "values", "kind"), CALLED.values(), ids=CALLED)
def test_digits_whose_zeros_count_stay_text(
    tmp_path: Path, name: str, values: tuple[str, ...], kind: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"i;{name}\n" + "".join(f"{i};{v}\n" for i, v in enumerate(values)))

    detected = detect(path)

    assert detected.types[name] == kind
    said = [f"{name}: its digits are read as text, so that a zero in front is kept"]
    assert detected.notes == (said if kind == "string" else [])


TIMES = {
    "%d.%m.%Y": ("1.3.2024", "31.12.2024"),
    "%d.%m.%Y %H:%M": ("01.03.2024 12:30",),
    "%d/%m/%Y": ("03/04/2024", "13/04/2024"),
    "%m/%d/%Y %H:%M:%S": ("03/14/2024 01:02:03",),
    "%Y/%m/%d": ("2024/03/01",),
}


@pytest.mark.parametrize(("form", "values"), TIMES.items())
def test_forms_of_times(tmp_path: Path, form: str, values: tuple[str, ...]) -> None:
    kind, source, notes = column(tmp_path, *values)

    assert (kind, source.csv.times, source.time_zone) == ("timestamp", (form,), "UTC")
    assert notes == ["times without a zone are read as UTC: time_zone is to be confirmed"]


def test_times_with_zones_need_no_setting(tmp_path: Path) -> None:
    assert column(tmp_path, "2024-03-01T12:00:00Z")[1].time_zone is None
    assert column(tmp_path, "2024-03-01")[1].time_zone == "UTC"


def test_uncertain_order_is_said(tmp_path: Path) -> None:
    assert column(tmp_path, "03/04/2024")[2] == [
        "c: day or month first is not certain, so it is read as text"
    ]


DECIMALS = {
    "certain": (("1,5", "22,75"), ",", "number"),
    "maybe thousands": (("1,234", "22,750"), ".", "string"),
    "no thousands": (("1234,567", "2,750"), ",", "number"),
    "zero and three digits": (("0,234", "0,750"), ",", "number"),
    "points": (("1.5", "22.75"), ".", "number"),
    "both": (("1,5", "1.5"), ".", "string"),
}


@pytest.mark.parametrize(("values", "sign", "kind"), DECIMALS.values(), ids=DECIMALS.keys())
def test_decimals(tmp_path: Path, values: tuple[str, ...], sign: str, kind: str) -> None:
    got, source, _ = column(tmp_path, *values)

    assert (source.csv.decimal, got) == (sign, kind)


def test_words_for_null_and_for_yes(tmp_path: Path) -> None:
    kind, source, _ = column(tmp_path, "1.5", "NA", "2", "-")
    assert (kind, source.csv.nulls) == ("number", ("NA", "-"))
    kind, source, _ = column(tmp_path, "Yes", "No")
    assert (kind, source.csv.true_words) == ("boolean", ("true", "yes"))
    assert column(tmp_path, "yes", "maybe")[0] == "string"


@pytest.mark.parametrize(("bad", "kind"), [(1, "integer"), (3, "string")])
def test_a_few_bad_cells_do_not_make_a_number_text(tmp_path: Path, bad: int, kind: str) -> None:
    cells = [f"{i}" for i in range(200 - bad)] + [f"oops{i}" for i in range(bad)]
    text = "a,b\n" + "".join(f"{cell},x\n" for cell in cells)

    assert found(tmp_path, text).types["a"] == kind
