"""What somebody else wrote into the data must not run in the page that is drawn from it."""

import re

import pytest

from tenure.adapters.evidently_reporter import LONGEST, draw, escaped

MARK = "tenure_was_here"
EVIL = f"<script>window.{MARK}=1</script>"
BREAKOUT = f"</script><img src=x onerror={MARK}()>"


@pytest.mark.parametrize(
    ("name", "text", "safe"),
    [
        ("plain", "AA", "AA"),
        ("tag", "<b>", "&lt;b&gt;"),
        ("attribute", "\"'", "&quot;&#x27;"),
        ("template string", "`${x}`", "&#96;${x}&#96;"),
        ("line separators", "a\u2028b\nc\x00", "a b c "),
        ("number", 7, "7"),
        ("long", "x" * 200, "x" * LONGEST),
    ],
)
def test_escaped(name: str, text: object, safe: str) -> None:
    assert escaped(text) == safe, name


@pytest.mark.service  # no service, but seconds of import
def test_no_script_of_ours_in_the_page() -> None:
    column = f"carrier{EVIL}"
    reference = {
        "temp": [float(i % 40) for i in range(300)],
        column: [EVIL if i % 3 else BREAKOUT for i in range(300)],
        "empty": [None] * 300,
    }
    current = {
        "temp": [float(i % 40) + 15 for i in range(200)],
        column: [EVIL if i % 5 else "AA" for i in range(200)],
        "empty": [1.0] * 200,
    }
    page = draw(reference, current, numeric=["temp", "empty"], categorical=[column]).decode()
    assert "temp" in page
    assert MARK in page  # it is shown,
    assert f"<script>window.{MARK}" not in page  # but as text
    assert f"<img src=x onerror={MARK}" not in page
    assert not re.search(rf"[<\\]\S{{0,8}}(script|img)[^&]{{0,20}}{MARK}", page)
    assert not re.search(r"<script[^>]+src=[\"']?http", page)
