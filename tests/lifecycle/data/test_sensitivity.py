"""Pseudonyms, what may be quoted, and where restricted data may lie."""

import pytest

from tenure.errors import ConfigInvalid
from tenure.lifecycle.data.quality import CONTRACT, Finding
from tenure.lifecycle.data.sensitivity import (
    Key,
    Sensitivity,
    codeowners,
    hidden_columns,
    hides_unknown,
    personal_columns,
    require_encryption,
    token,
    veiled,
)
from tenure.lifecycle.data.sources import Contract
from tenure.verdicts import Severity

CONTRACT_OF = {
    "plain": Contract.model_validate({"columns": {"x": {"type": "number"}}}),
    "personal": Contract.model_validate(
        {
            "columns": {
                "x": {"type": "number"},
                "mail": {"type": "string", "sensitivity": "personal"},
            }
        }
    ),
}


class TestTokens:
    """Equal within a dataset and a key, unrelated otherwise."""

    key = Key.of_dataset(b"k" * 32, "loans")

    def test_they_are_stable(self) -> None:
        assert token(self.key, "ada@example.org") == token(self.key, "ada@example.org")
        assert token(self.key, "ada@example.org") != token(self.key, "eve@example.org")
        assert token(self.key, "") != token(self.key, " ")
        assert len(token(self.key, "\udc80")) == 32  # a lone surrogate is a value, too

    def test_they_are_those_of_every_machine(self) -> None:
        assert token(self.key, "ada@example.org") == "999007de7d202cd8fa50a5711cbc4167"

    def test_another_dataset_or_secret_has_others(self) -> None:
        other = Key.of_dataset(b"k" * 32, "flights")
        rotated = Key.of_dataset(b"l" * 32, "loans")
        assert len({token(k, "ada") for k in (self.key, other, rotated)}) == 3
        assert len({k.id for k in (self.key, other, rotated)}) == 3

    def test_the_secret_is_never_shown(self) -> None:
        assert repr(self.key) == f"Key(id={self.key.id!r})"
        assert self.key.id not in self.key.secret.hex()


@pytest.mark.parametrize(
    ("contract", "sensitivity", "hidden", "unknown"),
    [
        ("plain", "public", set(), False),
        ("plain", "internal", set(), False),
        ("plain", "restricted", {"x"}, True),
        ("personal", "public", {"mail"}, True),
        ("personal", "restricted", {"x", "mail"}, True),
    ],
)
def test_what_may_not_be_quoted(
    contract: str, sensitivity: Sensitivity, hidden: set[str], unknown: bool
) -> None:
    assert hidden_columns(CONTRACT_OF[contract], sensitivity) == hidden
    assert hides_unknown(CONTRACT_OF[contract], sensitivity) is unknown
    assert personal_columns(CONTRACT_OF[contract]) == hidden - {"x"}


def test_what_a_library_quotes_is_cut_off() -> None:
    quoted = Finding(
        CONTRACT,
        "mail",
        Severity.CRITICAL,
        False,
        "int64",
        "string",
        columns=("mail",),
        quote="4711 is too big",
    )
    other = Finding("a_rule", "mail", Severity.CRITICAL, False, "3 of 4: nulls", "none")
    assert quoted.check.observed == "int64: 4711 is too big"
    assert str(quoted) == "mail: found int64: 4711 is too big, expected string"
    hidden = veiled([quoted, other], {"mail"})
    assert [f.check.observed for f in hidden] == ["int64", "3 of 4: nulls"]
    assert str(hidden[0]) == "mail: found int64, expected string"
    assert veiled([quoted, other], {"x"}) == [quoted, other]


@pytest.mark.parametrize("sensitivity", ["public", "internal", "restricted"])
@pytest.mark.parametrize("encryption", [None, "aws:kms by default of the bucket"])
def test_restricted_data_need_a_store_that_encrypts(
    sensitivity: Sensitivity, encryption: str | None
) -> None:
    if sensitivity == "restricted" and encryption is None:
        with pytest.raises(ConfigInvalid) as error:
            require_encryption("loans", sensitivity, encryption)
        assert error.value.what == "loans is restricted, and the object store does not encrypt."
        assert "sse=aws:kms" in error.value.next_step
    else:
        require_encryption("loans", sensitivity, encryption)


def test_suites_belong_to_stewards_and_contracts_to_both() -> None:
    found = codeowners(
        {
            "flights": ("flights", "ada", "sam"),
            "loans": ("shared", "bo\n* @eve", "tim"),
            "cars": ("shared", "ada", "sam"),
        }
    )
    assert found.splitlines()[1:] == [
        "/include/configs/datasets/cars.yaml @ada @sam",
        "/include/configs/datasets/flights.yaml @ada @sam",
        "/include/configs/datasets/loans.yaml @bo_*_@eve @tim",
        "/include/expectations/flights.json @sam",
        "/include/expectations/shared.json @sam @tim",
    ]
