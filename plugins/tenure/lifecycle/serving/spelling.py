"""How a value is written as a category: one way in training, in batches and at the gateway."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

from tenure.lifecycle.model_version import Kind

EXACT = 2**53
"""Whole numbers up to here, and down to its negative, are kept exactly by a float64."""

_FLAGS = {"true": "1", "false": "0"}
_WORDS = {
    "true": ("true", "t", "yes", "y", "on", "1", "1.0"),
    "false": ("false", "f", "no", "n", "off", "0", "0.0"),
}
_FLAG_OF = {word: flag for flag, words in _WORDS.items() for word in words}


def spell(value: object) -> str:
    """The one way in which a value is written; a text is left as it is.

    Numbers are written in full and without zeros that say nothing, so that the same number is one
    category whether it came as an integer, a float or a decimal. A moment is written in UTC; one
    without a zone is taken for UTC.

    >>> [spell(v) for v in (True, 3, 3.0, Decimal("3.50"), 1e-7, -0.0, "3.0")]
    ['true', '3', '3', '3.5', '0.0000001', '0', '3.0']
    >>> spell(date(2013, 7, 1)), spell(datetime(2013, 7, 1, 9, 0, 0, 500_000))
    ('2013-07-01', '2013-07-01T09:00:00.5Z')

    Raises:
        TypeError: The value is no single value: a list, say.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _number(value: float | Decimal) -> str:
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        return str(value)
    if not exact:
        return "0"
    text = format(exact, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _moment(value: datetime) -> str:
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    seconds = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    return f"{seconds}{f'.{moment.microsecond:06d}'.rstrip('0').rstrip('.')}Z"


@dataclass(frozen=True)
class Spelling:
    """How the categories of a feature are written that are no free texts.

    Both patterns are regular expressions of ECMA 262 as well: a JSON Schema can state them.

    Args:
        kind: What the categories are, in a word.
        written: What a category looks like.
        close: What means such a category, written like that or otherwise.
        example: One that is written rightly.
        respell: How a text that means one is written; None when that cannot be told.
    """

    kind: str
    written: str
    close: str
    example: str
    respell: Callable[[str], str | None]

    def is_misspelled(self, text: str) -> bool:
        """Whether the text means a category but is written in another way."""
        return not re.fullmatch(self.written, text) and bool(re.fullmatch(self.close, text))


def spelling_of(kind: Kind, observed: Collection[str]) -> Spelling | None:
    """How these categories are written; None for free texts, of which each is its own.

    A text is what it is: `007` is not `7`, whatever else training saw. Only the two words of a
    boolean, always written in one way, are no free texts.

    Args:
        kind: What they were in the data.
        observed: Those that training saw.
    """
    if kind == "text":
        return _two_words(observed)
    if kind == "number" and set(observed) <= {"0", "1"}:
        return _ZERO_OR_ONE
    return _SPELLINGS[kind]


def is_written_as(kind: Kind, text: str) -> bool:
    """Whether a value of the kind may be written like this; a text may be anything.

    >>> is_written_as("number", "2.0"), is_written_as("number", "2"), is_written_as("text", "x")
    (False, True, True)
    """
    return kind == "text" or bool(re.fullmatch(_SPELLINGS[kind].written, text))


def _two_words(observed: Collection[str]) -> Spelling | None:
    """Texts that are true and false, in small letters, capitals, or with a capital first."""
    for style in (str.lower, str.upper, str.capitalize):
        words = {style(flag): flag for flag in _FLAGS}
        if observed and {*observed} <= {*words}:
            return _words(style)
    return None


def _words(style: Callable[[str], str]) -> Spelling:
    def respell(text: str) -> str | None:
        flag = _flag(text)
        return None if flag is None else style(flag)

    written = f"({style('true')}|{style('false')})"
    return Spelling("boolean", written, _any_case(_FLAG_OF), style("true"), respell)


def _any_case(words: Collection[str]) -> str:
    """A pattern of the words in whatever case: JSON Schema has no flag for it."""
    letters = ("".join(f"[{c}{c.upper()}]" if c.isalpha() else f"[{c}]" for c in w) for w in words)
    return f" *({'|'.join(letters)}) *"


def _flag(text: str) -> str | None:
    return _FLAG_OF.get(text.strip(" ").lower())


def _digit(text: str) -> str | None:
    flag = _flag(text)
    return _plain_number(text) if flag is None else _FLAGS[flag]


def _plain_number(text: str) -> str | None:
    try:
        return spell(Decimal(text.strip(" "))) if len(text) < _LONGEST else None
    except InvalidOperation:
        return None


def _day(text: str) -> str | None:
    moment = _read_moment(text)
    is_day = moment is not None and moment.time() == time()
    return moment.date().isoformat() if moment and is_day else None


def respell_moment(text: str) -> str | None:
    """How a moment in ISO 8601 is written, in UTC; None for a text that is none.

    >>> respell_moment("2013-07-01"), respell_moment("2013-07-01 11:00+02:00"), respell_moment("x")
    ('2013-07-01T00:00:00Z', '2013-07-01T09:00:00Z', None)
    """
    moment = _read_moment(text)
    return None if moment is None else spell(moment)


def _read_moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip(" "))
        return moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


_LONGEST = 64
"""Characters of a number that is worth respelling; `1e999999` would be a million digits."""
_PLAIN = r"(0|-?(0\.[0-9]*[1-9]|[1-9][0-9]*(\.[0-9]*[1-9])?))"
_ANY_NUMBER = r" *[+\-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+\-]?[0-9]{1,2})? *"
_ANY_DAY = r" *[0-9]{4}-?[0-9]{1,2}-?[0-9]{1,2}([T ][0-9:.+\-Z ]*)? *"
_BOOLEAN = Spelling("boolean", "(true|false)", _any_case(_FLAG_OF), "true", _flag)
_NUMBER = Spelling("number", _PLAIN, _ANY_NUMBER, "1.5", _plain_number)
_ZERO_OR_ONE = Spelling("number", _PLAIN, f"({_any_case(_FLAG_OF)}|{_ANY_NUMBER})", "1", _digit)
_DATE = Spelling("date", "[0-9]{4}-[0-9]{2}-[0-9]{2}", _ANY_DAY, "2013-07-01", _day)
_MOMENT = Spelling(
    "moment",
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]*[1-9])?Z",
    _ANY_DAY,
    "2013-07-01T09:00:00Z",
    respell_moment,
)
_SPELLINGS = {"boolean": _BOOLEAN, "number": _NUMBER, "date": _DATE, "moment": _MOMENT}
