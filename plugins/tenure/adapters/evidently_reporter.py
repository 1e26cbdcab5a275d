"""Draws drift as an Evidently page, from escaped samples: a picture, never a verdict.

Evidently writes category values and column names into its page as they are, so both are escaped
before it sees them. Importing this is light; drawing costs seconds of import.
"""

import html
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

MOST_CATEGORIES = 50
"""More make the page unreadable; the rest is drawn as one."""
LONGEST = 80
"""Characters of a value or name that are drawn."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")

Columns = Mapping[str, Sequence[Any]]


def draw(
    reference: Columns, current: Columns, *, numeric: Sequence[str], categorical: Sequence[str]
) -> bytes:
    """An HTML page that compares two samples column by column.

    Args:
        reference: Column name to values; all columns equally long.
        current: The same columns.
        numeric: Columns drawn as numbers.
        categorical: Columns drawn as categories.

    Returns:
        UTF-8 HTML that holds its scripts inline.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        frames = _frames(reference, current, numeric, categorical)
        drawn = set(frames[0].columns)
        definition = DataDefinition(
            numerical_columns=[n for n in map(escaped, numeric) if n in drawn],
            categorical_columns=[n for n in map(escaped, categorical) if n in drawn],
        )
        sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in frames]
        page = Report([DataDriftPreset()]).run(sides[1], sides[0])
        text: str = page.get_html_str(as_iframe=False)
    return text.encode()


def escaped(text: object) -> str:
    """Fit to stand in HTML, in an attribute and in a script; cut to `LONGEST` characters.

    >>> escaped("<script>")
    '&lt;script&gt;'
    """
    return html.escape(_CONTROL.sub(" ", str(text))[:LONGEST], quote=True).replace("`", "&#96;")


def _frames(
    reference: Columns, current: Columns, numeric: Sequence[str], categorical: Sequence[str]
) -> list[Any]:
    import pandas as pd

    kept: list[dict[str, Any]] = [{}, {}]
    for name in (*numeric, *categorical):
        pair: Sequence[Sequence[Any]] = [side[name] for side in (reference, current)]
        if any(all(value is None for value in values) for values in pair):
            continue  # nothing to draw, and Evidently raises
        if name in categorical:
            pair = _common(*pair)
        for frame, values in zip(kept, pair, strict=True):
            kind = "float64" if name in numeric else "object"
            frame[escaped(name)] = pd.Series(list(values), dtype=kind)
    return [pd.DataFrame(frame) for frame in kept]


def _common(reference: Sequence[Any], current: Sequence[Any]) -> list[list[str | None]]:
    """The commonest values of both sides, escaped; the others as one."""
    counts: dict[str, int] = {}
    for value in (*reference, *current):
        if value is not None:
            counts[str(value)] = counts.get(str(value), 0) + 1
    names = sorted(counts, key=lambda v: (-counts[v], v))[:MOST_CATEGORIES]
    shown = {value: escaped(value) for value in names}
    return [
        [None if v is None else shown.get(str(v), "(other)") for v in side]
        for side in (reference, current)
    ]
