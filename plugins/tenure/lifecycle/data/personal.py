"""Guesses which columns hold personal data, or what the law protects, by names and values.

A guess marks the column until the owner has confirmed it; what is personal under the law depends
on more than its form. Source of the kinds: GDPR article 4(1), NIST SP 800-122 section 2.2.
"""

import re
from collections.abc import Mapping, Sequence

from tenure.lifecycle.data.profiling import ColumnProfile

ENOUGH = 0.8
"""Share of the values that must look alike."""

_BY_NAME: dict[str, tuple[str, ...]] = {
    "an e-mail address": ("e?mail", "email_address", "e_mail"),
    "a telephone number": ("phone", "telephone", "tel", "mobile", "handy", "fax", "telefon"),
    "a person's name": (
        "(first|last|middle|given|family|full|maiden|sur)_?name", "name_?(first|last)", "surname",
        "vorname", "nachname", "familienname", "nom", "prenom", "apellidos?", "nombre",
        "(customer|client|patient|employee|person|contact|user|applicant|guest|member|student|"
        "teacher|doctor|driver|borrower|tenant|owner|author|passenger|holder|recipient|sender)"
        "_?names?", "user_?name", "^names?$", "imie", "nazwisko", "cognome", "achternaam",
    ),
    "a date of birth": (
        "birth_?(date|day|year)", "date_of_birth", "dob", "geburts?_?(datum|tag|jahr)", "naissance",
    ),
    "a network address": ("ip", "ip_?address", "ipv4", "ipv6", "mac_?address"),
    "a postal address": (
        "(?<!ip_)(?<!mac_)addr(ess)?(es)?[0-9]?", "street([0-9]|_name)?", "^str$", "str_?(nr|no)",
        "strasse",
        "straße", "adresse", "anschrift", "house_?(number|no)", "hausn(ummer|r)", "direccion",
        "domicilio",
        "indirizzo", "rue", "calle", "wohnort", "(home|residence)_(city|town|zip|lat|lon)",
    ),
    "a national number": (
        "ssn", "social_?security", "national_?id", "passport", "personnummer",
        "steuer_?(id|nummer)", "tax_?id", "nino", "identity_?card", "driv(er|ing)s?_?licen[cs]e",
    ),
    "an account": ("iban", "bic", "card_?number", "credit_?card", "account_?number", "kontonummer"),
}  # fmt: skip
_ABOUT_IT = (
    r"^(has|is|num|n)_|_(state|country|region|county|province|type|kind|status|count|flag|verified|"
    r"valid|provider|domain|services?|model|brand|plan|usage|length|score)$"
)
"""Names of what is told of an address, a telephone or a person, and is no such thing itself."""
_PERSON = "a person's name"
_FEW, _MANY, _SHARED = 5, 100, 50
"""Different values, rows from which on that says something, and rows that share one value."""
_WAYS = (
    "street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|way|court|ct|square|place|"
    "straße|strasse|str|weg|allee|platz|gasse|rue|calle|via|laan|straat|ulica|ul"
)
_ENDINGS = "straße|strasse|str|weg|allee|platz|gasse|laan|straat"
"""Ways that end a longer word: Hauptstr. 5; of the others, `district 5` would have one."""
_ADDRESS = (
    rf"(?i:[0-9]{{1,5}}[a-z]?,? .*\b({_WAYS})\b.*|"
    rf".*(\b({_WAYS})|({_ENDINGS}))\.? [0-9]{{1,4}} ?[a-z]?(,.*)?)"
)
_NAMES = (
    "james mary john robert patricia jennifer michael linda david elizabeth william barbara "
    "richard susan joseph jessica thomas sarah charles karen christopher lisa daniel nancy "
    "matthew anthony mark donald paul steven andrew joshua kevin brian george edward ronald "
    "timothy jason emily emma olivia sophia mia anna maria peter hans klaus jürgen wolfgang "
    "stefan petra sabine monika ursula julia laura lena lukas jonas felix max pierre jean "
    "marie sophie camille louis antoine juan jose carlos luis ana carmen lucia giovanni "
    "marco luca giulia francesca piotr jan katarzyna ivan olga natasha dmitri mohammed ahmed "
    "ali fatima aisha wei li chen yuki hiroshi raj priya amit ada grace alan bob alice eve "
    "carol dave frank tom sam kim ben amy kate jane "
)
_FIRST_NAMES = frozenset(_NAMES.split())
"""Frequent ones of many languages: enough of them in a column say that it holds names."""
_FULL_NAME = (
    r"[^\W\d_][\w'\u2019.-]*,? ([^\W\d_]\.? )?[^\W\d_][\w'\u2019-]+( [^\W\d_][\w'\u2019-]+)?"
)
_NAMED = 0.3
"""Share of the values in which a first name stands that is known here."""
_BY_VALUE = {
    "an e-mail address": r"[^@\s]{1,64}@[^@\s]+\.[A-Za-z]{2,24}",
    "a telephone number": r"(\+|00)[0-9][0-9 ()/.-]{6,18}|\(0?[0-9]{2,4}\) ?[0-9][0-9 -]{4,12}",
    "a network address": r"((25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})(\.(?!$)|$)){4}|"
    r"([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}",
    "a national number": r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
    "a postal address": _ADDRESS,
    "a person's name": _FULL_NAME,
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
    by_name = {} if re.search(_ABOUT_IT, words) else _BY_NAME
    for kind, patterns in by_name.items():
        if any(re.search(rf"(?:^|_)(?:{pattern})(?:_|$)", words) for pattern in patterns):
            return kind
    for kind, pattern in _BY_VALUE.items():
        alike = sum(re.fullmatch(pattern, value[:100]) is not None for value in values)
        if not values or alike < ENOUGH * len(values):
            continue
        if pattern is not _FULL_NAME or _share_of_names(values) >= _NAMED:
            return kind
    return None


def of_people(guessed: Mapping[str, str], columns: Sequence[ColumnProfile]) -> dict[str, str]:
    """The guesses less those about flags, fractions, and values that too many rows share.

    First names may be few; addresses, numbers and accounts of many people are not, as in a column
    `street` of paved and gravel, nor is what is called just `name` and comes again and again.
    """
    found = {}
    for c in columns:
        kind = guessed.get(c.name)
        are_many = c.values >= _MANY
        is_shared = are_many and (
            c.distinct * _SHARED <= c.values
            if c.name.lower() in {"name", "names"}
            else c.distinct <= _FEW and kind != _PERSON
        )
        if kind and not is_shared and c.type not in {"boolean", "number"}:
            found[c.name] = kind
    return found


def _share_of_names(values: Sequence[str]) -> float:
    words = (re.split(r"[ ,]+", value.lower()) for value in values)
    return sum(not _FIRST_NAMES.isdisjoint(found) for found in words) / len(values)


_PROTECTED: dict[str, tuple[str, ...]] = {
    "sex or gender": (
        "sex", "gender", "geschlecht", "sexe", "sexo", "genre", "genero", "sesso", "male", "female",
        "is_(male|female)", "plec",
    ),
    "race or ethnic origin": (
        "race", "ethnic(ity|_group|_origin)?", "ethnie", "rasse", "raza", "skin_?colou?r",
        "hispanic", "herkunft", "caste", "tribe", "indigenous", "ancestry",
    ),
    "age": (
        "age(_?(group|band|years|class))?", "senior_?citizen", "alter", "altersgruppe", "edad",
        "birth_?year",
    ),
    "religion or belief": ("religio(n|us)", "konfession", "faith", "belief", "kirche", "church"),
    "nationality": (
        "nationality", "citizen(ship)?", "staatsangehörigkeit", "nationalite", "native_?country",
        "country_of_birth", "birth_?country", "place_of_birth", "birth_?place", "immigra(nt|tion)",
        "foreign(er|_worker)?", "native_language", "mother_tongue",
    ),
    "disability or health": (
        "disab(led|ility)", "behinderung", "handicap(ped)?", "pregnan(t|cy)", "hiv", "impairment",
    ),
    "sexual orientation": ("sexual_?orientation", "lgbtq?"),
    "family": ("marital(_?status)?", "married", "familienstand", "civil_status", "spouse"),
    "political opinion or union": ("union_member(ship)?", "political(_.*)?", "party_?affiliation"),
    "veteran status": ("veteran(_?status)?",),
}  # fmt: skip
_SEXES = (
    {"m", "f"}, {"male", "female"}, {"man", "woman"}, {"w", "m"}, {"männlich", "weiblich"},
    {"homme", "femme"}, {"h", "f"}, {"mann", "frau"}, {"mr", "ms"}, {"mr", "mrs"},
)  # fmt: skip
_OTHERS = {"", "d", "x", "other", "unknown", "u", "diverse", "divers", "nonbinary", "non-binary"}


def guess_protected(name: str, values: Sequence[str]) -> str | None:
    """Which characteristic that the law protects the column seems to hold, or None.

    Source: Charter of Fundamental Rights of the EU, article 21; US Equal Credit Opportunity Act.

    >>> guess_protected("applicantSex", []), guess_protected("x", ["F", "M", "F"])
    ('sex or gender', 'sex or gender')
    >>> guess_protected("page", []) is None
    True
    """
    words = _words(name)
    for kind, patterns in _PROTECTED.items():
        if any(re.search(rf"(?:^|_)(?:{pattern})(?:_|$)", words) for pattern in patterns):
            return kind
    found = {value.strip().lower() for value in values} - _OTHERS
    return "sex or gender" if any(found == sexes for sexes in _SEXES) else None


def _words(name: str) -> str:
    """`customerEMail`, `Customer E-Mail` and `CUSTOMER_E_MAIL` alike, joined by underscores."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^\w]+|_+", "_", parted.lower()).strip("_")
