"""What of a CSV file could be read in another way too: it is said, never decided in silence."""

import codecs
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from tenure.adapters.arrow_tables.csv_text import UnreadableFile
from tenure.lifecycle.data.sources import Encoding

SAMPLE = 1024 * 1024
"""Bytes, decompressed, in which delimiter and quotes are looked for; encodings in all of it."""
MOST = 0.99
_SIGNS = r"[^0-9A-Za-z.,'+-]{0,3}"
_UNIT = r"(EUR|USD|GBP|CHF|kg|g|t|mm|cm|m|km|l|ms|s|min|h|kWh|C|F|K)?"
_AMOUNT = r"([0-9]+|[0-9]{1,3}([.,' \x{a0}\x{202f}\x{2019}][0-9]{3})+)([.,][0-9]+)?"
_LOOKS_NUMERIC = rf"^{_SIGNS}[+-]?{_SIGNS}{_AMOUNT}{_SIGNS}{_UNIT}$"
_EXPONENT = r"^[+-]?[0-9]+[eE][+-]?[0-9]+$"
_EXPONENT_OR_NOT = r"^[+-]?[0-9]+([eE][+-]?[0-9]+)?$"
_HIGH = re.compile(rb"[\x80-\xff]")
_VALID = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_ALTERNATIVES: tuple[Encoding, ...] = (
    "windows-1252", "windows-1250", "windows-1251", "iso-8859-1", "iso-8859-2", "iso-8859-15",
)  # fmt: skip


class NoTable(UnreadableFile):
    """A file that becomes one by a change that can be named."""

    def __init__(self, found: str, next_step: str) -> None:
        super().__init__(found)
        self.next_step = next_step


def share(values: pa.Array, pattern: str) -> float:
    """Share of the values that match."""
    if not len(values):
        return 0.0
    return float(pc.mean(pc.match_substring_regex(values, pattern).cast(pa.int8())).as_py())


def has(values: pa.Array, pattern: str) -> bool:
    """Whether any value matches."""
    return bool(pc.any(pc.match_substring_regex(values, pattern)).as_py())


def are_exponent_codes(values: pa.Array, decimal: str) -> bool:
    """Whole numbers of which some are written as 1E5: as numbers, 1E3 and 1000 would be one."""
    return has(values, _EXPONENT) and not has(values, "," if decimal == "," else r"\.")


def of_text(name: str, values: pa.Array, decimal: str) -> Iterator[str]:
    """What is doubtful of a column that is read as text."""
    if are_exponent_codes(values, decimal) and share(values, _EXPONENT_OR_NOT) >= MOST:
        yield (
            f"{name}: some values look like 1E5 and others like 100000; it is read as text, so "
            "that they stay different"
        )
    elif share(values, _LOOKS_NUMERIC) >= MOST and has(values, r"[^0-9]"):
        yield (
            f"{name} looks like numbers with another decimal sign, with signs between thousands or "
            "with a unit; it is read as text"
        )


def of_number(name: str, values: pa.Array, decimal: str) -> Iterator[str]:
    """What is doubtful of a column of numbers: a sign before three digits may part thousands."""
    mark = "," if decimal == "," else r"\."
    marked = values.filter(pc.match_substring_regex(values, mark))
    if len(marked) and share(marked, rf"^[+-]?[1-9][0-9]{{0,2}}{mark}[0-9]{{3}}$") >= MOST:
        yield f"{name}: {decimal!r} is read as decimal sign, but it may part thousands"


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
    if valid > high:
        return "utf-8", ["encoding: not all bytes are UTF-8; rows with others are set aside"]
    found = _HIGH.findall(broken)
    is_windows = any(0x80 <= byte[0] <= 0x9F for byte in found)
    guess: Encoding = "windows-1252" if is_windows else "iso-8859-1"
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
    nameless = [n for n, name in enumerate(names, 1) if not name.strip()]
    places: dict[str, list[int]] = {}
    for position, name in enumerate(names, 1):
        places.setdefault(name, []).append(position)
    twice = {n: p for n, p in places.items() if n.strip() and len(p) > 1}
    if not nameless and not twice:
        return
    said = [_nameless(nameless)] if nameless else []
    said += [f"{len(p)} columns called {n[:80]!r} (columns {_listed(p)})" for n, p in twice.items()]
    step = "Give every column a name of its own in the source; the names could be "
    step += _named(names, delimiter)
    if nameless == [1]:
        step = (
            "The first column may be the index that a program wrote before each row: leave it out "
            "(pandas: `to_csv(index=False)`, R: `row.names=FALSE`) or name it; the names could be "
            + _named(names, delimiter)
        )
    elif nameless == [len(names)]:
        step = f"If every line ends with {delimiter!r}, leave that out. {step}"
    raise NoTable("; ".join(said), step + ".")


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
    for position, name in enumerate(names, 1):
        base = name if name.strip() else ("row" if position == 1 else f"column_{position}")
        new, number = base, 1
        while new in found or (new != name and new in names):
            number += 1
            new = f"{base}_{number}"
        found.append(new)
    line = (delimiter or ", ").join(found)
    return f"`{line[:1000]}`" + ("…" if len(line) > 1000 else "")


def refuse_hint(text: str) -> None:
    """Excel's first line `sep=;` names the delimiter and is no header.

    Raises:
        NoTable: What the line is, and that it is to go.
    """
    found = re.match(r"\"?sep=(.)\"?\s*\r?\n", text, re.IGNORECASE)
    if found:
        raise NoTable(
            f"a first line {found[0].strip()!r} that tells Excel the delimiter; it is no header",
            "Leave that line out of the files (`tail -n +2 FILE`): the delimiter is found "
            "without it.",
        )
