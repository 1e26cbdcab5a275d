"""docs/oncall.md has one heading for each kind of card, and says what each needs to say."""

import re

import pytest

from tenure import errors
from tenure.adapters.sql.incidents import _OF_SERVING
from tenure.errors import TenureError
from tenure.gateway.log import shipper, writer
from tenure.lifecycle.incidents.failure_card import TITLES
from tenure.settings import REPOSITORY
from tenure.usecases.serving.gateway_incidents import TROUBLES

TEXT = (REPOSITORY / "docs" / "oncall.md").read_text(encoding="utf-8")
SECTIONS = {
    part.partition("\n")[0]: part.partition("\n")[2]
    for part in re.split(r"^### ", TEXT, flags=re.M)[1:]
}
KINDS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, TenureError) and kind is not TenureError
}


def test_headings_are_the_kinds_of_error_and_no_others() -> None:
    assert set(SECTIONS) == KINDS | {"Killed", "Any other kind"}


def test_headings_stand_in_the_order_of_the_tree_of_errors() -> None:
    order = [name for name in vars(errors) if name in KINDS]
    assert [name for name in SECTIONS if name in KINDS] == order


def test_the_cards_that_need_no_class_are_known_to_the_code() -> None:
    assert set(TITLES) == KINDS | {"Killed"}


@pytest.mark.parametrize("kind", sorted(SECTIONS))
def test_a_section_says_meaning_safety_action_and_an_example(kind: str) -> None:
    section = SECTIONS[kind]
    places = [section.find(mark) for mark in ("**Meaning.**", "**Safe.**", "**Do.**", "\n```\n")]
    assert -1 not in places
    assert places == sorted(places)
    assert section.count("```") == 2


def test_what_to_do_stands_beside_each_incident_that_a_gateway_opens() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", TEXT, flags=re.M))
    of_versions = {kind for kind in _OF_SERVING if kind != "monitoring"}
    assert set(rows) == of_versions | {*TROUBLES, "stops_corrupt", "set_aside"}
    advice = rows["variant_refused"]
    for words in ("restart the gateways one after another", "/v2/health/ready", "close the inc"):
        assert words in advice
    assert "`tenure incident close NUMBER" in TEXT


def test_only_what_the_document_says_is_tried_again() -> None:
    retried = {name for name in KINDS if getattr(errors, name).retryable}
    assert retried == {"ServiceUnreachable", "ObjectMissing", "ReasonMissing"}
    said = "Only *ServiceUnreachable*, *ObjectMissing* and *ReasonMissing* are tried again by"
    assert said in TEXT


def test_the_numbers_that_people_read_about_a_log_are_those_of_the_code() -> None:
    assert (shipper.TRIES, shipper.ASIDE_SECONDS, writer.HANG_SECONDS) == (5, 600, 5)
    for words in ("failed five times", "every ten minutes", "for over 5 s"):
        assert words in TEXT
