r"""Regular expressions of suites, in the part of Python's language that needs no backtracking.

Python's own engine may take for ever on some texts (`(a|a)*b`), so suites are matched by RE2, whose
time grows with the length of the text and never faster. Stewards write Python's syntax; it is
checked here and translated. `\d`, `\w` and `\s` mean all of Unicode, as in Python.

Source: https://github.com/google/re2/wiki/Syntax and Python's `re` documentation.
"""

import re
import warnings
from collections.abc import Iterator
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MAX_SIZE = 1_000
"""Characters and classes that a pattern matches when every repeat is written out; RE2 gives up at
some thousand."""
_WIDE = 5
r"""What `\w` or `\W` counts: the ranges of all letters."""

_REFUSED = {
    constants.ASSERT: "looks ahead or behind",
    constants.ASSERT_NOT: "looks ahead or behind",
    constants.GROUPREF: "refers back to a group",
    constants.GROUPREF_EXISTS: "refers back to a group",
    constants.ATOMIC_GROUP: "has an atomic group",
    constants.POSSESSIVE_REPEAT: "has a possessive repeat",
}
_FLAGS = int(re.IGNORECASE | re.UNICODE)
_ENDS = {constants.AT_BOUNDARY, constants.AT_NON_BOUNDARY}

_OUTSIDE = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": r"[\p{L}\p{N}_]",
    "W": r"[^\p{L}\p{N}_]",
    "s": r"[\t-\r\x1c-\x20\x{85}\p{Z}]",
    "S": r"[^\t-\r\x1c-\x20\x{85}\p{Z}]",
    "Z": r"\z",
}
_INSIDE = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": r"\p{L}\p{N}_",
    "s": r"\t-\r\x1c-\x20\x{85}\p{Z}",
    "b": r"\x08",
}
_ESCAPES = r"""\\x(?P<hex2>[0-9a-fA-F]{2}) | \\u(?P<hex4>[0-9a-fA-F]{4})
      | \\U(?P<hex8>[0-9a-fA-F]{8}) | \\(?P<escape>.)"""
_IN_SET = re.compile(f"{_ESCAPES} | (?P<plain>.)", re.VERBOSE | re.DOTALL)
_TOKEN = re.compile(
    rf"""{_ESCAPES}
      | \(\?\#(?P<comment>[^)]*)\)
      | \(\?P<(?P<name>[^>]*)>
      | \(\?(?P<flags>[a-zA-Z]*)(?P<closing>[:)])
      | \{{(?P<least>\d+|(?=,))(?P<comma>,?)(?P<most>\d*)\}}
      | (?P<set>\[\^?\]?)
      | (?P<plain>.)""",
    re.VERBOSE | re.DOTALL,
)


class NotAllowed(ValueError):
    """The pattern is no regular expression, or one that a suite may not use; says what it does."""


def as_re2(pattern: str) -> str:
    r"""The same pattern for RE2.

    >>> as_re2(r"^\d{,3}[\w.]\Z")
    '^\\p{Nd}{0,3}[\\p{L}\\p{N}_.]\\z'

    Raises:
        NotAllowed: With the reason for people.
    """
    _check(pattern)
    return "".join(_translated(pattern))


def _check(pattern: str) -> None:
    try:
        with warnings.catch_warnings(action="error", category=FutureWarning):
            tree = parser.parse(pattern)
    except FutureWarning as warning:
        raise NotAllowed(f"may mean two things ({warning}); put a \\ before the sign") from None
    except (re.error, OverflowError, RecursionError) as error:
        raise NotAllowed(f"is not a regular expression ({error})") from None
    if tree.state.flags & ~_FLAGS:
        raise NotAllowed("sets a flag; only (?i) is allowed")
    size = _size(tree)
    if size > MAX_SIZE:
        raise NotAllowed(f"repeats too often: {size:,} characters written out, limit {MAX_SIZE:,}")


def _size(tree: Any) -> int:
    """Characters and classes with every bounded repeat written out."""
    return sum(_size_of(operation, argument) for operation, argument in tree)


def _size_of(operation: Any, argument: Any) -> int:
    if operation in _REFUSED:
        raise NotAllowed(f"{_REFUSED[operation]}: no text may be read twice")
    if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT):
        least, most, inner = argument
        times = max(least, 1) if most is constants.MAXREPEAT else max(most, 1)
        return int(times) * max(1, _size(inner))
    if operation is constants.SUBPATTERN:
        _, added, removed, inner = argument
        if removed or added & ~_FLAGS:
            raise NotAllowed("sets a flag; only (?i) is allowed")
        return _size(inner)
    if operation is constants.BRANCH:
        return sum(_size(branch) for branch in argument[1])
    if operation is constants.AT and argument in _ENDS:
        raise NotAllowed(r"asks for the end of a word (\b); write the neighbouring characters")
    return _WIDE if _is_wide(operation, argument) else 1


def _is_wide(operation: Any, argument: Any) -> bool:
    words = (constants.CATEGORY_WORD, constants.CATEGORY_NOT_WORD)
    return operation is constants.IN and any(
        kind is constants.CATEGORY and which in words for kind, which in argument
    )


def _translated(pattern: str) -> Iterator[str]:
    """Token by token; the pattern is known to be valid."""
    position, inside = 0, False
    while position < len(pattern):
        token = (_IN_SET if inside else _TOKEN).match(pattern, position)
        assert token is not None  # `plain` takes anything
        position = token.end()
        kind = token.lastgroup or "plain"
        if inside and token[0] == "]":
            inside = False
            yield "]"
        elif kind == "set":
            inside = True
            yield token[0].replace("]", r"\]")
        elif kind == "plain":
            yield _literal(token[0]) if inside and token[0] == "[" else token[0]
        elif kind == "escape":
            yield _escape(token["escape"], inside=inside)
        else:
            yield _special(token)


def _special(token: re.Match[str]) -> str:
    """A number of a character, or a group or a repeat that RE2 writes in another way."""
    found = token.groupdict()
    if number := found["hex2"] or found["hex4"] or found["hex8"]:
        if 0xD800 <= int(number, 16) <= 0xDFFF:
            raise NotAllowed(f"names half a character: {token[0]}")
        return f"\\x{{{number}}}"
    if found["comment"] is not None:
        return ""
    if found["name"] is not None:
        return "("
    if found["closing"] is not None:
        flags = "i" if "i" in found["flags"] else ""
        return f"(?{flags}{found['closing']}" if flags or found["closing"] == ":" else ""
    return f"{{{found['least'] or 0}{found['comma']}{found['most']}}}"


def _escape(character: str, *, inside: bool) -> str:
    known = (_INSIDE if inside else _OUTSIDE).get(character)
    if known is not None:
        return known
    if character in "afnrtvA" and not (inside and character == "A"):
        return f"\\{character}"
    if character.isascii() and character.isalnum():
        raise NotAllowed(f"has \\{character}{' in a set' if inside else ''}, which is not allowed")
    return _literal(character)


def _literal(character: str) -> str:
    """A character that means itself, inside a set or outside."""
    special = character.isascii() and character.isprintable() and not character.isalnum()
    return f"\\{character}" if special and character != " " else character
