"""How an unknown file is found out: planted forms, and uncertain ones that stay text."""

import gzip
from pathlib import Path

import pytest

from tenure.adapters.arrow_tables.detecting import FileForm, detect
from tenure.lifecycle.data.sources import CsvFormat, Source


def found(tmp_path: Path, content: str | bytes, encoding: str = "utf-8") -> FileForm:
    path = tmp_path / "a"
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return detect(path)


def column(tmp_path: Path, *values: str, delimiter: str = ";") -> tuple[str, Source, list[str]]:
    lines = "".join(f"{i}{delimiter}{value}\n" for i, value in enumerate(values * 5))
    detected = found(tmp_path, f"i{delimiter}c\n{lines}")
    return detected.types["c"], detected.source, detected.notes


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
