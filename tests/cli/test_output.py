"""Text of strangers on a terminal."""

import pytest

from tenure import cli
from tenure.cli.output import plain, print_table, say
from tenure.errors import StateConflict

CLEAR = "\x1b[2J"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Größe 3 µm → 4", "Größe 3 µm → 4", id="printable"),
        pytest.param(f"{CLEAR}gone", r"\x1b[2Jgone", id="clears the screen"),
        pytest.param("a\nDone: all", r"a\nDone: all", id="a line of its own"),
        pytest.param("real\rfake", r"real\rfake", id="over the line before"),
        pytest.param("\x9b2Jx", r"\x9b2Jx", id="C1"),
        pytest.param("a\u202eb", r"a\u202eb", id="right to left"),
        pytest.param("\ud800", r"\ud800", id="half a pair"),
        pytest.param(None, "None", id="no text"),
    ],
)
def test_plain(text: object, shown: str) -> None:
    assert plain(text) == shown


def test_all_ways_to_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StateConflict(f"first\nsecond {CLEAR}", still_safe=CLEAR, next_step=CLEAR)

    say(CLEAR, "next")
    print_table(["name", "n"], [[CLEAR, 1]])
    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    printed = capsys.readouterr()
    assert printed.out == "\\x1b[2J\nnext\nname     n\n\\x1b[2J  1\n"
    assert printed.err == (
        "StateConflict: first\nsecond \\x1b[2J\nStill safe: \\x1b[2J\nNext step: \\x1b[2J\n"
    )
