"""Where batches come from and what shape they must have: source, contract, schedule."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from tenure.layout import landing_prefix
from tenure.lifecycle.policy import Policy

ColumnType = Literal["string", "integer", "number", "boolean", "timestamp"]
Encoding = Literal[
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "iso-8859-1", "iso-8859-2", "iso-8859-15",
    "windows-1250", "windows-1251", "windows-1252", "shift_jis", "gb18030", "big5", "euc-kr",
]  # fmt: skip

FIRST_MOMENT = datetime(1, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Between these a time is a value, in files as in requests."""


class Column(Policy):
    """One column of the contract."""

    type: ColumnType
    """What every value is."""
    nullable: bool = True
    """Whether a value may be missing."""
    sensitivity: Literal["public", "internal", "personal"] = "internal"
    """`personal` columns are kept as pseudonyms."""
    description: str = ""
    """What the column says; shown to people."""


class Rename(Policy):
    """A column that has a new name; both are taken until the last day of the grace window."""

    to: str
    """The new name."""
    until: date
    """Last day (UTC) on which landed files and models may still use the old name."""


OUR_NAMES = {"_row", "_reasons"}
"""Columns of quarantine files."""


def mixed_up_names(names: Iterable[str]) -> str:
    """Which names are taken, or one for the engines that read snapshots; empty when none is.

    >>> mixed_up_names(["id", "Id", "v"])
    "'Id' and 'id' differ by case only"
    """
    spellings: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        spellings.setdefault(name.lower(), []).append(name)
    said = [
        f"{' and '.join(repr(n[:80]) for n in sorted(alike))} differ by case only"
        for alike in spellings.values()
        if len(alike) > 1
    ]
    said += [
        f"{spellings[ours][0]!r} is a name that quarantined rows need themselves"
        for ours in sorted(OUR_NAMES & {*spellings})
    ]
    return "; ".join(said)


class Contract(Policy):
    """The shape of every batch.

    Without its key and its time a batch is stopped. Another column that is gone, or has another
    type, is left out of the snapshot and stops the models that read it; a column that the contract
    does not know is left out and stops nobody (see `lifecycle/schema.py`).
    """

    columns: dict[str, Column] = Field(min_length=1)
    """Every column by its name."""
    key: tuple[str, ...] = ()
    """Columns that together identify a row; a second row with the same key is quarantined."""
    allow_extra_columns: bool = False
    """Whether columns that the contract does not know are left out without a word."""
    renames: dict[str, Rename] = Field(default_factory=dict)
    """Old name to new name; snapshots carry the new one. Keep an entry as long as snapshots with
    the old name are trained on."""

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "Contract":
        if said := mixed_up_names(self.columns):
            raise ValueError(f"columns: {said}")
        return self

    @model_validator(mode="after")
    def _key_is_exact(self) -> "Contract":
        for name in self.key:
            if name in self.columns and self.columns[name].type == "number":
                raise ValueError(
                    f"key: {name!r} is a number, and numbers that are different may become equal; "
                    "a key is integer, string, boolean or timestamp"
                )
        return self

    @model_validator(mode="after")
    def _renames_lead_to_columns(self) -> "Contract":
        for old, rename in self.renames.items():
            if old in self.columns:
                raise ValueError(f"renames: {old!r} is still a column of the contract")
            if rename.to not in self.columns:
                raise ValueError(
                    f"renames: {rename.to!r} (for {old!r}) is not a column of the contract"
                )
        return self

    def renamed(self, today: date | None = None) -> dict[str, str]:
        """Old name to new name: of all renames, or of those whose window is open today."""
        return {
            old: rename.to
            for old, rename in self.renames.items()
            if today is None or today <= rename.until
        }


def two_readings(times: Iterable[str]) -> tuple[str, str] | None:
    """Two forms of which one has the day where the other has the month.

    >>> two_readings(["%d/%m/%Y", "%Y-%m-%d", "%m/%d/%Y"])
    ('%d/%m/%Y', '%m/%d/%Y')
    """
    seen: dict[str, str] = {}
    for form in times:
        before = seen.setdefault(re.sub("%[md]", "%?", form), form)
        if before != form:
            return before, form
    return None


class CsvFormat(Policy):
    """How the CSV files of a source are written; `tenure new dataset` finds it out."""

    delimiter: str = Field(default=",", pattern=r"^[\t\x20\x21\x23-\x26\x28-\x7e]$")
    """One character between cells."""
    quote: Literal['"', "'", ""] = '"'
    """Surrounds cells that hold delimiters or line ends; empty: cells are never quoted."""
    escape: Literal["", "\\"] = ""
    """A backslash: the character after it means itself, a quote too; else a quote is doubled."""
    encoding: Encoding = "utf-8"
    """Of UTF-8 and UTF-16 a byte order mark is skipped."""
    decimal: Literal[".", ","] = "."
    """Decimal sign of numbers."""
    nulls: tuple[str, ...] = ()
    """Words that mean "no value" in columns that are not text, as an empty cell does everywhere."""
    true_words: tuple[str, ...] = Field(default=("true",), min_length=1)
    """Cells of a boolean column that mean true, whatever their case."""
    false_words: tuple[str, ...] = Field(default=("false",), min_length=1)
    """Cells of a boolean column, whatever their case."""
    times: tuple[str, ...] = ()
    """Ways to write a time beside ISO 8601, of %Y %m %d %H %M %S: `%d.%m.%Y %H:%M`."""

    @model_validator(mode="after")
    def _times_can_be_read(self) -> "CsvFormat":
        for form in self.times:
            parts = re.findall(r"%(.)", form)
            if len(set(parts)) < len(parts) or not {*"Ymd"} <= {*parts} <= {*"YmdHMS"}:
                raise ValueError(f"{form!r} must hold each of %Y %m %d once, and may %H %M %S")
        if pair := two_readings(self.times):
            raise ValueError(f"{pair[0]!r} and {pair[1]!r} read the same text as different days")
        return self


class Source(Policy):
    """Files land in `landing/<dataset>/` of the object store."""

    format: Literal["parquet", "csv"] = "parquet"
    """Of the files."""
    csv: CsvFormat = CsvFormat()
    time_zone: str | None = None
    """Zone of dates and times that do not name theirs (`UTC`, `Europe/Berlin`); without it, such a
    time is refused."""
    settle_seconds: int = Field(default=15, ge=0)
    """A file that changed later than this may still be written and is left alone. 0 is right where
    files are renamed into place, as object stores always do."""
    memory_mb: int = Field(default=4096, ge=1024)
    """Memory that judging one file may take; a file that needs more is refused unread."""

    @property
    def max_batch_bytes(self) -> int:
        """Bytes that the rows of a file may take once they are decompressed.

        Within `memory_mb`, 512 MiB are for the libraries, and judging takes 10 times the rows.
        """
        return (self.memory_mb - 512) * 1024 * 1024 // 10

    @model_validator(mode="after")
    def _zone_is_known(self) -> "Source":
        if self.time_zone is None:
            if self.csv.times:
                raise ValueError("csv.times name no zone: time_zone must say which one is meant")
            return self
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"there is no time zone {self.time_zone!r}") from None
        return self

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How the name of a landing file may end; a gzip file is known by its first bytes."""
        return (".csv", ".csv.gz") if self.format == "csv" else (".parquet",)


@dataclass(frozen=True)
class Rules:
    """What a batch is judged by: the digests of the suite's and the dataset's files."""

    suite_digest: str
    config_digest: str


class SourceJudgement(Protocol):
    """The judgement of a landed file by some rules, as the database keeps it."""

    @property
    def source_key(self) -> str:
        """Of the file in the landing zone."""

    @property
    def source_digest(self) -> str:
        """SHA-256 of its bytes."""

    @property
    def suite_digest(self) -> str:
        """Of the suite that judged it."""

    @property
    def config_digest(self) -> str:
        """Of the dataset's file as it was then."""


S = TypeVar("S", bound=SourceJudgement)


class FileJudgement(Generic[S]):
    """Which judgement stands for a file that lies in the landing zone.

    What lies there now is what counts: a file, or a rule, that comes back after another one is
    judged again. The same file under a second name is not, as long as it stands under the first;
    unless the first name was wrong, so that the second is what repairs it.

    Args:
        judged: The newest judgement of each key.
        rules: Those of today.
        source: Says which names are right.
    """

    def __init__(self, judged: Iterable[S], rules: Rules, source: Source) -> None:
        rows = list(judged)
        self._keys = {row.source_key for row in rows}
        by_rules = [r for r in rows if Rules(r.suite_digest, r.config_digest) == rules]
        named = [row for row in by_rules if broken_name(row.source_key, source) is None]
        self._of_file = {row.source_digest: row for row in named}
        self._of_key = {(row.source_key, row.source_digest): row for row in by_rules}

    def of(self, key: str, digest: str) -> S | None:
        """The judgement of the file with this SHA-256; None when it is to be judged."""
        if key in self._keys:
            return self._of_key.get((key, digest))
        return self._of_file.get(digest)


MAX_NAME = 100
BATCH_NAME = rf"[A-Za-z0-9][A-Za-z0-9._=-]{{0,{MAX_NAME - 1}}}"
"""What the file of a batch may be called, without its suffix."""
_UNFINISHED = (".tmp", ".part", ".partial", ".crc", ".filepart", ".crdownload", ".inprogress")


def is_candidate(dataset: str, key: str) -> bool:
    """Whether the object is a batch to judge, not a marker, a part or a file of a subfolder.

    >>> is_candidate("flights", "landing/flights/2013-03.parquet")
    True
    >>> is_candidate("flights", "landing/flights/_SUCCESS")
    False
    """
    name = key.removeprefix(landing_prefix(dataset))
    return (
        name != key
        and "/" not in name
        and not name.startswith(("_", "."))
        and not name.lower().endswith(_UNFINISHED)
    )


def twin_of(key: str, keys: Collection[str]) -> str | None:
    """The unpacked file beside a packed one: both would be one batch, and one would replace it.

    >>> twin_of("landing/d/a.csv.gz", {"landing/d/a.csv", "landing/d/a.csv.gz"})
    'landing/d/a.csv'
    """
    plain = key.removesuffix(".gz") if key.endswith(".csv.gz") else key
    return plain if plain != key and plain in keys else None


_MARKER = re.compile(r"_SUCCESS|_(committed|started)_\w+|_(common_)?metadata|\..+\.crc")
"""What Spark and Hadoop leave beside their files: it holds no rows, so nothing is lost by it."""
UNFINISHED_FOR = timedelta(hours=1)
"""A write that has not gone on for so long will not be finished."""


@dataclass(frozen=True)
class UnreadFile:
    """Something in the landing zone that is not taken as a batch.

    `name` counts from the dataset's folder. What `may_be_written` still is worth no word yet.
    """

    name: str
    why: str
    may_be_written: bool = False


def why_unread(dataset: str, key: str, keys: Collection[str] = ()) -> str | None:
    """Why a landed object is not taken as a batch; None for a batch, and for Spark's markers.

    `keys` are all that lie there.

    >>> why_unread("flights", "landing/flights/year=2026/month=01/part-0.parquet")
    'lies in the folder year=2026/month=01, whose columns (year, month) would be lost'
    >>> why_unread("flights", "landing/flights/2013-03.parquet.part")
    'has the name of an unfinished write (.part)'
    """
    name = key.removeprefix(landing_prefix(dataset))
    folder, _, last = name.rpartition("/")
    if twin := twin_of(key, keys):
        return f"would be the same batch as {twin.rpartition('/')[2][:80]}, which lies there too"
    if is_candidate(dataset, key) or is_marker(last):
        return None
    if "_temporary" in folder.split("/"):
        return "is part of a write that Spark did not finish (_temporary)"
    ending = next((end for end in _UNFINISHED if last.lower().endswith(end)), None)
    if ending is not None:
        return f"has the name of an unfinished write ({ending})"
    if folder:
        return f"lies in the folder {folder[:80]}{_partitions(folder)}"
    return "has a name that begins with _"


def is_marker(name: str) -> bool:
    """Whether the thing holds no rows by its name."""
    return _MARKER.fullmatch(name.rpartition("/")[2]) is not None


def is_unfinished(name: str) -> bool:
    """Whether the thing is, by its name, a write that may still go on."""
    parts = name.split("/")
    is_hidden = any(part.startswith(".") or part == "_temporary" for part in parts)
    return is_hidden or parts[-1].lower().endswith(_UNFINISHED)


def _partitions(folder: str) -> str:
    """Hive's partition columns stand in the folders' names, not in the file."""
    columns = [part.partition("=")[0] for part in folder.split("/") if "=" in part]
    return f", whose columns ({', '.join(columns)}) would be lost" if columns else ""


def unread_summary(dataset: str, unread: Sequence[UnreadFile]) -> str:
    """The words of the incident: at most 5 names, and what to do."""
    named = "; ".join(f"{one.name[:120]!r} {one.why}" for one in unread[:5])
    more = f"; and {len(unread) - 5:,} more" if len(unread) > 5 else ""
    return (
        f"{len(unread):,} things in {landing_prefix(dataset)} are not read: {named}{more}. "
        "Snapshots and models are not affected, but these rows are missing. Put each batch as one "
        f"regular file directly into {landing_prefix(dataset)}, with the columns of partition "
        "folders written into it (Spark: coalesce(1), no partitionBy), and remove the rest."
    )


def batch_of(key: str) -> str:
    """The batch of a landing file: its stem, with characters that a path cannot bear replaced.

    >>> batch_of("landing/flights/2013-03.parquet"), batch_of("landing/flights/a b.csv")
    ('2013-03', 'a_b')
    """
    name = key.rpartition("/")[2]
    name = name[:-3] if name.endswith(".csv.gz") else name
    stem = name.rpartition(".")[0] or name
    safe = re.sub(r"[^A-Za-z0-9._=-]", "_", stem)[:100]
    return safe if re.fullmatch(BATCH_NAME, safe) else f"x{safe}"[:100]


def broken_name(key: str, source: Source) -> str | None:
    """What is wrong with the name of a landing file, or None."""
    name = key.rpartition("/")[2]
    suffix = next((s for s in reversed(source.suffixes) if name.endswith(s)), None)
    if suffix is None:
        allowed = " or ".join(source.suffixes)
        return f"the file is called {name[:80]!r}, expected the suffix {allowed}"
    stem = name.removesuffix(suffix)
    if len(stem) > MAX_NAME:
        return (
            f"the file is called {name[:80]!r}…, with {len(stem):,} characters before the suffix, "
            f"expected at most {MAX_NAME}"
        )
    if not re.fullmatch(BATCH_NAME, stem):
        return f"the file is called {name[:80]!r}, expected letters, digits, '.', '_', '=' and '-'"
    return None


def landing_name(name: str, source: Source) -> str:
    """What a file is to be called in the landing folder, whatever it is called elsewhere.

    >>> source = Source(format="csv")
    >>> landing_name("my rents.tsv", source), landing_name("a.txt.gz", source)
    ('my_rents.csv', 'a.csv.gz')
    >>> landing_name("rents.csv", source), landing_name("a.pq", Source())
    ('rents.csv', 'a.parquet')
    """
    if broken_name(name, source) is None:
        return name
    is_packed = name.lower().endswith(".gz") and source.format == "csv"
    return batch_of(name[:-3] if is_packed else name) + source.suffixes[-1 if is_packed else 0]
