"""Reads JSON strictly and remembers on which line everything stands."""

import json
import math
import re
from dataclasses import dataclass, field

Location = tuple[str | int, ...]

_WORD = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<mark>[{}\[\]:,])
      | (?P<string>"(?:[^"\\\x00-\x1f]|\\.)*")
      | (?P<plain>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)
    )""",
    re.VERBOSE,
)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Controls, halves of characters and what is no character: no database or terminal bears them."""
_END = re.compile(r"[ \t\r\n]*\Z")


class NotJson(Exception):
    """The text is not strict JSON; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass
class LocatedJson:
    """A value and the line of each of its parts, by path from the root."""

    value: object
    lines: dict[Location, int]

    def line(self, *at: str | int) -> int:
        """Line of the part, or of the nearest part around it that exists."""
        while at and at not in self.lines:
            at = at[:-1]
        return self.lines.get(at, 1)


def parse(text: str, *, max_depth: int) -> LocatedJson:
    """Parse one JSON value; duplicate keys, NaN and deep nesting are refused.

    Raises:
        NotJson: With the line of the first fault.
    """
    reader = _Reader(text, max_depth)
    value = reader.value(())
    if not _END.match(text, reader.position):
        raise reader.fault("something follows after the end")
    return LocatedJson(value, reader.lines)


@dataclass
class _Reader:
    text: str
    max_depth: int
    position: int = 0
    lines: dict[Location, int] = field(default_factory=dict)
    newlines: int = 0
    counted: int = 0

    def fault(self, message: str) -> NotJson:
        return NotJson(self._line(), message)

    def _line(self) -> int:
        """Line of the position; the position only grows, so each character is counted once."""
        self.newlines += self.text.count("\n", self.counted, self.position)
        self.counted = max(self.counted, self.position)
        return self.newlines + 1

    def value(self, at: Location) -> object:
        kind, word = self._next()
        self.lines[at] = self._line()
        if len(at) > self.max_depth:
            raise self.fault(f"is nested deeper than {self.max_depth} levels")
        if word == "{":
            return self._object(at)
        if word == "[":
            return self._array(at)
        if kind == "mark":
            raise self.fault(f"a value was expected, not {word!r}")
        return self._scalar(word)

    def _object(self, at: Location) -> dict[str, object]:
        found: dict[str, object] = {}
        if self._skip("}"):
            return found
        while True:
            kind, word = self._next()
            if kind != "string":
                raise self.fault("a key in double quotes was expected")
            key = str(self._scalar(word))
            line = self._line()
            if key in found:
                raise self.fault(f"the key {key[:60]!r} stands here twice")
            self._expect(":")
            found[key] = self.value((*at, key))
            self.lines[(*at, key)] = line
            if self._expect(",", "}") == "}":
                return found

    def _array(self, at: Location) -> list[object]:
        found: list[object] = []
        if self._skip("]"):
            return found
        while True:
            found.append(self.value((*at, len(found))))
            if self._expect(",", "]") == "]":
                return found

    def _scalar(self, word: str) -> object:
        try:
            value: object = json.loads(word)
        except ValueError as error:
            raise self.fault(f"{word[:40]} cannot be read: {error}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self.fault(f"the number {word[:40]} is too large")
        if isinstance(value, str) and (bad := UNPRINTABLE.search(value)):
            raise self.fault(f"a text holds the character U+{ord(bad[0]):04X}, which is not text")
        return value

    def _next(self) -> tuple[str, str]:
        found = _WORD.match(self.text, self.position)
        if found is None or found.lastgroup is None:
            gap = re.compile(r"[ \t\r\n]*").match(self.text, self.position)
            self.position = gap.end() if gap else self.position
            rest = self.text[self.position : self.position + 20].split("\n")[0]
            raise self.fault(f"cannot be read at {rest!r}" if rest else "ends too early")
        self.position = found.end()
        return found.lastgroup, found.group(found.lastgroup)

    def _expect(self, *marks: str) -> str:
        _, word = self._next()
        if word not in marks:
            raise self.fault(f"{' or '.join(marks)} was expected, not {word[:20]}")
        return word

    def _skip(self, mark: str) -> bool:
        found = _WORD.match(self.text, self.position)
        if found is None or found.group("mark") != mark:
            return False
        self.position = found.end()
        return True
