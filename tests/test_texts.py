"""One rule for every text from outside: what it refuses, what it says, what it lets pass."""

import re

import pytest
from bad_texts import BAD_NAMES, BAD_REASONS, GOOD_REASONS

from tenure.errors import TextRefused
from tenure.vocabulary import NAME, NOTE, PLAIN, REASON


@pytest.mark.parametrize("kind", BAD_NAMES)
def test_names_that_are_refused(kind: str) -> None:
    text, said = BAD_NAMES[kind]
    assert said in str(NAME.problem(text))
    with pytest.raises(TextRefused) as refused:
        NAME.require(text, "subject")
    assert refused.value.what.startswith("subject has ")
    assert len(str(refused.value)) < 400
    str(refused.value).encode()


@pytest.mark.parametrize("kind", BAD_REASONS)
def test_reasons_that_are_refused(kind: str) -> None:
    text, said = BAD_REASONS[kind]
    assert said in str(REASON.problem(text))


@pytest.mark.parametrize("text", GOOD_REASONS, ids=lambda text: repr(text[:20]))
def test_reasons_that_are_taken(text: str) -> None:
    assert REASON.problem(text) is None
    assert NOTE.problem(text) is None


@pytest.mark.parametrize("text", ["s1", "x" * 256, "J\u00fcrgen", "\u674e", "a b"])
def test_names_that_are_taken(text: str) -> None:
    assert NAME.require(text, "name") == text


def test_a_text_of_nothing_is_no_text() -> None:
    assert NAME.problem("") == "has 0 characters; allowed are 1 to 256"


@pytest.mark.parametrize(
    "kind", [kind for kind in BAD_REASONS if kind not in {"long", "one too many", "blank"}]
)
def test_forms_of_dags_refuse_the_same(kind: str) -> None:
    assert re.search(PLAIN, BAD_REASONS[kind][0]) is None


@pytest.mark.parametrize("text", GOOD_REASONS, ids=lambda text: repr(text[:20]))
def test_forms_of_dags_take_the_same(text: str) -> None:
    assert re.search(PLAIN, text)
