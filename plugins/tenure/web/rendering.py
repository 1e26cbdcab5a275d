"""Templates with autoescape on, and the few words that all pages share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tenure.layout import dag_id
from tenure.lifecycle.incidents.failure_card import BUG, TITLES
from tenure.web import history, plots

HERE = Path(__file__).parent
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UNTOLD = frozenset({"event", "reason", "run_id", "model"})
"""Keys of an event's body that are shown elsewhere, or say nothing to a person."""

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
        "count": count,
        "event": event,
        "facts": facts,
        "moment": moment,
        "number": number,
        "percent_bp": percent_bp,
        "prose": prose,
        "short": short,
        "sentence": sentence,
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
        "monitoring_plot": plots.monitoring,
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


def facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of a report's facts; nested values as compact JSON, cut when very long."""
    rows = []
    for name, value in values.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append((sentence(name), text if len(text) <= 600 else f"{text[:600]} …"))
    return rows


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
    """Three significant digits; `beyond 1e300` for an e-value that overflowed."""
    return f"{value:.3g}" if value is not None else "beyond 1e300"


def event(body: Mapping[str, Any]) -> str:
    """What a ledger event that moves no version says: `version m@2, answer approve`."""
    told = {key: value for key, value in body.items() if key not in _UNTOLD and value is not None}
    words = [f"{sentence(key)} {_brief(value)}" for key, value in told.items()]
    return ", ".join(([sentence(str(body["event"]))] if "event" in body else []) + words)


def _brief(value: object) -> str:
    if isinstance(value, str):
        return short(value) if _DIGEST.fullmatch(value) else value
    if isinstance(value, list | tuple):
        return " and ".join(_brief(one) for one in value)
    return json.dumps(value, ensure_ascii=False)


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
