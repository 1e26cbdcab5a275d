"""The secrets of one installation: given by the environment, else made once in `keys/` of its home.

Whoever shares a home shares them; the environment hands the same ones to processes elsewhere.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tenure.errors import ConfigInvalid
from tenure.files import made_once

_KEY_BYTES = 32


@dataclass(frozen=True)
class InstallationKey:
    """One secret.

    Args:
        variable: The environment's name for it; its value is hexadecimal.
        file: Its file in `keys/` of the home, made on first use.
        what: What it is, as a message begins.
        still_safe: What is not affected when it cannot be used.
        otherwise: What happens with another one.
        least: Bytes that it needs.
        most: Bytes that it may have.
    """

    variable: str
    file: str
    what: str
    still_safe: str
    otherwise: str
    least: int = _KEY_BYTES
    most: int = _KEY_BYTES

    def read(self, home: Path) -> bytes:
        """The secret of this home.

        Raises:
            ConfigInvalid: It is not so many bytes in hexadecimal.
        """
        return self._parsed(self._text(home))

    def read_all(self, home: Path) -> list[bytes]:
        """The secret, then the earlier ones that a rotation left behind it, after commas.

        Raises:
            ConfigInvalid: One of them is not so many bytes in hexadecimal.
        """
        return [self._parsed(text) for text in self._text(home).split(",")]

    def _text(self, home: Path) -> str:
        return os.environ.get(self.variable) or made_once(
            home / "keys" / self.file, lambda: os.urandom(_KEY_BYTES).hex()
        )

    def _parsed(self, text: str) -> bytes:
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if self.least <= len(key) <= self.most:
            return key
        count = f"{self.least} to {self.most}" if self.least < self.most else f"{self.most}"
        raise self.refused(f"is not {count} bytes in hexadecimal")

    def refused(self, why: str) -> ConfigInvalid:
        """What to say when it cannot be used; `why` ends the sentence that `what` begins."""
        return ConfigInvalid(
            f"{self.what} {why}.",
            still_safe=self.still_safe,
            next_step=f"Correct {self.variable} or keys/{self.file} of the home. {self.otherwise}",
        )


PSEUDONYMS = InstallationKey(
    "TENURE_PSEUDONYM_KEY",
    "pseudonym.key",
    "The key of the pseudonyms",
    "Nothing was read or stored.",
    "With another key all pseudonyms change: what lies in the landing zone is published again.",
)
"""Turns personal columns of snapshots into pseudonyms."""
SUBJECTS = InstallationKey(
    "TENURE_SUBJECT_KEY",
    "subject.key",
    "The key of the subjects",
    "Nothing was started or logged.",
    "With another one, decisions about one person have another subject than before and than at "
    "other gateways.",
    least=16,
    most=64,
)
"""Turns subjects into the pseudonyms of the decision log."""
MASTER = InstallationKey(
    "TENURE_MASTER_KEY",
    "master.key",
    "The master key",
    "Nothing was sealed with it; what is sealed stays as it is.",
    "With another one, personal features that were logged before cannot be opened.",
)
"""Wraps the data keys of subjects; what earlier ones wrapped is opened by these (`read_all`)."""
LEDGER = InstallationKey(
    "TENURE_LEDGER_KEY",
    "ledger.key",
    "The key of the ledger",
    "Nothing was signed with it; the ledger stays as it is.",
    "With another one, no witness that knows the old one cosigns what it signs.",
)
"""Ed25519: signs the checkpoints of the ledger."""
