"""Who may see what: classes of datasets, personal columns, and the pseudonyms that stand for them.

Only the landing zone holds personal columns in clear. A pseudonym is a keyed hash: equal values of
one dataset have equal pseudonyms, values of two datasets cannot be joined, and without the key no
list of names can be tried out. Source: ENISA, "Pseudonymisation techniques and best practices".
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tenure.errors import ConfigInvalid
from tenure.lifecycle.data.quality import Finding
from tenure.lifecycle.data.sources import Contract

Sensitivity = Literal["public", "internal", "restricted"]
"""Class of a dataset. Restricted data lie only in a store that encrypts."""
TOKEN_BYTES = 16
"""128 bits: two of 2^40 values share a pseudonym with a chance of 2^-49."""
KEY_BYTES = 32


@dataclass(frozen=True)
class Key:
    """The secret of one dataset's pseudonyms.

    Args:
        secret: 32 bytes; never printed.
        id: What may be told of it: which key it is.
    """

    secret: bytes = field(repr=False)
    id: str

    @classmethod
    def of_dataset(cls, master: bytes, dataset: str) -> "Key":
        """The key of one dataset, derived from the installation's."""
        secret = hashlib.blake2b(
            dataset.encode(), key=master, digest_size=KEY_BYTES, person=b"tenure.dataset"
        ).digest()
        return cls(secret, hashlib.blake2b(secret, digest_size=4, person=b"tenure.key").hexdigest())


def token(key: Key, value: str) -> str:
    """The pseudonym of a value: 32 hexadecimal characters."""
    text = value.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, key=key.secret, digest_size=TOKEN_BYTES).hexdigest()


def personal_columns(contract: Contract) -> frozenset[str]:
    """Columns with personal data."""
    return frozenset(n for n, c in contract.columns.items() if c.sensitivity == "personal")


def hidden_columns(contract: Contract, sensitivity: Sensitivity) -> frozenset[str]:
    """Columns whose values no report, log or message may quote: all, of a restricted dataset."""
    if sensitivity == "restricted":
        return frozenset(contract.columns)
    return personal_columns(contract)


def hides_unknown(contract: Contract, sensitivity: Sensitivity) -> bool:
    """Whether columns outside the contract must be taken for personal ones."""
    return sensitivity == "restricted" or bool(personal_columns(contract))


def veiled(findings: Sequence[Finding], hidden: Collection[str]) -> list[Finding]:
    """The findings without what a reader library quotes of hidden columns."""
    return [replace(f, quote="") if set(hidden).intersection(f.columns) else f for f in findings]


def require_encryption(dataset: str, sensitivity: Sensitivity, encryption: str | None) -> None:
    """Refuse to keep restricted data in the clear.

    Args:
        dataset: Its name.
        sensitivity: Its class.
        encryption: How the store encrypts, None when it does not.

    Raises:
        ConfigInvalid: The dataset is restricted and the store does not encrypt.
    """
    if sensitivity == "restricted" and encryption is None:
        raise ConfigInvalid(
            f"{dataset} is restricted, and the object store does not encrypt.",
            still_safe="Nothing of it was read or stored; other datasets are not affected.",
            next_step="On S3, switch on the bucket's default encryption, or add "
            "`sse=AES256` or `sse=aws:kms` to TENURE_STORE_URL. For a folder on an encrypted "
            "volume, say so with the reason: `file:///folder?encrypted=LUKS+volume+of+this+host`.",
        )


def codeowners(datasets: Mapping[str, tuple[str, str, str]]) -> str:
    """The lines of a CODEOWNERS file: the steward reviews the suite, the owner the contract.

    Args:
        datasets: Name of each dataset to its suite, owner and steward.
    """
    suites: dict[str, set[str]] = {}
    for suite, _, steward in datasets.values():
        suites.setdefault(suite, set()).add(steward)
    lines = [
        *(f"/include/expectations/{name}.json {_people(who)}" for name, who in suites.items()),
        *(
            f"/include/configs/datasets/{name}.yaml {_people({owner, steward})}"
            for name, (_, owner, steward) in datasets.items()
        ),
    ]
    return "\n".join([_HEADER, *sorted(lines)]) + "\n"


_HEADER = "# Made by `tenure data owners --write` from include/configs/datasets; do not edit."


def _people(names: Iterable[str]) -> str:
    return " ".join(f"@{'_'.join(name.split())}" for name in sorted(names))
