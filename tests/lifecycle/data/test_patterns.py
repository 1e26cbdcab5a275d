"""Patterns of stewards mean the same to RE2 as to Python, and none takes for ever."""

import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenure.lifecycle.data.patterns import MAX_SIZE, NotAllowed, as_re2


def matches(pattern: str, text: str) -> bool:
    return bool(pc.match_substring_regex(pa.array([text]), as_re2(pattern))[0].as_py())


SAME = {
    "digits of all scripts": (r"^\d+\Z", ["12", "٣", "x", "1\n"]),
    "letters with marks": (r"^\w+\Z", ["Zoë", "日本", "a-b", ""]),
    "neither letter nor digit": (r"\W", ["Zoë", "a b", "€"]),
    "white space": (r"^\s\Z", [" ", "\u00a0", "\u2028", "\x1c", "\x85", "\u200b", "x"]),
    "no white space": (r"^\S\Z", [" ", "\u00a0", "x"]),
    "sets": (r"^[\w\d.\-\s]+\Z", ["a.b-c d", "a/b", "ß9"]),
    "all but a set": (r"^[^\d\s]+\Z", ["ab", "a1", "a "]),
    "brackets in a set": (r"^[][^]+\Z", ["[]^", "a"]),
    "brackets not in a set": (r"^[^]]\Z", ["]", "a"]),
    "a set like a POSIX class": (r"^[\[:alpha:]]\Z", ["a]", "a", ":]", "x]"]),
    "braces that are no repeat": (r"^a{}{,x}\Z", ["a{}{,x}", "a"]),
    "repeat from nothing": (r"^a{,2}\Z", ["", "aa", "aaa", "a{,2}"]),
    "repeat without end": (r"^a{2,}\Z", ["a", "aa", "aaaa"]),
    "repeat of any number": (r"^a{,}\Z", ["", "aaa"]),
    "lazy": (r"^a+?b??\Z", ["aab", "b"]),
    "group with a name": (r"^(?P<one>a|b)(?:c)\Z", ["ac", "bc", "c"]),
    "comment": (r"^a(?#[{2}])b\Z", ["ab", "a"]),
    "case does not count": (r"(?i)^straße\Z", ["STRAßE", "strasse"]),
    "case of a part": (r"^(?i:a)b\Z", ["Ab", "AB"]),
    "unicode is the default": (r"(?u)^é\Z", ["é", "e"]),
    "numbers of characters": (r"^\x41\u00e9\U0001F600\Z", ["Aé😀", "A"]),
    "tab in a set": (r"^[\t\b]\Z", ["\t", "\b", "b"]),
    "line ends": (r"^.\Z", ["\n", "\r", "x"]),
    "escaped signs": (r"^\.\-\/\[\]\ \Z", [".-/[] ", "x-/[] "]),
    "escaped letters of others": ("^\\é\\Z", ["é"]),
    "anywhere": (r"b+", ["abc", "ac"]),
    "empty alternative": (r"^(|a)\Z", ["", "a", "b"]),
}


@pytest.mark.parametrize(("pattern", "texts"), SAME.values(), ids=SAME.keys())
def test_it_means_what_it_means_in_python(pattern: str, texts: list[str]) -> None:
    expected = [re.search(pattern, text) is not None for text in texts]

    assert [matches(pattern, text) for text in texts] == expected


REFUSED = {
    "not closed": ("(", "is not a regular expression (missing )"),
    "nothing to repeat": ("*a", "is not a regular expression (nothing to repeat"),
    "looks ahead": ("a(?=b)", "looks ahead or behind: no text may be read twice"),
    "looks behind": ("(?<!a)b", "looks ahead or behind"),
    "refers back": (r"(a)\1", "refers back to a group"),
    "refers back by name": (r"(?P<a>a)(?P=a)", "refers back to a group"),
    "asks for a group": (r"(a)?(?(1)b|c)", "refers back to a group"),
    "atomic": ("(?>a)", "has an atomic group"),
    "possessive": ("a++", "has a possessive repeat"),
    "word end": (r"\ba", r"asks for the end of a word (\b)"),
    "multiline": ("(?m)^a", "sets a flag; only (?i) is allowed"),
    "verbose": ("(?x) a", "sets a flag"),
    "flag taken away": ("(?-i:a)", "sets a flag"),
    "flag of a part": ("(?s:a)", "sets a flag"),
    "octal": (r"\07", r"has \0, which is not allowed"),
    "no word in a set": (r"[\W]", r"has \W in a set, which is not allowed"),
    "half a character": (r"\ud800", r"names half a character: \ud800"),
    "a set in a set": (
        "[[a]b]",
        r"may mean two things (Possible nested set at position 1); put a \ ",
    ),
    "deep": ("(" * 5000 + ")" * 5000, "is not a regular expression"),
}


@pytest.mark.parametrize(("pattern", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(pattern: str, message: str) -> None:
    with pytest.raises(NotAllowed) as error:
        as_re2(pattern)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("pattern", "fine"),
    [
        ("a{999}", True),
        ("a{1000}", True),
        ("a{1001}", False),
        ("(a{10}){100}", True),
        ("(a{10}){101}", False),
        (r"\w{200}", True),
        (r"\w{201}", False),
        (r"\W{200}", True),
        (r"(?i)(\w|[^\w]){90}", True),
        ("(ab|ba){250}", True),
        ("(ab|ba){251}", False),
        ("(a{1000})*", True),
        ("((a{1000})*){2}", False),
        ("(){1000}", True),
        ("(){1001}", False),
        (r"^(\s\d.){300}", True),
    ],
)
def test_the_bound_of_size_is_one_that_re2_bears(pattern: str, fine: bool) -> None:
    if fine:
        matches(pattern, "x")
        return
    with pytest.raises(NotAllowed, match=f"limit {MAX_SIZE:,}"):
        as_re2(pattern)


# Each of these would take Python's engine years on this text.
SLOW = [
    r"^(a+)+\Z",
    r"^(a|a)*\Z",
    r"^(a|aa)+\Z",
    r"(.*a){20}\Z",
    r"^(\w+\s?)*\Z",
    r"^(a?){30}a{30}b",
]


@pytest.mark.parametrize("pattern", SLOW)
def test_none_hangs(pattern: str) -> None:
    assert not matches(pattern, "a" * 50_000 + "!")  # a backtracking engine would never end here


ATOMS = st.sampled_from(
    [*"ab1_é.", r"\d", r"\w", r"\s", r"\W", r"\S", r"\.", "[ab]", "[^a]", r"[\d\-é]", r"[\[]"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{,2}", "{1,3}", "*?"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)
TEXTS = st.text(st.sampled_from([*"aAbé1_. -[]!\n\t", "٣", "\u2003", "日", "\x1c"]), max_size=8)


@given(pattern=PATTERNS, text=TEXTS, whole=st.booleans())
@example(pattern=r"\w", text="ª", whole=True)
def test_the_same_as_python_on_whatever(pattern: str, text: str, whole: bool) -> None:
    wanted = rf"^(?:{pattern})\Z" if whole else pattern
    assert matches(wanted, text) is (re.search(wanted, text) is not None)


@given(st.text(st.sampled_from([*"ab\\[](){}?*+|^.:,-#!<>=Pdwsxu019i"]), max_size=25))
def test_whatever_is_written_is_refused_or_runs(pattern: str) -> None:
    try:
        as_re2(pattern)
    except NotAllowed:
        return
    matches(pattern, "ab")
