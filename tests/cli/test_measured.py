"""Doors of the command line times bad texts: wrong usage, named, before anything is touched."""

import pytest
import typer
from bad_texts import BAD_NAMES, BAD_REASONS
from typer.testing import CliRunner

from tenure.cli import app, exit_code
from tenure.errors import TextRefused

ID = "01234567-89ab-7cde-8f01-000000000000"
SENTENCES = [
    (("rollback", "flight_late", "--yes"), "--reason"),
    (("incident", "close", "7"), "--reason"),
    (("decision", "erase", "flight_late", "--subject", "s", "--yes"), "--reason"),
]
NAMES = [
    (("rollback", "flight_late", "--reason", "why"), "--actor"),
    (("incident", "close", "7", "--reason", "why"), "--actor"),
    (("decision", "erase", "flight_late", "--subject", "s", "--reason", "why"), "--actor"),
    (("decision", "erase", "flight_late", "--reason", "why"), "--subject"),
    (("review", "claim", ID), "--actor"),
    (("review", "answer", ID, "--positive"), "--actor"),
    (("review", "list"), "--model"),
    (("review", "list"), "--state"),
    (("incident", "list"), "--model"),
    (("decision", "replay", "--sample", "1"), "--model"),
    (("key", "create", "app"), "--scope"),
    (("key", "create", "app", "--scope", "score"), "--model"),
    (("key", "revoke", "app"), "--id"),
]
ARGUMENTS = [
    ("rollback", "{}", "--reason", "why"),
    ("key", "create", "{}", "--scope", "score"),
    ("key", "revoke", "{}"),
    ("review", "claim", "{}"),
    ("decision", "show", "{}"),
    ("decision", "replay", ID, "{}"),
    ("gateways", "{}"),
    ("drift", "{}"),
    ("data", "show", "flights", "{}"),
    ("data", "diff", "a", "{}"),
    ("suite", "lint", "{}"),
]


def refused(*words: str) -> str:
    """What the command says of wrong usage; it must not have reached for the database."""
    result = CliRunner(env={"TENURE_DATABASE_URL": "postgresql://nowhere.invalid/x"}).invoke(
        app, [*words], env={"COLUMNS": "300"}
    )
    assert result.exit_code == 2, (result.output, result.exception)
    return " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize("kind", BAD_REASONS)
@pytest.mark.parametrize(("words", "option"), SENTENCES, ids=str)
def test_sentences(words: tuple[str, ...], option: str, kind: str) -> None:
    text, said = BAD_REASONS[kind]
    output = refused(*words, option, text)
    assert option in output
    assert said in output


@pytest.mark.parametrize("kind", BAD_NAMES)
@pytest.mark.parametrize(("words", "option"), NAMES, ids=str)
def test_names(words: tuple[str, ...], option: str, kind: str) -> None:
    text, said = BAD_NAMES[kind]
    output = refused(*words, option, text)
    assert option in output
    assert said in output


@pytest.mark.parametrize("kind", ["nul", "surrogate", "long"])
@pytest.mark.parametrize("words", ARGUMENTS, ids=str)
def test_arguments(words: tuple[str, ...], kind: str) -> None:
    text, said = BAD_NAMES[kind]
    assert said in refused(*(text if word == "{}" else word for word in words))


def test_a_note_may_have_lines_and_2000_characters() -> None:
    said = refused("review", "answer", ID, "--positive", "--note", "x" * 2001)
    assert "has 2,001 characters; allowed are 1 to 2,000" in said


def test_every_text_of_every_command_is_measured() -> None:
    from tenure.cli.measured import _parameters

    found = list(_parameters(typer.main.get_command(app)))
    assert len(found) > 80
    assert {one.callback.__qualname__ for one in found} == {"_measuring.<locals>.measure"}


def test_a_text_that_a_use_case_refuses_is_wrong_usage_too() -> None:
    assert exit_code(TextRefused("x", still_safe="x", next_step="x")) == 2
