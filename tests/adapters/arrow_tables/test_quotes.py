"""Stray quotes are found as a reader that goes sign by sign finds them, wherever blocks end."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tenure.adapters.arrow_tables.quotes import STRAY, QuoteMarker
from tenure.lifecycle.data.sources import CsvFormat


def sign_by_sign(text: str, escape: str) -> str:
    """The slow and plain reader: at the start of a cell, within, quoted, or behind a quote."""
    state, found, signs = "start", "", iter(text)
    for sign in signs:
        if state == "behind" and sign not in '",\r\n':
            found += STRAY + '"'
        found += sign
        if state == "quoted" and sign == escape:
            found += next(signs, "")
        elif sign == '"':
            state = {"start": "quoted", "quoted": "behind", "behind": "quoted"}.get(state, state)
        elif state != "quoted":
            state = "start" if sign in ",\r\n" else "within"
    return found


@given(
    text=st.text('""",,\n\rab\\', max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    escape=st.sampled_from(["", "\\"]),
)
def test_blocks_and_signs_agree(text: str, cuts: list[int], escape: str) -> None:
    if not escape:
        text = text.replace("\\", "c")
    text += "\n,,\n"
    marker = QuoteMarker(CsvFormat(escape=escape))  # type: ignore[arg-type]
    ends = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})

    found = "".join(marker.marked(text[a:b], final=b == len(text)) for a, b in pairwise(ends))

    assert found == sign_by_sign(text, escape)
    assert marker.found == (STRAY in found)


def test_a_quote_that_is_never_closed_is_not_waited_for() -> None:
    marker = QuoteMarker(CsvFormat())

    passed = [marker.marked(part * 1_000_000, final=False) for part in ('a,"', *("bcdef",) * 6)]

    assert sum(map(len, passed)) > 20_000_000


def test_marks_of_files_that_were_put_together_go_and_those_within_cells_stay() -> None:
    text = '1,"a\n\ufeffb"\n\ufeff2,\ufeffc\r\n\ufeff"3, ""x"" ",d\n\ufeff\ufeff4,"e"f\n'

    for size in (1, 2, 7, 100):
        marker = QuoteMarker(CsvFormat())
        blocks = [text[i : i + size] for i in range(0, len(text), size)]
        found = "".join(marker.marked(block, final=False) for block in blocks)
        assert found + marker.marked("", final=True) == (
            f'1,"a\n\ufeffb"\n2,\ufeffc\r\n"3, ""x"" ",d\n\ufeff4,"e"{STRAY}"f\n'
        )


def test_no_quotes_no_work() -> None:
    marker = QuoteMarker(CsvFormat(quote=""))

    assert marker.marked('"a"b,', final=False) == '"a"b,'
    assert not marker.found
