"""The code, the lock and the libraries that a run used."""

import importlib.metadata
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path

from tenure.lifecycle.model_version import Environment
from tenure.settings import REPOSITORY
from tenure.vocabulary import digest_bytes, digest_json

_LOCK = REPOSITORY / "requirements.txt"
_PACKAGE = Path(__file__).resolve().parents[1]
_LIBRARIES = ("joblib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "skops")
"""Those that a score depends on, and the bytes of a model."""


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


@cache
def environment() -> Environment:
    """What this process works with, without importing it."""
    found: dict[str, str] = {}
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    machine = f"{platform.system()} {platform.machine()}"
    return Environment(platform.python_version(), machine, found)
