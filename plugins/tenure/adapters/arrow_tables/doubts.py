"""What of a file as a whole could be read in another way: it is said, never decided in silence."""

import codecs
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Literal

import pyarrow.compute as pc

from tenure.adapters.arrow_tables.csv_text import TextRows, UnreadableFile
from tenure.adapters.arrow_tables.foreign import foreign
from tenure.adapters.arrow_tables.moments import positions
from tenure.lifecycle.data.sources import OUR_NAMES, Encoding, mixed_up_names

SAMPLE = 1024 * 1024
"""Bytes, decompressed, in which delimiter and quotes are looked for; encodings in all of it."""
_HIGH = re.compile(rb"[\x80-\xff]")
_VALID = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_NOT_WINDOWS = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
"""Bytes that windows-1252 leaves free."""
_ALTERNATIVES: tuple[Encoding, ...] = (
    "windows-1252", "windows-1250", "windows-1251", "iso-8859-1", "iso-8859-2", "iso-8859-15",
)  # fmt: skip


class NoTable(UnreadableFile):
    """A file that becomes one by a change that can be named."""

    def __init__(self, found: str, next_step: str) -> None:
        super().__init__(found)
        self.next_step = next_step


def opened(path: Path) -> Iterator[bytes]:
    """The bytes of the file, decompressed, in blocks."""
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as stream:
            while block := stream.read(SAMPLE):
                yield block
    except (OSError, EOFError):
        raise UnreadableFile("a gzip file that is damaged or cut off") from None


def encoding_of(path: Path, head: bytes) -> tuple[Encoding, list[str]]:
    """The encoding of the whole file, and what is doubtful about it."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16", []
    zeros = head[:1000].count(b"\0")
    if zeros > len(head[:1000]) // 4:
        return ("utf-16-be" if head[0] == 0 else "utf-16-le"), []
    broken = _not_utf8(path)
    if broken is None:
        return "utf-8", []
    valid, high = len(_VALID.findall(broken)), len(_HIGH.findall(_VALID.sub(b"", broken)))
    if 2 * valid > high:
        return "utf-8", ["encoding: not all bytes are UTF-8; rows with others are set aside"]
    found = _HIGH.findall(broken)
    is_windows = any(0x80 <= byte[0] <= 0x9F for byte in found)
    guess: Encoding = "windows-1252" if is_windows else "iso-8859-1"
    if strange := sorted({byte[0] for byte in found if byte[0] in _NOT_WINDOWS and is_windows}):
        raise NoTable(
            f"text that is neither UTF-8 nor windows-1252 (the byte {strange[0]:#04x})",
            "Write the file as UTF-8; if you know its encoding, `iconv -f ENCODING -t UTF-8 FILE` "
            "does (cp850 and cp437 are those of old terminals, cp932 is Japanese).",
        )
    often = Counter(found).most_common(1)[0][0]
    others = {e: often.decode(e, "replace") for e in _ALTERNATIVES}
    said = ", ".join(f"{e}: {c!r}" for e, c in others.items() if c != others[guess])
    return guess, [
        f"encoding: not UTF-8, so it is read as {guess}, where the byte {often[0]:#04x} is "
        f"{others[guess]!r} ({said})"
    ]


def _not_utf8(path: Path) -> bytes | None:
    """The first block that is no UTF-8, with those of its neighbours' bytes that belong to it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    rest = b""
    try:
        for block in opened(path):
            rest = decoder.getstate()[0] + block
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return rest
    return None


def escape_of(text: str, delimiter: str) -> tuple[Literal["", "\\"], list[str]]:
    r"""Whether a backslash escapes quotes, as in `"said \"no\""`, and what is doubtful about it."""
    end = re.escape(delimiter)
    inner = len(re.findall(rf'\\"(?!\s*(?:{end}|\r|\n|\Z))', text))
    if not inner:
        return "", []
    if re.search(r"\\[^\"\\]", text):
        return "\\", [
            "a backslash stands before quotes and before other characters; it is read as an escape "
            "everywhere, so that it is gone from the text"
        ]
    return "\\", ["a backslash before a quote is read as an escape"]


def refuse_names(names: list[str], delimiter: str | None) -> None:
    """Columns without a name or with the name of another, all at once, with a way on.

    Raises:
        NoTable: Which columns they are, and what the header could be.
    """
    for position, name in enumerate(names, 1):
        if len(name) > 200:
            raise UnreadableFile(f"a column name of {len(name):,} characters (column {position:,})")
        if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", name):
            raise NoTable(
                f"a column name with a control character ({name[:80]!r}, column {position:,})",
                "If it parts the columns, write the file with another delimiter (comma, "
                "semicolon, tab or |); else rename the column.",
            )
    nameless = [n for n, name in enumerate(names, 1) if not name.strip()]
    places: dict[str, list[int]] = {}
    for position, name in enumerate(names, 1):
        places.setdefault(name, []).append(position)
    twice = {n: p for n, p in places.items() if n.strip() and len(p) > 1}
    mixed_up = mixed_up_names(n for n in names if n.strip())
    if not nameless and not twice and not mixed_up:
        return
    said = [_nameless(nameless)] if nameless else []
    said += [f"{len(p)} columns called {n[:80]!r} (columns {_listed(p)})" for n, p in twice.items()]
    said += [f"names of columns that engines mix up: {mixed_up}"] if mixed_up else []
    raise NoTable("; ".join(said), _better_names(names, nameless, delimiter) + ".")


def _better_names(names: list[str], nameless: list[int], delimiter: str | None) -> str:
    """What is to be done about a header that is none."""
    named = f"the names could be {_named(names, delimiter)}"
    step = f"Give every column a name of its own in the source; {named}"
    if nameless == [1]:
        return (
            "The first column may be the index that a program wrote before each row: leave it out "
            f"(pandas: `to_csv(index=False)`, R: `row.names=FALSE`) or name it; {named}"
        )
    if delimiter and nameless == [1, len(names)]:
        return f"If every line begins and ends with {delimiter!r}, leave those out. {step}"
    if len(nameless) > 1:
        return (
            "If the first line is a title, leave out what stands above the header (`tail -n +2 "
            f"FILE`, or more). {step}"
        )
    if delimiter and nameless == [len(names)]:
        return f"If every line ends with {delimiter!r}, leave that out. {step}"
    return step


def _nameless(places: list[int]) -> str:
    if len(places) == 1:
        return f"a column without a name (column {places[0]:,})"
    return f"{len(places):,} columns without a name (columns {_listed(places)})"


def _listed(places: list[int]) -> str:
    shown = ", ".join(f"{p:,}" for p in places[:50])
    return f"{shown} and {len(places) - 50:,} more" if len(places) > 50 else shown


def _named(names: list[str], delimiter: str | None) -> str:
    """The header with a new name for each column that needs one."""
    found: list[str] = []
    given, taken = Counter(name.lower() for name in names), {*OUR_NAMES}
    for position, name in enumerate(names, 1):
        base = name if name.strip() else ("row" if position == 1 else f"column_{position}")
        new, number = base, 1
        while new.lower() in taken or (new != name and new.lower() in given):
            number += 1
            new = f"{base}_{number}"
        taken.add(new.lower())
        found.append(new)
    line = (delimiter or ", ").join(found)
    return f"`{line[:1000]}`" + ("…" if len(line) > 1000 else "")


def refuse_foreign(head: bytes) -> None:
    """Files of another format.

    Raises:
        NoTable: What it is, and what can be read.
    """
    if what := foreign(head):
        raise NoTable(
            what,
            "Save the table as CSV (UTF-8) or as Parquet; of packed files only .csv.gz is read.",
        )


def refuse_hint(text: str) -> None:
    """Excel's first line `sep=;` names the delimiter and is no header.

    Raises:
        NoTable: What the line is, and that it is to go.
    """
    found = re.match(r"\"?sep=(.)\"?\s*[\r\n]", text, re.IGNORECASE)
    if found:
        raise NoTable(
            f"a first line {found[0].strip()!r} that tells Excel the delimiter; it is no header",
            "Leave that line out of the files (`tail -n +2 FILE`): the delimiter is found "
            "without it.",
        )


def refuse_most(rows: TextRows, delimiter: str) -> None:
    """A file of which half of the rows or more would be set aside for how they are written.

    Raises:
        NoTable: Which rows they are, and what the reason may be.
    """
    if len(rows.ragged) >= max(1, rows.table.num_rows / 2):
        _refuse_widths(rows, delimiter)
    stray = rows.misquoted_rows
    if len(stray) >= max(1, rows.table.num_rows / 2):
        raise NoTable(
            f"{len(stray):,} of {rows.table.num_rows:,} rows with a quote within a cell that is "
            f"neither doubled nor escaped (the first is row {stray[0] + 1:,})",
            "Double each quote within a quoted cell (`csv` of Python, COPY of PostgreSQL and "
            "Excel do), or put a backslash before it.",
        )


def _refuse_widths(rows: TextRows, delimiter: str) -> None:
    """A header of which most rows have another number of cells.

    Raises:
        NoTable: How many cells there are where, and what the reason may be.
    """
    width, total = rows.table.num_columns, rows.table.num_rows
    usual, times = Counter(rows.ragged.values()).most_common(1)[0]
    first = min(row for row, cells in rows.ragged.items() if cells == usual)
    quoted = (
        f"A cell that holds {delimiter!r} must be in quotes, and between the delimiter and the "
        "quote there must be no space."
    )
    if width < usual and (first or usual > width + 1 or width == 1):
        step = (
            "If a title or comment stands above the header, leave it out: the header seems to be "
            f"line {first + 2:,}, blank lines not counted (`tail -n +{first + 2} FILE`). {quoted}"
        )
    elif usual == width + 1:
        step = (
            "If each row begins with its number, leave that out (R: `row.names=FALSE`) or give it "
            f"a name; if each row ends with {delimiter!r}, leave that out. {quoted}"
        )
    else:
        step = quoted
    raise NoTable(
        f"{times:,} of {total:,} rows with {usual:,} cells (the first is row {first + 1:,}) below "
        f"a header of {width:,}",
        step,
    )


_INDEX_NAME = re.compile(r"Unnamed: [0-9]+|__index_level_[0-9]+__|level_[0-9]+")
_VALUE_NAME = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*|[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}.*")
_YEAR_NAME = re.compile(r"(19|20)[0-9]{2}")


def of_names(names: list[str]) -> Iterator[str]:
    """What is doubtful of a header."""
    for name in names:
        if _INDEX_NAME.fullmatch(name):
            yield f"{name} seems to be the index that pandas wrote: leave it out (`index=False`)"
    if padded := [name for name in names if name != name.strip()]:
        yield f"{len(padded):,} column names begin or end with a space: {str(padded[:20])[1:-1]}"
    values = [n for n in names if _VALUE_NAME.fullmatch(n) and not _YEAR_NAME.fullmatch(n)]
    if len(values) * 2 >= len(names):
        yield f"the first line looks like values ({', '.join(values[:5])}), but is read as header"
    if len(names) == 1 and re.search(r"\W", names[0].strip()):
        yield "only one column: if there are more, the delimiter is none that is known"


_TOTAL = re.compile(r"(?i)(grand |sub)?(totals?|sum|summe|gesamt|gesamtsumme|insgesamt)\b")


def of_rows(rows: TextRows) -> Iterator[str]:
    """What is doubtful of single rows."""
    if rows.ragged:
        yield f"{len(rows.ragged):,} rows have another number of cells than the header"
    if rows.headers:
        yield f"{len(rows.headers):,} rows repeat the header; they are set aside"
    if stray := rows.misquoted_rows:
        yield (
            f"{len(stray):,} rows have a quote within a cell that is not doubled (the first is row "
            f"{stray[0] + 1:,}); they are set aside"
        )
    table = rows.table
    empty = positions(reduce(pc.and_, (pc.is_null(column) for column in table.columns)))
    if blank := len({*empty} - {*rows.ragged}):
        yield f"{blank:,} rows have no value at all"
    last = [column[-1].as_py() for column in table.columns] if table.num_rows else []
    word = next((cell for cell in last if cell), "")
    if found := _TOTAL.match(word):
        yield f"the last row begins with {found[0]!r}: it may be the sum of the others"
