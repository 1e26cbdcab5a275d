"""Digests of the code and of the lock that a run used."""

import importlib.metadata
from pathlib import Path

from tenure.settings import REPOSITORY
from tenure.vocabulary import digest_bytes, digest_json

_LOCK = REPOSITORY / "requirements.txt"
_PACKAGE = Path(__file__).resolve().parents[1]


def code_digest(folder: Path = _PACKAGE) -> str:
    """One digest for every Python file of Tenure: of their paths and contents."""
    files = {
        path.relative_to(folder).as_posix(): digest_bytes(path.read_bytes())
        for path in folder.rglob("*.py")
    }
    return digest_json(files)


def lock_digest(path: Path = _LOCK) -> str:
    """Digest of the lock; where none is deployed, of the distributions that are installed."""
    if path.is_file():
        return digest_bytes(path.read_bytes())
    found = {f"{d.name}=={d.version}".lower() for d in importlib.metadata.distributions()}
    return digest_json(sorted(found))
