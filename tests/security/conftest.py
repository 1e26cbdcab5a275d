"""Artifacts of every kind, and the real processes that are to load them."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from version_rows import facts, record

from tenure.adapters.signing import Signer
from tenure.adapters.skops_artifacts import dump
from tenure.installation import Installation
from tenure.layout import artifact_key
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.training.registry import statement_bytes
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.serving.loading import VerifiedLoader
from tenure.vocabulary import digest_bytes

SECRETS = {
    "TENURE_DATABASE_URL": "postgresql://gateway:hunter2@db/tenure",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "TENURE_SUBJECT_KEY": "ab" * 32,
    "HOME": "/somebody",
}
FAULTS = {"m@8": "hang", "m@9": "kill"}
"""What versions 8 and 9 do while they are loaded."""


class Registry:
    """Signed versions of a model `m`, and the loader of a gateway."""

    def __init__(self, home: Path) -> None:
        url = (home / "store").as_uri()
        settings = Settings(home, REPOSITORY / "include", "", url, "", "", "")
        self.home = home
        self.memory_mb = 256
        self.platform = Installation(settings)
        self.store = self.platform.store
        self.signer = Signer(settings.signing_key)
        self.loader = VerifiedLoader(self.platform, home / "gateway", lambda _model: self.policy)

    @property
    def policy(self) -> ServingPolicy:
        return ServingPolicy(model_memory_mb=self.memory_mb)

    def row(self, data: bytes, version: int = 1, model: str = "m") -> VersionRecord:
        """The row of a version with these bytes, signed by the trainer."""
        digest = self.store.put(artifact_key(digest_bytes(data)), data)
        stated = facts(
            features={"numeric": ["a", "b"], "categorical": [], "dates": []},
            ranges={"a": [0, 1], "b": [0, 1]},
        )
        row = record(stated, model=model, version=version, artifact_digest=digest)
        return self.signed(row)

    def signed(self, row: VersionRecord) -> VersionRecord:
        """The row with the trainer's signature over what it is now."""
        return replace(row, signature=self.signer.sign(statement_bytes(row)))


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One warm process for all tests, started from an environment that is full of secrets."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        patch.setenv("TENURE_ENV", "test")
        orders = [f"model.load.{name}:{action}" for name, action in FAULTS.items()]
        patch.setenv("TENURE_FAIL", ",".join(orders))
        made = Registry(tmp_path_factory.mktemp("security"))
        made.loader.warm_up()
    yield made
    made.loader.close()


@pytest.fixture(scope="session")
def good() -> bytes:
    """An artifact that every gateway would take."""
    rows = np.random.default_rng(1).random((100, 2))
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features=None, random_state=1)
    return dump(model.fit(rows, rows[:, 0] > 0.5), name="m@1")


@pytest.fixture
def canary_file(tmp_path: Path) -> Iterator[Path]:
    """What a hostile artifact would make; it must not be there afterwards."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "code of an artifact was run"


@pytest.fixture
def pids() -> Callable[[], set[int]]:
    """The processes below this one."""

    def below() -> set[int]:
        parents = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
        found: set[int] = set()
        fresh = {os.getpid()}
        while fresh:
            fresh = {pid for pid, parent in parents.items() if parent in fresh} - found
            found |= fresh
        return found

    return below
