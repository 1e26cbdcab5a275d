"""Statistics over Parquet as Ibis expressions, run by DuckDB in this process.

One expression a question, so that another backend of Ibis can run the same one where the data is.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from tenure.ports import (
    ClassCounts,
    CodedDecision,
    DecisionFilter,
    ErrorCounts,
    FeatureCounts,
    OutcomeCounts,
    OutcomeSum,
    Tally,
)

MEMORY_LIMIT = "2GB"
"""More is spilled to disk by DuckDB."""


class IbisEngine:
    """Implements `tenure.ports.Engine`.

    Args:
        threads: Cores that a scan may use; None leaves it to DuckDB.
        opened: Gives a selection's rows, as an Arrow table, with sealed features opened; None
            where no features are sealed.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        opened: Callable[[DecisionFilter], Any] | None = None,
    ) -> None:
        self._threads = threads
        self.opened = opened

    @cached_property
    def backend(self) -> Any:
        """An in-memory DuckDB that neither installs extensions nor guesses a time zone."""
        import ibis

        options: dict[str, Any] = {
            "memory_limit": MEMORY_LIMIT,
            "autoinstall_known_extensions": "false",
        }
        if self._threads:
            options["threads"] = str(self._threads)
        backend = ibis.duckdb.connect(**options)
        backend.raw_sql("SET TimeZone = 'UTC'")
        return backend

    def read(self, paths: Sequence[Path], *, with_names: bool = False) -> Any:
        """The files as one Ibis table; a column that some files lack is null there.

        With `with_names`, the column `filename` has the path of each row's file.
        """
        return self.backend.read_parquet(
            [str(path) for path in paths],
            union_by_name=True,
            hive_partitioning=False,
            filename=with_names,
        )

    def tally(self, decisions: DecisionFilter) -> Tally:
        """All decisions of the version in one scan: judged, due, late."""
        from tenure.adapters.ibis_engine.selection import tally

        return tally(self, decisions)

    def segments(self, decisions: DecisionFilter) -> dict[str, int]:
        """The segments of the decisions, each with how many of them it has, by name."""
        from tenure.adapters.ibis_engine.selection import segments

        return segments(self, decisions)

    def quantiles(
        self, paths: Sequence[Path], columns: Sequence[str], shares: Sequence[float]
    ) -> dict[str, list[float]]:
        """Exact quantiles of numeric columns; an empty list when all values are null."""
        from tenure.adapters.ibis_engine.drift import quantiles

        return quantiles(self.read(paths), columns, shares)

    def sample(
        self,
        source: Sequence[Path] | DecisionFilter,
        *,
        numeric: Sequence[str],
        categorical: Sequence[str],
        rows: int,
        seed: int,
    ) -> dict[str, list[Any]]:
        """Columns of a replayable sample, for pictures; the same rows for the same seed."""
        from tenure.adapters.ibis_engine.drift import sampled, with_features

        table = (
            with_features(self, source) if isinstance(source, DecisionFilter) else self.read(source)
        )
        return sampled(table, numeric, categorical, rows=rows, seed=seed)

    def features(
        self,
        reference: Sequence[Path],
        current: DecisionFilter,
        *,
        edges: Mapping[str, Sequence[float]],
        categorical: Sequence[str],
        dates: Sequence[str] = (),
    ) -> tuple[FeatureCounts, FeatureCounts]:
        """Bin, category and null counts of both sides in one scan; a date is there or null."""
        from tenure.adapters.ibis_engine.drift import feature_counts, with_features

        return feature_counts(
            self.read(reference),
            with_features(self, current, only_opened=True),
            edges,
            tuple(categorical),
            tuple(dates),
        )

    def features_by_day(
        self,
        reference: Sequence[Path],
        current: DecisionFilter,
        *,
        edges: Mapping[str, Sequence[float]],
        categorical: Sequence[str],
        dates: Sequence[str] = (),
    ) -> tuple[FeatureCounts, dict[date, FeatureCounts]]:
        """As `features`, the current side by day of event time."""
        from tenure.adapters.ibis_engine.drift import counts_by_day, with_features

        return counts_by_day(
            self.read(reference),
            with_features(self, current, only_opened=True),
            edges,
            tuple(categorical),
            tuple(dates),
        )

    def coded(
        self,
        decisions: DecisionFilter,
        ids: Sequence[str],
        *,
        edges: Mapping[str, Sequence[float]],
        categorical: Sequence[str],
    ) -> list[CodedDecision]:
        """The few decisions of these ids by the codes that `features` counts them by."""
        from tenure.adapters.ibis_engine.drift import coded, with_features

        table = with_features(self, decisions, only_opened=True)
        return coded(table, ids, edges, tuple(categorical))

    def outcomes(
        self,
        decisions: DecisionFilter,
        outcomes: Sequence[Path],
        *,
        attributes: Sequence[str],
        bins: int,
    ) -> OutcomeCounts:
        """Confusion cells and score bins of the decisions, each joined to its newest outcome."""
        from tenure.adapters.ibis_engine.drift import with_features
        from tenure.adapters.ibis_engine.outcomes import outcome_counts

        return outcome_counts(
            with_features(self, decisions),
            self.read(outcomes) if outcomes else None,
            self.read(decisions.paths),
            tuple(attributes),
            bins,
        )

    def errors(
        self, decisions: DecisionFilter, outcomes: Sequence[Path], *, attributes: Sequence[str]
    ) -> ErrorCounts:
        """Sums of the errors of the decisions, each joined to its newest outcome."""
        from tenure.adapters.ibis_engine.drift import with_features
        from tenure.adapters.ibis_engine.errors import error_counts

        return error_counts(
            with_features(self, decisions),
            self.read(outcomes) if outcomes else None,
            self.read(decisions.paths),
            tuple(attributes),
        )

    def classes(
        self, decisions: DecisionFilter, outcomes: Sequence[Path], *, attributes: Sequence[str]
    ) -> ClassCounts:
        """Classes that were answered and that came true, of the newest outcome of each decision."""
        from tenure.adapters.ibis_engine.classes import class_counts
        from tenure.adapters.ibis_engine.drift import with_features

        return class_counts(
            with_features(self, decisions),
            self.read(outcomes) if outcomes else None,
            self.read(decisions.paths),
            tuple(attributes),
        )

    def outcome_sum(
        self, decisions: DecisionFilter, outcomes: Sequence[Path], every: Sequence[Path]
    ) -> OutcomeSum:
        """Where each outcome of the files is, among the decisions of `every` file."""
        from tenure.adapters.ibis_engine.outcomes import outcome_sum
        from tenure.adapters.ibis_engine.selection import is_due, marked

        if not outcomes:
            return OutcomeSum(0)
        table = marked(self, decisions, columns=("decision_id", "event_time"))
        return outcome_sum(
            table.mutate(is_due=is_due(table, decisions)),
            self.read(outcomes),
            self.read(decisions.paths),
            self.read(every),
        )
