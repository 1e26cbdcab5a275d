"""Guesses which columns hold personal data, by their names and by what their values look like.

A guess marks the column until the owner has confirmed it; what is personal under the law depends
on more than its form. Source of the kinds: GDPR article 4(1), NIST SP 800-122 section 2.2.
"""

import re
from collections.abc import Sequence

ENOUGH = 0.8
"""Share of the values that must look alike."""

_BY_NAME: dict[str, tuple[str, ...]] = {
    "an e-mail address": ("e?mail", "email_address", "e_mail"),
    "a telephone number": ("phone", "telephone", "tel", "mobile", "handy", "fax", "telefon"),
    "a person's name": (
        "(first|last|middle|given|family|full|maiden|sur)_?name", "name_?(first|last)", "surname",
        "vorname", "nachname", "familienname", "nom", "prenom", "apellidos?", "nombre",
        "(customer|client|patient|employee|person|contact|user|applicant)_name", "username",
    ),
    "a date of birth": (
        "birth_?(date|day|year)", "date_of_birth", "dob", "geburts?_?(datum|tag|jahr)", "naissance",
    ),
    "a network address": ("ip", "ip_?address", "ipv4", "ipv6", "mac_?address"),
    "a postal address": (
        "address", "addr", "street", "strasse", "straße", "adresse", "anschrift", "house_?number",
        "hausnummer", "direccion",
    ),
    "a national number": (
        "ssn", "social_?security", "national_?id", "passport", "personnummer",
        "steuer_?(id|nummer)", "tax_?id", "nino", "identity_?card", "driv(er|ing)s?_?licen[cs]e",
    ),
    "an account": ("iban", "bic", "card_?number", "credit_?card", "account_?number", "kontonummer"),
}  # fmt: skip
_BY_VALUE = {
    "an e-mail address": r"[^@\s]{1,64}@[^@\s]+\.[A-Za-z]{2,24}",
    "a telephone number": r"(\+|00)[0-9][0-9 ()/.-]{6,18}|\(0?[0-9]{2,4}\) ?[0-9][0-9 -]{4,12}",
    "a network address": r"((25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})(\.(?!$)|$)){4}|"
    r"([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}",
    "a national number": r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
    "an account": r"[A-Z]{2}[0-9]{2} ?([A-Z0-9]{4} ?){2,7}[A-Z0-9]{1,4}",
}


def guess_personal(name: str, values: Sequence[str]) -> str | None:
    """What kind of personal data the column seems to hold, or None.

    >>> guess_personal("Customer E-Mail", []), guess_personal("x", ["a@b.org"])
    ('an e-mail address', 'an e-mail address')
    >>> guess_personal("temperature", ["1.5"]) is None
    True
    """
    words = _words(name)
    for kind, patterns in _BY_NAME.items():
        if any(re.search(rf"(?:^|_)(?:{pattern})(?:_|$)", words) for pattern in patterns):
            return kind
    for kind, pattern in _BY_VALUE.items():
        alike = sum(re.fullmatch(pattern, value[:100]) is not None for value in values)
        if values and alike >= ENOUGH * len(values):
            return kind
    return None


def _words(name: str) -> str:
    """`customerEMail`, `Customer E-Mail` and `CUSTOMER_E_MAIL` alike, joined by underscores."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^\w]+|_+", "_", parted.lower()).strip("_")
