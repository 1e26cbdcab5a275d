"""What the thinking needs from the world, where two implementations of it exist."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol
from zlib import crc32

from tenure.errors import ArtifactRefused, ObjectMissing
from tenure.verdicts import Report
from tenure.vocabulary import RunRef


class Clock(Protocol):
    """Wall clock, always in UTC."""

    def now(self) -> datetime:
        """The present moment, timezone-aware."""
        ...


class Ids(Protocol):
    """Source of ids that nobody can guess."""

    def new(self) -> str:
        """A UUIDv7 in its usual text form."""
        ...


@dataclass(frozen=True)
class ObjectInfo:
    """What a store knows of an object without reading it.

    `stamp` changes whenever the content may have changed (an ETag; inode, size and time).
    """

    size: int
    modified: datetime
    stamp: str


@dataclass(frozen=True)
class Stranger:
    """What lies in a store and is no object, so that `list` leaves it out.

    `name` is what a person finds it by, from the prefix on; `modified` None where nobody knows.
    """

    name: str
    why: str
    modified: datetime | None = None


class ObjectStore(Protocol):
    """A folder or bucket of immutable objects; keys are relative, with `/`.

    Writes are atomic: an object is there whole or not at all.
    """

    def put(self, key: str, data: bytes) -> str:
        """Store bytes (overwrites), returns their SHA-256."""
        ...

    def put_file(self, key: str, source: Path) -> str:
        """Store a file of any size (overwrites), returns its SHA-256."""
        ...

    def put_once(self, key: str, source: Path) -> str:
        """Store a file that never changes; the same bytes again are fine. Returns their SHA-256.

        Raises:
            ArtifactRefused: Other bytes lie there; they stay.
        """
        ...

    def get(self, key: str, digest: str | None = None) -> bytes:
        """Read bytes; with `digest`, raises ArtifactRefused when they differ.

        Raises:
            ObjectMissing: There is no such object.
        """
        ...

    def fetch(self, key: str, digest: str | None = None) -> Path:
        """A local path with the object's content (the object itself or a cached copy).

        Raises:
            ObjectMissing: There is no such object.
        """
        ...

    def borrow(self, key: str, digest: str | None = None) -> AbstractContextManager[Path]:
        """As `fetch`, for the block only: no copy stays on this machine afterwards."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below the prefix, sorted; unfinished writes are not among them."""
        ...

    def strangers(self, prefix: str) -> Iterator[Stranger]:
        """What lies below the prefix and cannot be an object: links, pipes, odd names."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        ...

    def info(self, key: str) -> ObjectInfo:
        """Size, time and stamp, without reading the content.

        Raises:
            ObjectMissing: There is no such object.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        ...

    def sweep(self, before: datetime) -> int:
        """Remove unfinished writes that began before the moment; returns how many."""
        ...

    def url(self, key: str) -> str:
        """Where a person or another tool finds the object."""
        ...

    def encryption(self) -> str | None:
        """How what is put here is encrypted at rest, for people; None when it is not known to be.

        Raises:
            ServiceUnreachable: The store does not answer.
        """
        ...


def is_object_key(key: str) -> bool:
    """Whether the text may name an object: relative, printable, no hidden part, no way up.

    >>> is_object_key("landing/flights/a.csv"), is_object_key("a/../b"), is_object_key("/a")
    (True, False, False)
    """
    return (
        0 < len(key.encode("utf-8", "replace")) <= 1024
        and "\\" not in key
        and key.isprintable()
        and all(part and not part.startswith(".") for part in key.split("/"))
    )


def no_object_key(name: str) -> str:
    r"""Why a name below a prefix names no object, for people.

    >>> no_object_key("a/.b.csv"), no_object_key("a\n.csv")
    ('a hidden name (it begins with a dot)', 'a character that cannot be printed in its name')
    """
    if any(part.startswith(".") for part in name.split("/")):
        return "a hidden name (it begins with a dot)"
    if not name.isprintable():
        return "a character that cannot be printed in its name"
    if "\\" in name:
        return "a backslash in its name"
    return "a name that is too long, or has an empty part"


def other_bytes(key: str, *, found: str, expected: str) -> ArtifactRefused:
    """The error of a store whose object does not have the digest that was asked for."""
    return ArtifactRefused(
        f"The object {key} has SHA-256 {found[:12]}…, expected {expected[:12]}….",
        still_safe="Its bytes were not used; the lifecycle database still names the right digest.",
        next_step="Restore the object from a backup or the archive, or publish it anew; find out "
        "who wrote to the store.",
        evidence=key,
    )


def missing_object(key: str) -> ObjectMissing:
    """The error of a store that has no such object."""
    return ObjectMissing(
        f"The object store has no {key[:200]}.",
        still_safe="Nothing was changed by this step; gateways keep what they serve.",
        next_step="Bring the object back from a backup of the store, under the same key: it is "
        "compared with its SHA-256 whenever it is read. The file of a snapshot may be dropped into "
        "the landing folder of its dataset again instead.",
        evidence=key,
    )


class Reports(Protocol):
    """Keeps evidence: the body in the object store, a row in the lifecycle database."""

    def save(self, report: Report, *, model: str | None, dataset: str | None, run: RunRef) -> str:
        """Store once and return the digest; the same report again is a no-op."""
        ...


@dataclass(frozen=True)
class JudgedRows:
    """The decisions that need no further look: those of the listed segments up to a moment.

    Args:
        until: Newest event_time among them.
        lists: Parquet files whose column `segment_name` has names as in `DecisionFilter.segments`.
    """

    until: datetime
    lists: Sequence[Path]


@dataclass(frozen=True)
class DecisionFilter:
    """Which decision rows a scan takes: those of one version with `after` < event_time <= `until`.

    Paths are local Parquet files; None leaves that side open.

    Args:
        segments: Name of the segment that each file was shipped as: hour folder and file stem. A
            compacted file says of each row what it was shipped as; only its folder counts.
        judged: Rows to leave out; `segments` names all files then.
        again: The judged rows themselves, in place of those that were not.
        also: Other versions whose rows are taken as well.
    """

    paths: Sequence[Path]
    version_id: int
    after: datetime | None = None
    until: datetime | None = None
    segments: Mapping[Path, str] = field(default_factory=dict)
    judged: JudgedRows | None = None
    again: bool = False
    also: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Span:
    """How many decisions there are, and the event_time of the first and the last."""

    rows: int
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Tally:
    """What there is of a version's decisions, each of them in one place.

    Args:
        logged: All that the files hold.
        judged: Those that an earlier window judged.
        due: Those that the filter takes.
        late: Of those that are due, the ones of before the end of what was judged: they were
            shipped after it.
    """

    logged: int
    judged: int
    due: Span
    late: Span

    @property
    def waiting(self) -> int:
        """Neither judged nor due: a label is not mature, or the event_time is yet to come."""
        return self.logged - self.judged - self.due.rows


@dataclass(frozen=True)
class FeatureCounts:
    """Everything that drift needs of one side, per column.

    Args:
        rows: Rows scanned.
        bins: Numeric columns: below the first edge, (edge, edge] …, above the last edge.
            The first inner bin also holds its lower edge.
        categories: Categorical columns: count of each value.
        nulls: Both kinds: null or NaN.
    """

    rows: int
    bins: Mapping[str, tuple[int, ...]]
    categories: Mapping[str, Mapping[str, int]]
    nulls: Mapping[str, int]


@dataclass(frozen=True)
class LossCounts:
    """The losses of the decisions of one day.

    Args:
        answered: Those that a model answered.
        labelled: Those of them that have an outcome.
        loss: Sum of their losses, in millionths of a unit.
    """

    answered: int
    labelled: int
    loss: int


@dataclass(frozen=True)
class CodedDecision:
    """A decision by the codes that `FeatureCounts` counts by: bin or value; None: null."""

    decision_id: str
    codes: Mapping[str, str | None]


@dataclass(frozen=True)
class ScoreBin:
    """Labelled decisions whose score lies in [number / bins, (number + 1) / bins).

    Sums run over the rows: of the score, of the squared error, of the log loss, and of the
    squares of the last two (for their intervals).
    """

    number: int
    rows: int
    positives: int
    score: float
    squared_error: float
    squared_error_2: float
    log_loss: float
    log_loss_2: float


@dataclass(frozen=True)
class OutcomeCounts:
    """Everything that performance and live fairness need of a window.

    Args:
        decisions: Decisions in the window.
        answered: Those that a model answered (not a rule).
        labelled: Those answered by a model that have an outcome; the newest outcome counts.
        cells: Value of each protected attribute (null is None) to (tp, fp, fn, tn) of the labelled.
        score_bins: Non-empty bins of the labelled, in order of score.
        bins: How many equal bins [0, 1] was cut into.
        ambiguous: Outcomes that do not count: several callers used the request id, and the
            outcome does not say which of them is meant.
    """

    decisions: int
    answered: int
    labelled: int
    cells: Mapping[tuple[str | None, ...], tuple[int, int, int, int]]
    score_bins: Sequence[ScoreBin]
    bins: int
    ambiguous: int = 0


@dataclass(frozen=True)
class ErrorSums:
    """Sums over the errors (prediction minus outcome) of rows, in the unit of the label.

    Args:
        rows: How many.
        error: Of the errors.
        absolute: Of their absolute values.
        squared: Of their squares.
        fourth: Of their fourth powers, for the interval of the mean square.
    """

    rows: int
    error: float
    absolute: float
    squared: float
    fourth: float

    def __add__(self, other: "ErrorSums") -> "ErrorSums":
        """Of both sets of rows."""
        return ErrorSums(
            self.rows + other.rows,
            self.error + other.error,
            self.absolute + other.absolute,
            self.squared + other.squared,
            self.fourth + other.fourth,
        )


NO_ERRORS = ErrorSums(0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ErrorCounts:
    """Everything that performance and live fairness need of a window of a regression.

    Args:
        decisions: Decisions in the window.
        answered: Those that a model answered (not a rule).
        labelled: Those answered by a model that have an outcome; the newest outcome counts.
        groups: Value of each protected attribute (None is null) to the sums of the labelled.
        cells: Rows, errors and absolute errors of the labelled, the last two as sums of whole
            millionths: they add up exactly over windows, so that a changed outcome is noticed.
        with_interval: Of the labelled, those whose answer came with an interval.
        covered: Of these, those whose outcome lies in it.
        ambiguous: As in `OutcomeCounts`.
    """

    decisions: int
    answered: int
    labelled: int
    groups: Mapping[tuple[str | None, ...], ErrorSums]
    cells: tuple[int, int, int, int]
    with_interval: int = 0
    covered: int = 0
    ambiguous: int = 0

    @property
    def sums(self) -> ErrorSums:
        """Of all groups."""
        return sum(self.groups.values(), NO_ERRORS)


@dataclass(frozen=True)
class ClassCounts:
    """Everything that performance and live fairness need of a window of a multiclass model.

    Args:
        decisions: Decisions in the window.
        answered: Those that a model answered (not a rule).
        labelled: Those answered by a model that have an outcome; the newest outcome counts.
        groups: Value of each protected attribute (None is null) to the rows of the labelled, by
            (answered class, class that came true).
        ambiguous: As in `OutcomeCounts`.
    """

    decisions: int
    answered: int
    labelled: int
    groups: Mapping[tuple[str | None, ...], Mapping[tuple[str, str], int]]
    ambiguous: int = 0

    @property
    def pairs(self) -> dict[tuple[str, str], int]:
        """Of all groups."""
        found: dict[tuple[str, str], int] = {}
        for rows in self.groups.values():
            for pair, number in rows.items():
                found[pair] = found.get(pair, 0) + number
        return dict(sorted(found.items()))

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """Right ones, wrong ones, a sum of digests of what came true, and 0.

        They add up exactly over windows, so that a changed outcome is noticed.
        """
        right = sum(n for (answer, label), n in self.pairs.items() if answer == label)
        rows = sum(self.pairs.values())
        digests = sum(n * crc32("\0".join(pair).encode()) for pair, n in self.pairs.items())
        return right, rows - right, digests, 0


@dataclass(frozen=True)
class OutcomeSum:
    """Where every outcome of a model is, seen from one version; the parts add up to `received`.

    An outcome of a request with several decisions counts where most was done with it.

    Args:
        received: All that the outcome files hold.
        judged_before: Of decisions that an earlier window judged.
        judged_here: Of decisions that are judged now.
        waiting: Of decisions of the version whose label is not mature yet, or that wait for more.
        elsewhere: Of decisions of other versions.
        replaced: A newer outcome of the same decision counts.
        ambiguous: By a request id, which does not say whose decision is meant.
        unmatched: The log holds no such decision.
    """

    received: int
    judged_before: int = 0
    judged_here: int = 0
    waiting: int = 0
    elsewhere: int = 0
    replaced: int = 0
    ambiguous: int = 0
    unmatched: int = 0

    def remarks(self) -> str:
        """What a reader has to know, in a sentence; often nothing.

        >>> OutcomeSum(1005, judged_here=1000, unmatched=5).remarks()
        '5 of 1,005 outcomes name no decision of the log.'
        """
        if not self.unmatched:
            return ""
        return f"{self.unmatched:,} of {self.received:,} outcomes name no decision of the log."


class Engine(Protocol):
    """Scans Parquet where it lies and gives sufficient statistics only, never rows."""

    def tally(self, decisions: DecisionFilter) -> Tally:
        """All decisions of the version in one scan: judged, due, late."""
        ...

    def segments(self, decisions: DecisionFilter) -> dict[str, int]:
        """The segments of the decisions, each with how many of them it has, by name."""
        ...

    def quantiles(
        self, paths: Sequence[Path], columns: Sequence[str], shares: Sequence[float]
    ) -> dict[str, list[float]]:
        """Exact quantiles of numeric columns without nulls; an empty list when all are null."""
        ...

    def features(
        self,
        reference: Sequence[Path],
        current: DecisionFilter,
        *,
        edges: Mapping[str, Sequence[float]],
        categorical: Sequence[str],
        dates: Sequence[str] = (),
    ) -> tuple[FeatureCounts, FeatureCounts]:
        """Counts of reference and current in one scan. `edges` rise; at least two a column.

        Of a column of `dates` only nulls and others are counted: new dates are no drift.
        """
        ...

    def outcomes(
        self,
        decisions: DecisionFilter,
        outcomes: Sequence[Path],
        *,
        attributes: Sequence[str],
        bins: int,
    ) -> OutcomeCounts:
        """Decisions joined to their newest outcome. `attributes` are column names."""
        ...

    def errors(
        self, decisions: DecisionFilter, outcomes: Sequence[Path], *, attributes: Sequence[str]
    ) -> ErrorCounts:
        """As `outcomes`, for a regression."""
        ...

    def classes(
        self, decisions: DecisionFilter, outcomes: Sequence[Path], *, attributes: Sequence[str]
    ) -> ClassCounts:
        """As `outcomes`, for several classes."""
        ...

    def outcome_sum(
        self, decisions: DecisionFilter, outcomes: Sequence[Path], every: Sequence[Path]
    ) -> OutcomeSum:
        """Where each outcome of the files is, among the decisions of `every` file."""
        ...
