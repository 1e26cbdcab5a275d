"""The CSV corpus: each file ends in a clear error, or in rows set aside with reason and number."""

import gzip
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.adapters.arrow_tables import read_batch, write_quarantine, write_snapshot
from tenure.adapters.arrow_tables.peeking import first_rows
from tenure.lifecycle.data.quality import QualityPolicy, judge
from tenure.lifecycle.data.sources import Column, Contract, CsvFormat, Source

CONTRACT = Contract(
    columns={
        "id": Column(type="string", nullable=False),
        "n": Column(type="integer"),
        "x": Column(type="number"),
        "ok": Column(type="boolean"),
        "at": Column(type="timestamp"),
        "c": Column(type="string"),
    },
    key=("id",),
)
HEADER = "id,n,x,ok,at,c\n"
GOOD = "a,1,1.5,true,2013-03-01T12:00:00Z,red\n"
LENIENT = QualityPolicy(max_quarantined=1.0, min_rows=0)


@dataclass(frozen=True)
class Case:
    """A file and what the gate makes of it.

    `error` is what the file as a whole is called; `aside` maps row numbers (from 1) to a part of
    their reasons, all other of the `rows` are published.
    """

    content: str | bytes
    error: str = ""
    rows: int = 0
    aside: dict[int, str] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)


def row(**cells: str) -> str:
    good = {
        "id": "b", "n": "2", "x": "2.5", "ok": "false", "at": "2013-03-02T12:00:00Z", "c": "blue"
    }  # fmt: skip
    return ",".join((good | cells).values()) + "\n"


def csv(**form: Any) -> dict[str, Any]:
    return {"csv": CsvFormat(**form)}


BERLIN: dict[str, Any] = {"time_zone": "Europe/Berlin"}
WIDE = ",".join(f"c{i}" for i in range(10_000)) + "\n"
CORPUS: dict[str, Case] = {
    "1 empty": Case("", "no header"),
    "2 header only": Case(HEADER),
    "3 no final newline": Case(HEADER + GOOD.rstrip("\n"), rows=1),
    "4 byte order mark": Case("\ufeff" + HEADER + GOOD, rows=1),
    "5 UTF-16, told": Case((HEADER + GOOD).encode("utf-16"), rows=1, source=csv(encoding="utf-16")),
    "5 UTF-16, not told": Case(
        (HEADER + GOOD).encode("utf-16"), "UTF-16 text, the source says utf-8"
    ),
    "5 UTF-16 without mark": Case(
        (HEADER + GOOD).encode("utf-16-le"), "a header that is not utf-8 text"
    ),
    "5 half a character": Case(
        (HEADER + GOOD + row()).encode("utf-16")[:-3],
        rows=2,
        aside={2: "c: encoding, allowed utf-16 text"},
        source=csv(encoding="utf-16"),
    ),
    "12 short row that is no text": Case(
        HEADER.encode() + GOOD.encode() + b"b,\xe9\n", rows=2, aside={2: "the row: width"}
    ),
    "5 UTF-8 where UTF-16 is told": Case(
        "\ufeff" + HEADER, "UTF-8 text, the source says utf-16", source=csv(encoding="utf-16")
    ),
    "6 Latin-1, told": Case(
        (HEADER + row(c="größe")).encode("iso-8859-1"), rows=1, source=csv(encoding="iso-8859-1")
    ),
    "6 UTF-8 where Latin-1 is told": Case(
        HEADER + row(c="größe") + GOOD,
        "UTF-8 text, the source says iso-8859-1",
        source=csv(encoding="iso-8859-1"),
    ),
    "6 ASCII where Windows is told": Case(
        HEADER + GOOD, rows=1, source=csv(encoding="windows-1252")
    ),
    "6 UTF-8 among Latin-1": Case(
        (HEADER + row(c="größe")).encode() + row(id="d", c="größe").encode("iso-8859-1"),
        rows=2,
        source=csv(encoding="iso-8859-1"),
    ),
    "6 Latin-1 in one row": Case(
        (HEADER + GOOD).encode() + row(c="grün").encode("iso-8859-1"),
        rows=2,
        aside={2: "c: encoding, allowed utf-8 text"},
    ),
    "7 NUL in a cell": Case(
        HEADER + GOOD + row(c="b\0"), rows=2, aside={2: "c: encoding, allowed utf-8 text"}
    ),
    "7 NUL in the header": Case("\0" + HEADER + GOOD, "a header that is not utf-8 text"),
    "8 CR only": Case((HEADER + GOOD + row()).replace("\n", "\r"), rows=2),
    "9 mixed line ends": Case(HEADER + GOOD.replace("\n", "\r\n") + row(), rows=2),
    "10 quote never closed": Case(
        HEADER + GOOD + row(c='"blue') + row(id="d"), "a quote that is never closed"
    ),
    "10 quote never closed, in the middle of a row": Case(
        HEADER + GOOD + row(n='"2') + row(id="d"), "a quote that is never closed"
    ),
    "10 quotes within a cell": Case(
        HEADER
        + GOOD
        + row(c='"said "no" to 3"')
        + row(id="d", c='"a ""b"" c"')
        + row(id="e", c='5" x'),
        rows=4,
        aside={2: "c: quote, allowed quotes doubled"},
    ),
    "10 quotes behind a backslash, not told": Case(
        HEADER + GOOD + row(c='"said \\"no\\" to 3"'), rows=2, aside={2: "c: quote"}
    ),
    "10 quotes behind a backslash, told": Case(
        HEADER + GOOD + row(c='"said \\"no\\" "to" 3"') + row(id="d", c='"said \\"no\\", 3"'),
        rows=3,
        aside={2: "c: quote, allowed quotes doubled or behind a backslash"},
        source=csv(escape="\\"),
    ),
    "10 quote within a name": Case(
        '"i"d,' + HEADER + GOOD, "a header with a quote that is neither"
    ),
    "11 semicolons, told": Case(
        (HEADER + GOOD).replace(",", ";"), rows=1, source=csv(delimiter=";")
    ),
    "11 semicolons, not told": Case(
        (HEADER + GOOD).replace(",", ";"), "id;n;x;ok;at;c: found a column", rows=1
    ),
    "12 short row": Case(
        HEADER + GOOD + "b,2\n" + row(id="d"),
        rows=3,
        aside={2: "the row: width, allowed 6 cells"},
    ),
    "12 short row with a huge cell": Case(
        HEADER + GOOD + f"b,{'2' * 200_000}\n" + row(id="d"), rows=3, aside={2: "the row: width"}
    ),
    "12 blank lines before a short row": Case(
        HEADER + GOOD + "\n\n\n" + row(id="d") + "\nb,2\n" + row(id="e"),
        rows=4,
        aside={3: "the row: width"},
    ),
    "13 long row": Case(
        HEADER + "b,2,1,true,,c,d\n" + GOOD, rows=2, aside={1: "the row: width, allowed 6 cells"}
    ),
    "13 long row after a quoted line end": Case(
        HEADER + row(c='"a\n\nb"') + "z,1,1,true,,c,d\n" + row(id="d"),
        rows=3,
        aside={2: "the row: width, allowed 6 cells"},
    ),
    "14 duplicate header": Case(
        HEADER.replace("n,", "id,") + GOOD, "id: found 2 columns of this name", rows=1
    ),
    "14 header once more": Case(
        "\ufeff" + HEADER + GOOD + "b,2\n\ufeff" + HEADER + row(),
        rows=4,
        aside={2: "the row: width", 3: "the row: header, allowed the header as first line only"},
    ),
    "15 blank header": Case(HEADER.replace("n,", ",") + GOOD, "'': found a column", rows=1),
    "16 header in another case": Case(HEADER.replace("id", "Id") + GOOD, "Id: found a", rows=1),
    "16 header with a space": Case(HEADER.replace("id", " id") + GOOD, " id: found a", rows=1),
    "17 10,000 columns": Case(WIDE, "columns; 1…2,000 are allowed"),
    "18 cell of 3 MB": Case(HEADER + row(c="a" * 3_000_000), "a row of more than 1 MiB"),
    "19 formula": Case(
        HEADER + row(id="=cmd()", n="=1+1"), rows=1, aside={1: "n: type, allowed integer"}
    ),
    "19 formula in text": Case(HEADER + row(c="=cmd()"), rows=1),
    "20 script": Case(HEADER + row(c="<script>"), rows=1),
    "21 end of script": Case(HEADER + row(c="</script><script>"), rows=1),
    "22 right to left, zero width, look-alike": Case(HEADER + row(c="\u202e\u0430\u200b"), rows=1),
    "23 two forms of one letter": Case(HEADER + row(c="é") + row(id="e", c="e\u0301"), rows=2),
    "24 words for null are text": Case(HEADER + row(c="NA") + row(id="d", c="None"), rows=2),
    "24 words for null in numbers": Case(HEADER + row(n="NA"), rows=1, source=csv(nulls=("NA",))),
    "24 words for null, not told": Case(
        HEADER + row(n="NA"), rows=1, aside={1: "n: type, allowed integer"}
    ),
    "25 1e999": Case(HEADER + row(x="1e999"), rows=1, aside={1: "x: type, allowed number"}),
    "26 nan": Case(HEADER + row(x="nan"), rows=1, aside={1: "x: type, allowed number"}),
    "26 inf": Case(HEADER + row(x="-inf"), rows=1, aside={1: "x: type, allowed number"}),
    "27 minus zero": Case(HEADER + row(n="-0", x="-0"), rows=1),
    "28 thousands": Case(HEADER + row(x='"1,234"'), rows=1, aside={1: "x: type"}),
    "28 decimal comma, told": Case(HEADER + row(x='"1234,5"'), rows=1, source=csv(decimal=",")),
    "28 both signs": Case(
        HEADER + row(x='"1.234,5"'), rows=1, aside={1: "x: type"}, source=csv(decimal=",")
    ),
    "29 beyond 64 bits": Case(
        HEADER + row(n=str(2**63)) + GOOD, rows=2, aside={1: "n: type, allowed integer"}
    ),
    "30 leading zeros": Case(HEADER + row(id="007", n="007"), rows=1),
    "31 no such day": Case(HEADER + row(at="2013-02-31T12:00:00Z"), rows=1, aside={1: "at: type"}),
    "31 year 0": Case(HEADER + row(at="0000-00-00T00:00:00Z"), rows=1, aside={1: "at: type"}),
    "31 year 9999": Case(HEADER + row(at="9999-12-31T23:59:59Z"), rows=1),
    "31 year 10000": Case(
        HEADER + row(at="9999-12-31T23:59:59-01:00"), rows=1, aside={1: "at: type"}
    ),
    "31 time without zone": Case(HEADER + row(at="2013-02-01 12:00"), rows=1, aside={1: "at: typ"}),
    "31 time without zone, told": Case(
        HEADER + row(at="2013-02-01 12:00") + row(id="d", at="2013-02-01"), rows=2, source=BERLIN
    ),
    "31 an hour that the clocks skip": Case(
        HEADER + row(at="2013-03-31 02:30"), rows=1, aside={1: "at: type"}, source=BERLIN
    ),
    "31 an hour that comes twice": Case(
        HEADER + row(at="2013-10-27 02:30"), rows=1, aside={1: "at: type"}, source=BERLIN
    ),
    "31 mixed zones": Case(
        HEADER + row(at="2013-03-01T12:00+05:30") + row(id="d", at="2013-03-01T12:00-0800"), rows=2
    ),
    "31 day first": Case(
        HEADER + row(at="1.3.2013") + row(id="d", at="29.02.2013"),
        rows=2,
        aside={2: "at: type"},
        source={**BERLIN, **csv(times=("%d.%m.%Y",))},
    ),
    "32 True": Case(HEADER + row(ok="True"), rows=1),
    "32 yes": Case(HEADER + row(ok="yes"), rows=1, aside={1: "ok: type, allowed boolean"}),
    "32 yes, told": Case(
        HEADER + row(ok="Yes"), rows=1, source=csv(true_words=("yes",), false_words=("no",))
    ),
    "32 1": Case(HEADER + row(ok="1"), rows=1, aside={1: "ok: type, allowed boolean"}),
    "33 gzip": Case(gzip.compress((HEADER + GOOD).encode()), rows=1),
    "33 half a gzip": Case(
        gzip.compress((HEADER + GOOD * 1000).encode())[:-20], "a gzip file that is damaged"
    ),
    "33 zip": Case(b"PK\x03\x04" + b"\0" * 50, "the file: found a ZIP archive or an office work"),
    "33 zip in gzip": Case(gzip.compress(b"PK\x03\x04" + b"\0" * 50), "found a ZIP archive"),
    "33 Parquet": Case(b"PAR1" + b"\0" * 50, "the file: found a Parquet file"),
    "33 web page": Case("<html><body>502 Bad Gateway", "the file: found XML or HTML"),
    "33 two gzip files in one": Case(
        gzip.compress((HEADER + GOOD).encode()) + gzip.compress(row().encode()), rows=2
    ),
    "35 duplicate rows": Case(HEADER + GOOD + GOOD, rows=2, aside={2: "id: key, allowed each"}),
    "36 lone surrogate": Case(
        HEADER.encode() + row(c="_").encode().replace(b"_", b"\xed\xa0\x80"),
        rows=1,
        aside={1: "c: encoding"},
    ),
    "36 lone surrogate, escaped": Case(HEADER + row(c="\\ud800"), rows=1),
    "37 U+2028": Case(HEADER + row(c="a\u2028b"), rows=1),
    "37 U+2028 in the header": Case("a\u2028" + HEADER + GOOD, "a\\u2028id: found a", rows=1),
}


def verdict(tmp_path: Path, content: bytes, source: Source) -> tuple[str, int, dict[int, str]]:
    """What the whole file is called, its rows, and why which rows are set aside; rows conserved."""
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    batch = read_batch(path, source, CONTRACT)
    judgement = judge(batch.rows, batch.findings, LENIENT)

    assert judgement.rows_in == judgement.rows_ok + judgement.rows_quarantined
    if batch.original is None:
        (finding,) = batch.findings
        return str(finding), 0, {}
    assert batch.original.num_rows == batch.rows
    kept = 0
    if batch.is_sound:
        kept = write_snapshot(batch.table, judgement.reasons, tmp_path / "snapshot")
    write_quarantine(batch.original, judgement.reasons, tmp_path / "quarantine")
    aside = list(first_rows(tmp_path / "quarantine", batch.rows + 1, frozenset()))
    assert kept + len(aside) == batch.rows
    fatal = next((str(f) for f in batch.findings if f.is_fatal), "")
    return fatal, batch.rows, {row.number: "; ".join(map(str, row.reasons)) for row in aside}


@pytest.mark.parametrize("case", CORPUS.values(), ids=CORPUS.keys())
def test_corpus(tmp_path: Path, case: Case) -> None:
    content = case.content.encode() if isinstance(case.content, str) else case.content

    said, rows, aside = verdict(tmp_path, content, Source(format="csv", **case.source))

    assert case.error in said
    assert bool(said) == bool(case.error)
    assert rows == case.rows
    if not case.error:
        assert sorted(aside) == sorted(case.aside)
        assert all(reason in aside[number] for number, reason in case.aside.items())


def test_34_what_is_no_file_cannot_be_landed(tmp_path: Path) -> None:
    """The object store, not this reader, refuses links and pipes; a folder is no object."""
    from tenure.adapters.local_store import LocalStore

    root = tmp_path / "store"
    landing = root / "landing" / "d"
    landing.mkdir(parents=True)
    (tmp_path / "secret.csv").write_text(HEADER)
    (landing / "link.csv").symlink_to(tmp_path / "secret.csv")
    os.mkfifo(landing / "pipe.csv")
    (landing / "folder.csv").mkdir()

    assert list(LocalStore(root).list("landing/d/")) == []


def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Source, "max_batch_bytes", 1_000_000)
    packed = gzip.compress(HEADER.encode() + GOOD.encode() * 200_000)
    assert len(packed) < 100_000

    said, _, _ = verdict(tmp_path, packed, Source(format="csv"))

    assert "more than the 1,000,000 bytes (decompressed)" in said


def test_the_cells_of_a_ragged_row_are_kept_unless_one_may_be_personal(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + 'b,"2,5"\nc,2,1.5,true,,"x"y\n')
    columns = CONTRACT.columns | {"c": Column(type="string", sensitivity="personal")}
    careful = CONTRACT.model_copy(update={"columns": columns})

    open_, shut = (read_batch(path, Source(format="csv"), c) for c in (CONTRACT, careful))

    assert list(open_.original.to_pylist()[0].values()) == ["b", "2,5", None, None, None, None]
    assert open_.original.to_pylist()[1]["c"] == 'x"y'
    assert [{*row.values()} for row in shut.original.to_pylist()] == [{None}, {None}]


@pytest.mark.parametrize("cell", ["x" * 200_000, '"y" z\rz'])
def test_a_ragged_row_that_cannot_be_parted_is_set_aside_whole(tmp_path: Path, cell: str) -> None:
    said, rows, aside = verdict(
        tmp_path, f"{HEADER}{GOOD}{cell},2\n{GOOD}".encode(), Source(format="csv")
    )

    assert (said, rows >= 3, len(aside) >= 1) == ("", True, True)


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=8)


@given(
    lines=st.lists(st.lists(cells, min_size=1, max_size=8), max_size=12),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_lines_are_rows_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]], end: str
) -> None:
    text = HEADER.rstrip() + end + "".join(",".join(line) + end for line in lines)

    said, rows, aside = verdict(tmp_path_factory.mktemp("any"), text.encode(), Source(format="csv"))

    assert said or rows <= len(lines)
    assert set(aside) <= set(range(1, rows + 1))


@given(content=st.binary(max_size=200), gz=st.booleans())
def test_any_bytes_end_in_a_verdict(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, gz: bool
) -> None:
    data = (b"\x1f\x8b" if gz else HEADER.encode()) + content

    verdict(tmp_path_factory.mktemp("any"), data, Source(format="csv"))


@given(
    texts=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), max_size=6
    ),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
def test_what_python_writes_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], delimiter: str, encoding: Any
) -> None:
    import csv as python_csv

    path = tmp_path_factory.mktemp("any") / "a.csv"
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = python_csv.writer(stream, delimiter=delimiter, quoting=python_csv.QUOTE_ALL)
        writer.writerows([["id", "c"], *([str(i), text] for i, text in enumerate(texts))])
    contract = Contract(columns={"id": Column(type="string"), "c": Column(type="string")})
    source = Source(format="csv", csv=CsvFormat(delimiter=delimiter, encoding=encoding))

    batch = read_batch(path, source, contract)

    assert batch.findings == ()
    assert batch.table.column("c").to_pylist() == texts
