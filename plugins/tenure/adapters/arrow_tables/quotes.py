"""Quotes of a CSV file that neither close their cell nor are doubled: readers guess, we name."""

import re

from tenure.lifecycle.data.sources import CsvFormat

STRAY = "\ufdd1"
"""Stands before what follows such a quote: a code point that Unicode keeps free for such use."""
_BOM = "\ufeff"
_MOST = 4 * 1024 * 1024
"""Characters of one cell that are waited for; the parser refuses such a row anyway."""


class QuoteMarker:
    r"""Marks, block by block, the text behind a quote that would end a cell in its middle.

    Byte order marks at the beginning of lines, as in files that were put together, are left out.


    Of `"said "no" to 3"` Arrow makes the text `said no" to 3"`, Excel and Python other ones. Here
    it becomes `"said "` and behind it, marked, `"no" to 3"`: the row can be set aside, and its
    text is shown as it came.
    """

    def __init__(self, form: CsvFormat) -> None:
        quote = form.quote or '"'
        ends = re.escape(form.delimiter) + r"\r\n"
        plain = rf"[^{quote}{re.escape(form.escape)}]*+"
        inner = rf"{quote}{quote}" + (rf"|{re.escape(form.escape)}." if form.escape else "")
        self._quote = form.quote
        cell = rf"{quote}(?<=[{ends}{_BOM}]{quote}){plain}(?:(?:{inner}){plain})*+"
        self._cell = re.compile(rf"{cell}({quote})?", re.DOTALL)
        self._sound = re.compile(
            rf"(?:[^{quote}]++|{cell}{quote}(?=[{ends}])|(?<![{ends}]){quote})*+", re.DOTALL
        )
        self._marks = re.compile(
            rf"{cell}{quote}|(?<=[\r\n]){_BOM}" if form.quote else rf"(?<=[\r\n]){_BOM}", re.DOTALL
        )
        self._before = "\n"
        self._waiting = ""
        self.found = False
        """Whether anything was marked."""

    def marked(self, text: str, *, final: bool) -> str:
        """The text so far, but for a cell whose end has not come yet."""
        text = self._waiting + text
        if not self._quote or self._quote not in text:
            self._waiting = ""
            return self._passed(text)
        text = self._before + text
        pieces: list[str] = []
        done = 1
        while (end := self._sound.match(text, done).end()) < len(text):  # type: ignore[union-attr]
            cell = self._cell.match(text, end)
            assert cell is not None
            if cell[1] is None or cell.end() == len(text):
                if final or len(text) - end > _MOST:
                    break
                self._waiting = text[end:]
                return self._passed("".join([*pieces, text[done:end]]))
            pieces += [text[done : cell.end()], STRAY, self._quote]
            done, self.found = cell.end(), True
        self._waiting = ""
        return self._passed("".join([*pieces, text[done:]]))

    def _passed(self, text: str) -> str:
        before, self._before = self._before, text[-1:] or self._before
        if _BOM not in text:
            return text
        return self._marks.sub(lambda m: "" if m[0] == _BOM else m[0], before + text)[1:]
