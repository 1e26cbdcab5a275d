"""The models that a gateway serves: verified, warm, and under which policy."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tenure.config import load_model
from tenure.errors import ConfigInvalid
from tenure.lifecycle.serving import Score, ServingPolicy, Signature
from tenure.settings import Settings
from tenure.wiring.base import Platform


class VerifiedLoader:
    """Loads versions whose digest, signature and types hold, and warms them up."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._folder = folder

    @cached_property
    def _cache(self) -> Any:
        from tenure.adapters.artifact_cache import CachedStore

        return CachedStore(self._platform.store, self._folder)

    def load(self, row: Mapping[str, Any]) -> Score:
        """The warm scoring function. Raises ArtifactRefused, or whatever the model raises."""
        from tenure.adapters.serving_frame import scorer
        from tenure.adapters.skops_artifacts import load_verified

        public_key = self._platform.settings.home / "keys" / "signing.pub"
        estimator = load_verified(self._cache, row, public_key)
        signature = Signature.from_facts(row["facts"])
        return scorer(
            estimator,
            numeric=signature.numeric,
            categorical=signature.categorical,
            examples=signature.examples(),
        )

    def keep_only(self, digests: frozenset[str]) -> None:
        """Drop the copies of all other artifacts."""
        self._cache.keep_only(digests)


class ServingPolicies:
    """Policies by model, read again when the YAML changes; a broken YAML keeps the last one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: dict[str, tuple[int, ServingPolicy]] = {}

    def __call__(self, model: str) -> ServingPolicy:
        """The policy of a model; the defaults for one that never had a valid YAML."""
        stamp, policy = self._read.get(model, (-1, ServingPolicy()))
        try:
            current = (self._settings.configs / "models" / f"{model}.yaml").stat().st_mtime_ns
            if current != stamp:
                policy = load_model(self._settings.include, model)[0].serving
        except (OSError, ConfigInvalid):
            current = stamp
        self._read[model] = (current, policy)
        return policy
