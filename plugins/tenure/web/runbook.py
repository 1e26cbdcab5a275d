"""`docs/oncall.md` as a page, so that an incident leads to what it says of the kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from tenure.lifecycle.incidents.failure_card import TITLES
from tenure.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.token import Token

_FILE = REPOSITORY / "docs" / "oncall.md"
_KIND = re.compile(r"`(\w+)`")
_BUG, _ELSE = "any-other-kind", "incidents"


@dataclass(frozen=True)
class Runbook:
    """The document as HTML, and the ids in it: of headings, and of rows that begin with a kind."""

    html: Markup
    anchors: frozenset[str]

    def anchor_of(self, kind: str) -> str:
        """Where it says most of a kind of incident.

        A kind without a row or heading has what the chapter about all incidents says; one that is
        the class of a bug, what is said of bugs.
        """
        if kind in self.anchors:
            return kind
        return _BUG if kind[:1].isupper() and kind not in TITLES else _ELSE


def anchor_of(kind: str) -> str:
    """`Runbook.anchor_of`, for templates."""
    return runbook().anchor_of(kind)


@cache
def runbook() -> Runbook:
    """Read once: it changes with the code."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_text())
    anchors: set[str] = set()
    for place, token in enumerate(tokens):
        anchor = _anchor(tokens, place)
        if anchor and anchor not in anchors:
            token.attrSet("id", anchor)
            anchors.add(anchor)
        _drop_outside(token.children or ())
    html = markdown.renderer.render(tokens, markdown.options, {})
    html = html.replace("<pre>", '<pre tabindex="0">')  # it scrolls: also by the keyboard
    return Runbook(Markup(html), frozenset(anchors))  # noqa: S704 -- our own file, without HTML


def _text() -> str:
    try:
        return _FILE.read_text(encoding="utf-8")
    except FileNotFoundError:  # pages of incidents matter more than this one
        return "# Runbook\n\n`docs/oncall.md` does not lie beside `plugins/` in this installation."


def _anchor(tokens: Sequence[Token], place: int) -> str:
    """Id of a heading, or of a row whose first cell is a kind; empty for anything else."""
    token = tokens[place]
    if token.type == "heading_open":
        title = tokens[place + 1].content
        return title if title in TITLES else re.sub(r"\W+", "-", title.lower()).strip("-")
    if token.type == "tr_open" and tokens[place + 1].type == "td_open":
        found = _KIND.fullmatch(tokens[place + 2].content)
        return found.group(1) if found else ""
    return ""


def _drop_outside(tokens: Sequence[Token]) -> None:
    """Links to other documents lead nowhere from a page: their words stay."""
    is_outside = False
    for token in tokens:
        if token.type == "link_open":
            is_outside = not str(token.attrs["href"]).startswith("#")
        if is_outside and token.type in {"link_open", "link_close"}:
            token.tag, token.attrs = "span", {}
