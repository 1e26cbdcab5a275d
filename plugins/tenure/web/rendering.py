"""Templates with autoescape on, and the few words that all pages share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tenure.layout import dag_id
from tenure.lifecycle.incidents.drill import drill_words
from tenure.lifecycle.incidents.failure_card import BUG, TITLES
from tenure.lifecycle.promotion.event_rates import e_words
from tenure.views.approval_page import window_path
from tenure.views.canary import LEFT_OUT
from tenure.views.tasks import tone
from tenure.web import (
    approval_plots,
    canary_plots,
    history,
    limit_plots,
    plots,
    promise_plots,
    report_plots,
    runbook,
    small_multiples,
)

HERE = Path(__file__).parent
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?([+-]\d\d:\d\d|Z)")
_BASIS_POINTS = "_bp"
_ROWS, _COLUMNS, _LONGEST = 50, 14, 600
"""Rows, columns and characters of one fact that a page shows."""
_UNTOLD = frozenset({"event", "reason", "run_id", "model"})
"""Keys of an event's body that are shown elsewhere, or say nothing to a person."""

_TINY, _THOUSAND, _FOUR_DIGITS, _HUGE = 0.001, 1_000, 9_999, 1e9

STATES = {
    "draft": "being trained",
    "trained": "trained, gates not passed yet",
    "validated": "passed its gates, waits for approval",
    "approved": "approved, waits for its canary",
    "canary": "on probation with a share of the traffic",
    "champion": "serves the traffic",
    "superseded": "replaced, can be rolled back to",
    "rolled_back": "lost its traffic",
    "rejected": "turned down",
    "retiring": "being retired",
    "archived": "retired, archive verified",
    "deleted": "retired, artifact deleted",
}
"""What each state means to somebody who reads it for the first time."""

SEVERITIES = {
    "info": "reported, nothing else",
    "warning": "rows that break it are quarantined",
    "critical": "breaking it fails the batch",
}
"""What a broken check of each severity means."""


@cache
def environment() -> Environment:
    """The one environment; StrictUndefined, so a misspelt name is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": ago,
        "answer": answer,
        "count": count,
        "drilled": drill_words,
        "event": event,
        "facts": facts,
        "moment": moment,
        "number": number,
        "percent_bp": percent_bp,
        "prose": prose,
        "runbook_anchor": runbook.anchor_of,
        "short": short,
        "sentence": sentence,
        "tone": tone,
        "url": lambda text: quote(str(text), safe=""),
    }
    made.globals |= {
        "SEVERITIES": SEVERITIES,
        "STATES": STATES,
        "TITLES": TITLES,
        "BUG": BUG,
        "dag_id": dag_id,
        "history": history.draw,
        "canary_plot": plots.canary,
        "canary_plots": canary_plots,
        "LEFT_OUT": LEFT_OUT,
        "e_words": e_words,
        "monitoring_plot": plots.monitoring,
        "evidence_plot": promise_plots.evidence,
        "evidence_words": promise_plots.words,
        "report_figures": report_plots.figures,
        "bands_plot": plots.bands,
        "metric_plot": approval_plots.metric_plot,
        "difference_plot": approval_plots.difference_plot,
        "group_figures": approval_plots.group_figures,
        "window_path": window_path,
        "multiples": small_multiples,
        "workbench": limit_plots,
    }
    return made


def render(template: str, **values: Any) -> str:
    """One page as HTML."""
    return environment().get_template(template).render(**values)


def moment(at: datetime | None) -> str:
    """`2026-03-01 14:05 UTC`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if at else "not yet"


def ago(at: datetime | None, now: datetime) -> str:
    """`5 min ago`; `in 20 s` for what is to come."""
    if at is None:
        return "never"
    seconds = (now - at).total_seconds()
    words = _span(abs(seconds))
    return f"{words} ago" if seconds >= 0 else f"in {words}"


def percent_bp(share_bp: int) -> str:
    """Basis points as a percentage without needless zeros."""
    return f"{share_bp / 100:g}%"


def short(digest: str | None) -> str:
    """The first 12 characters of a digest."""
    return f"{digest[:12]}…" if digest else "none"


def count(number: float | None) -> str:
    """`12,345`, `-` for None."""
    return f"{number:,}" if number is not None else "-"


def sentence(text: str) -> str:
    """Names of the code as words: `rolled_back` becomes `rolled back`."""
    return text.replace("_", " ")


def answer(value: bool | str | float | None) -> str:
    """What a model or a person answered: yes and no, a class, a number; `none`."""
    return _plain(value)


@dataclass(frozen=True)
class Fact:
    """One fact of a report: a text, or a table when it is a list of things alike."""

    name: str
    text: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    more: int = 0
    """Rows that are not shown."""


def facts(values: Mapping[str, Any]) -> list[Fact]:
    """Facts for people; what is nested deeper than a table is JSON, cut when very long."""
    return [_fact(sentence(name), value) for name, value in values.items()]


def _fact(name: str, value: object) -> Fact:
    if table := _table(value):
        columns = tuple(dict.fromkeys(key for one in table for key in one))
        if len(columns) > _COLUMNS:
            columns = tuple(
                key for key in columns if any(one.get(key) is not None for one in table)
            )
        if len(columns) <= _COLUMNS:
            rows = tuple(tuple(_hovered(one.get(key)) for key in columns) for one in table[:_ROWS])
            return Fact(name, "", tuple(map(sentence, columns)), rows, max(0, len(table) - _ROWS))
    if isinstance(value, float):
        return Fact(name, _hovered(value))
    text = _fact_text(value)
    return Fact(name, text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …")


def _table(value: object) -> list[dict[str, object]]:
    """Rows of a list of things alike, or none; `{"a": {"b": 1}}` has the column `a b`."""
    if not isinstance(value, list | tuple) or not value:
        return []
    rows = [_row(one) for one in value]
    return [] if None in rows else [row for row in rows if row is not None]


def _row(value: object) -> dict[str, object] | None:
    """Texts, numbers and lists of them by column; None where it is nested deeper."""
    if not isinstance(value, Mapping):
        return None
    found: dict[str, object] = {}
    for key, one in value.items():
        inner = {f"{key} {name}": of for name, of in one.items()} if _is_map(one) else {key: one}
        found |= inner
    known = all(_is_plain(one) or _is_list(one) for one in found.values())
    return found if known else None


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_plain, value))


def _hovered(value: object) -> str:
    """As `_plain`; a number that it rounds says itself to a pointer at rest."""
    if _is_list(value):
        return _fact_text(value)
    text = _plain(value)
    if not isinstance(value, float) or text == str(value):
        return text
    return Markup('<span title="{}">{}</span>').format(value, text)


def _rounded(value: object) -> object:
    """Every number of nested JSON as `_plain` says it."""
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _fact_text(value: object) -> str:
    """`logged 4,800, waiting 0` of a mapping, `a, b` of a list; `none` of nothing."""
    if isinstance(value, Mapping) and _is_flat(value):
        return ", ".join(f"{sentence(key)} {_plain(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple) and all(map(_is_plain, value)):
        return ", ".join(map(_plain, value)) or "none"
    return _plain(value) if _is_plain(value) else json.dumps(_rounded(value), ensure_ascii=False)


def _is_flat(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_is_plain, value.values()))


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | bool | int | float)


def _plain(value: object) -> str:
    """A single value: moments to the second, `yes` and `no`, four digits, thousands with commas."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < _FOUR_DIGITS else f"{value:,.0f}"
    text = str(value)
    if not _MOMENT.fullmatch(text):
        return text
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def prose(text: str) -> Markup:
    """Escaped text in which `backticks` are set as code."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:  # a lonely backtick means nothing
        return escape(text)
    code = Markup("<code>{}</code>")
    return Markup("").join(
        code.format(part) if index % 2 else escape(part) for index, part in enumerate(parts)
    )


def number(value: float | None) -> str:
    """Three significant digits, never an exponent: `3,050`, `below 0.001`.

    None is an e-value that overflowed.
    """
    if value is None or value >= _HUGE:
        return "beyond 1,000,000,000"
    if 0 < value < _TINY:
        return f"below {_TINY}"
    return f"{value:,.0f}" if value >= _THOUSAND else f"{value:.3g}"


def event(body: Mapping[str, Any]) -> str:
    """What a ledger event that moves no version says: `version m@2, answer approve`."""
    told = {key: value for key, value in body.items() if key not in _UNTOLD and value is not None}
    words = [_named(key, value) for key, value in told.items()]
    return ", ".join(([sentence(str(body["event"]))] if "event" in body else []) + words)


def _named(key: str, value: object) -> str:
    """Name and value; basis points as a percentage."""
    if key.endswith(_BASIS_POINTS) and isinstance(value, int):
        return f"{sentence(key.removesuffix(_BASIS_POINTS))} {percent_bp(value)}"
    return f"{sentence(key)} {_brief(value)}"


def _brief(value: object) -> str:
    if isinstance(value, str):
        return short(value) if _DIGEST.fullmatch(value) else _plain(value)
    if isinstance(value, list | tuple):
        return " and ".join(_brief(one) for one in value)
    return _fact_text(value)


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
