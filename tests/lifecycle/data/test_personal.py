"""Guesses of personal columns: planted names and values, and ordinary ones that are none."""

import pytest

from tenure.lifecycle.data.personal import guess_personal, guess_protected, of_people
from tenure.lifecycle.data.profiling import ColumnProfile
from tenure.lifecycle.data.sources import ColumnType

PERSONAL = {
    "email": "an e-mail address",
    "Customer E-Mail": "an e-mail address",
    "contactEmail": "an e-mail address",
    "TELEFON": "a telephone number",
    "mobile_phone": "a telephone number",
    "firstName": "a person's name",
    "Nachname": "a person's name",
    "customer_name": "a person's name",
    "date_of_birth": "a date of birth",
    "Geburtsdatum": "a date of birth",
    "Straße": "a postal address",
    "billing address": "a postal address",
    "ip": "a network address",
    "client_ip_address": "a network address",
    "SSN": "a national number",
    "iban": "an account",
    "name": "a person's name",
    "patientName": "a person's name",
    "borrower_names": "a person's name",
    "addr1": "a postal address",
    "home_address": "a postal address",
    "Street_Name": "a postal address",
    "Hausnr": "a postal address",
}


@pytest.mark.parametrize(("name", "kind"), PERSONAL.items())
def test_by_name(name: str, kind: str) -> None:
    assert guess_personal(name, []) == kind


ORDINARY = [
    "temp", "carrier", "product_name", "model_name", "birth_weight", "cell_count", "tip",
    "zip_file", "telemetry", "file_name", "column_names", "stress", "strength", "addressable",
    "id_str", "in_reply_to_user_id_str", "addr_state", "phone_type", "has_phone", "email_domain",
    "phone_service", "ip_country", "struct", "price", "namespace", "description", "ship_date",
    "origin", "hour",
]  # fmt: skip


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names(name: str) -> None:
    assert guess_personal(name, ["1", "x", "2024-01-01"]) is None


SHARED: dict[str, tuple[str, str, int, int, bool]] = {
    "paved or gravel": ("Street", "string", 300, 2, False),
    "a flag": ("mobile", "integer", 300, 2, False),
    "yes or no": ("phone", "boolean", 300, 2, False),
    "streets of a town": ("Street", "string", 300, 6, True),
    "too few rows to tell": ("Street", "string", 99, 2, True),
    "few first names": ("first_name", "string", 300, 4, True),
    "articles": ("name", "string", 300, 6, False),
    "persons": ("name", "string", 300, 7, True),
}


@pytest.mark.parametrize(("name", "kind", "rows", "different", "kept"), SHARED.values(), ids=SHARED)
def test_what_many_rows_share_is_no_person(
    name: str, kind: ColumnType, rows: int, different: int, kept: bool
) -> None:
    guess = guess_personal(name, [])
    assert guess

    found = of_people({name: guess}, [ColumnProfile(name, kind, rows, 0, different)])

    assert found == ({name: guess} if kept else {})


VALUES = {
    "an e-mail address": ["a@b.org", "c.d@e.co.uk"],
    "a telephone number": ["+49 221 123456", "+1 (555) 010-9999"],
    "a network address": ["10.0.0.1", "192.168.255.254"],
    "a national number": ["123-45-6789"],
    "a postal address": [
        "12 Main St",
        "Hauptstraße 7",
        "4b, Long Lane",
        "Rue 12",
        "Dorpsstraat 4a",
    ],
    "a person's name": ["Anna Schmidt", "John Q. Public", "Li Wei", "Meyer, Peter"],
    "an account": ["DE44 5001 0517 5407 3249 31", "GB33BUKB20201555555555"],
}


@pytest.mark.parametrize(("kind", "values"), VALUES.items())
def test_by_value(kind: str, values: list[str]) -> None:
    assert guess_personal("x", values) == kind


@pytest.mark.parametrize(("odd", "found"), [(1, True), (2, True), (3, False)])
def test_most_values_must_look_alike(odd: int, found: bool) -> None:
    values = ["a@b.org"] * (10 - odd) + ["nothing"] * odd

    assert (guess_personal("x", values) is not None) is found


@pytest.mark.parametrize(
    "value",
    [
        "New York",
        "Blue Shirt",
        "Grand Total",
        "1.2.3",
        "256.1.1.1",
        "2024-01-01",
        "12-34",
        "a@b",
        "",
        "1.5",
        "district 5",
        "test 12",
        "Product 7",
        "Best 3",
        "hallway 2",
    ],
)
def test_ordinary_values(value: str) -> None:
    assert guess_personal("x", [value] * 5) is None


PROTECTED = {
    "sex": "sex or gender",
    "Geschlecht": "sex or gender",
    "applicantRace": "race or ethnic origin",
    "ethnicity": "race or ethnic origin",
    "age": "age",
    "age_group": "age",
    "religion": "religion or belief",
    "marital_status": "family",
    "nationality": "nationality",
    "native_country": "nationality",
    "is_disabled": "disability or health",
    "union_member": "political opinion or union",
    "veteran_status": "veteran status",
}


@pytest.mark.parametrize(("name", "kind"), PROTECTED.items())
def test_protected_by_name(name: str, kind: str) -> None:
    assert guess_protected(name, []) == kind


@pytest.mark.parametrize("name", ["page", "usage", "sextant", "trace", "stage", "agent", "message"])
def test_what_only_sounds_protected(name: str) -> None:
    assert guess_protected(name, ["a", "b"]) is None


@pytest.mark.parametrize(
    ("values", "is_sex"),
    [
        (["M", "F", "M"], True),
        (["male", "female", "unknown"], True),
        (["w", "m", "d"], True),
        (["m", "m"], False),
        (["m", "f", "k"], False),
        (["", "x"], False),
    ],
)
def test_protected_by_value(values: list[str], is_sex: bool) -> None:
    assert (guess_protected("c7", values) == "sex or gender") is is_sex
