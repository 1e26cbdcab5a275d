"""Rows that come twice: the rule that notices a batch of which a part was written again."""

import math
from collections.abc import Collection, Sequence

from tenure.lifecycle.data.profiling.profile import BatchProfile
from tenure.lifecycle.data.profiling.proposals import ENOUGH_ROWS, Proposal
from tenure.lifecycle.data.profiling.wording import batches, shares
from tenure.verdicts import Severity

REPEATED = "expect_compound_columns_to_be_unique"
MOST_COLUMNS = 5
"""Columns that a rule about whole rows names; more tell hardly more."""
RARE = 0.01
"""Share of rows that come twice from which on one more column is tried."""
_MOST_REPEATED = 0.5
"""A batch of which half was written twice has 2 of 3 rows that come twice."""


def telling_columns(profile: BatchProfile, hidden: Collection[str]) -> tuple[str, ...]:
    """The columns with the most different values, the first of them first.

    Args:
        profile: Of all rows.
        hidden: Personal columns, whose values no rule compares.
    """
    seen = [c for c in profile.columns if c.name not in hidden and c.distinct > 1]
    return tuple(c.name for c in sorted(seen, key=lambda c: -c.distinct)[:MOST_COLUMNS])


def no_repetition(
    columns: Sequence[str], repeated: Sequence[float], rows: Sequence[int]
) -> tuple[Proposal, ...]:
    """That rows hardly ever come twice; none where they often do, or where there are too few.

    Args:
        columns: That tell rows apart.
        repeated: Share of the rows of each batch that are there more than once.
        rows: Of each batch.
    """
    if len(columns) < 2 or sum(rows) < ENOUGH_ROWS:
        return ()
    worst, fewest = max(repeated), min(rows)
    noise = 3 * math.sqrt(worst * (1 - worst) / fewest) if worst else 3 / fewest
    limit = worst + max(0.5 * worst, noise, 0.01) + 0.01
    if limit > _MOST_REPEATED:
        return ()
    return (
        Proposal(
            REPEATED,
            {"column_list": [*columns], "mostly": math.floor(1000 * (1 - limit)) / 1000},
            Severity.CRITICAL,
            f"{shares(repeated)} of the rows come more than once in {batches(len(rows))}.",
        ),
    )
