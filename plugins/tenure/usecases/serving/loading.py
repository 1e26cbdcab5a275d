"""The models that a gateway serves: verified, warm, in processes of their own, by which policy."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tenure.config import ModelConfig, load_model
from tenure.errors import ArtifactRefused, ConfigInvalid, ObjectMissing, TenureError
from tenure.installation import Installation
from tenure.layout import artifact_key, onnx_key
from tenure.lifecycle.model_version import OnnxFile, VersionFacts, VersionRecord
from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.training.labels import LabelRule
from tenure.lifecycle.training.numbers import OutcomeRule
from tenure.settings import Settings
from tenure.usecases.serving.model_process import LoadOrder

if TYPE_CHECKING:
    from tenure.adapters.artifact_cache import CachedStore
    from tenure.adapters.model_process import ModelProcess, Nursery

LOAD_SECONDS = 60.0
"""Time that a process has to verify, load and warm up a version; afterwards it is killed."""

CHILD = "tenure.usecases.serving.model_process"
"""Main module of the processes that hold models."""


class VerifiedLoader:
    """Starts processes for versions whose digest, signature and types hold, and warms them up.

    This process only copies bytes: the child verifies them, parses them and scores with them.

    Args:
        platform: The installation.
        folder: Where copies of artifacts lie, and the empty working folder of the children.
        policy: Serving policy of a model.
    """

    def __init__(
        self, platform: Installation, folder: Path, policy: Callable[[str], ServingPolicy]
    ) -> None:
        self._platform = platform
        self._folder = folder
        self._policy = policy

    @cached_property
    def _cache(self) -> "CachedStore":
        from tenure.adapters.artifact_cache import CachedStore

        return CachedStore(self._platform.store, self._folder / "artifacts")

    @cached_property
    def nursery(self) -> "Nursery":
        """The warm process that all model processes are forks of."""
        from tenure.adapters.model_process import Nursery

        return Nursery(CHILD, self._folder / "models")

    @cached_property
    def _may_be_unconfined(self) -> bool:
        return self._platform.config.gateway.unconfined_models is not None

    def warm_up(self) -> None:
        """Begin with the imports, so that the first version need not wait for them."""
        self.nursery.start()

    def load(self, row: VersionRecord, *, distrust: str = "") -> "ModelProcess":
        """The process with the warm version; ONNX scores where its policy and its trainer say so.

        What is wrong with the ONNX file never keeps a version from service: it is served by
        scikit-learn then, and the process's note says why.

        Args:
            row: The version.
            distrust: Why ONNX must not score, as a sentence; empty when it may.

        Raises:
            ArtifactRefused: Facts, bytes, signature or types are not acceptable, it needs more
                memory than its policy allows, takes too long, or its process ends while it loads.
            ServiceUnreachable: The store does not answer.
        """
        name, onnx = row.name, row.facts.onnx_file
        digest = str(row.artifact_digest)
        try:
            path = self._cache.fetch(artifact_key(digest), digest)
        except ObjectMissing:
            raise refused(name, f"the artifact {digest[:12]} is not in the store") from None
        policy = self._policy(row.model)
        order = LoadOrder(
            row,
            policy.model_memory_mb,
            _public_key(self._platform.settings),
            may_be_unconfined=self._may_be_unconfined,
        )
        process, note = None, ""
        if policy.onnx is not None and onnx is not None:
            allowed = policy.onnx.max_score_difference
            order = replace(order, max_score_difference=allowed)
            process, note = self._by_onnx(onnx, order, path, distrust)
        if process is not None:
            return process
        try:
            process = self._started(order, [path])
        except _Unanswered as error:
            raise refused(name, str(error)) from error
        process.note = note
        return process

    def facts(self, row: VersionRecord) -> VersionFacts:
        """What the version decides by, also while no process of it runs.

        Raises:
            ArtifactRefused: It is not what the trainer signed; the refusal names what differs.
        """
        from tenure.adapters.skops_artifacts import check_signature

        check_signature(row, self._platform.settings.signing_key.with_suffix(".pub"))
        return row.facts

    def keep_only(self, digests: frozenset[str]) -> None:
        """Drop the copies of all other artifacts."""
        self._cache.keep_only(digests)

    def close(self) -> None:
        """End every process."""
        if "nursery" in self.__dict__:
            self.nursery.close()

    def _by_onnx(
        self, onnx: OnnxFile, order: LoadOrder, path: Path, distrust: str
    ) -> "tuple[ModelProcess | None, str]":
        """The process that tried ONNX; None where none did, and why not."""
        if distrust:
            return None, distrust
        try:
            second = self._onnx_copy(onnx, order.max_score_difference)
        except _NoVariant as error:
            return None, str(error)
        try:
            return self._started(order, [path, second]), ""
        except _Unanswered as error:
            return None, f"with ONNX {error}."

    def _onnx_copy(self, onnx: OnnxFile, allowed: float) -> Path:
        """A copy of the ONNX file, whose parity must hold for the tolerance of now.

        Raises:
            _NoVariant: It does not, or there is no copy.
        """
        digest, apart = onnx.digest, onnx.largest_difference
        if not apart <= allowed:  # the YAML became stricter after the version was trained
            why = f"ONNX and scikit-learn are {apart:.2g} apart on the holdout"
            raise _NoVariant(f"{why}, allowed is {allowed:g} by now.")
        try:
            return self._cache.fetch(onnx_key(digest), digest)
        except ObjectMissing:
            raise _NoVariant(f"the ONNX file {digest[:12]} is not in the store.") from None
        except TenureError as error:
            raise _NoVariant(error.what) from error
        except (OSError, ValueError) as error:  # no room for a copy, or the digest is none
            why = f"the ONNX file {digest[:12]!r} cannot be fetched ({error})."
            raise _NoVariant(why) from error

    def _started(self, order: LoadOrder, paths: Sequence[Path]) -> "ModelProcess":
        """A process that verified, loaded and warmed up the version; with its variant and note.

        Raises:
            ArtifactRefused: It says no, or there is no process.
            _Unanswered: It says nothing.
        """
        name = order.name
        try:
            process = self.nursery.process()
        except (OSError, EOFError, ValueError) as error:
            raise refused(name, f"no process could be started for it ({error!r})") from error
        try:
            verdict, cause, missing = self._ordered(process, order, paths)
        except TimeoutError:
            process.close()
            raise _Unanswered(f"it was not loaded after {LOAD_SECONDS:g} s") from None
        except (OSError, EOFError, ValueError) as error:
            process.close()
            raise _Unanswered("its process ended while it was loaded") from error
        if verdict != "ready":
            process.close()
            if verdict == "unconfined":
                raise _unconfined(name, cause)
            raise refused(name, cause if verdict == "failed" else cause.rstrip("."))
        process.note, process.missing_walls = cause, missing
        process.variant = "onnx" if len(paths) > 1 and not cause else "native"
        return process

    def _ordered(
        self, process: "ModelProcess", order: LoadOrder, paths: Sequence[Path]
    ) -> tuple[str, str, str]:
        """Its verdict, the cause of it, and what of its confinement does not hold."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with ExitStack() as opened:
            descriptors = []
            for path in paths:
                descriptors.append(os.open(path, flags))
                opened.callback(os.close, descriptors[-1])
            process.pipe.socket.settimeout(LOAD_SECONDS)
            process.pipe.send(msgspec.msgpack.encode(order), descriptors)
        return msgspec.msgpack.decode(process.pipe.receive(), type=tuple[str, str, str])


class _NoVariant(Exception):
    """No process need try ONNX; the message says why, as a sentence."""


class _Unanswered(Exception):
    """A process hung or ended while it loaded; the message says which."""


class LastValidModels:
    """Model YAMLs, read again when they change; a broken one keeps the last that was valid."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: dict[str, tuple[int, ModelConfig | None]] = {}

    def __call__(self, model: str) -> ModelConfig | None:
        """What the YAML of a model says; None for one that never had a valid YAML."""
        stamp, config = self._read.get(model, (-1, None))
        try:
            current = (self._settings.configs / "models" / f"{model}.yaml").stat().st_mtime_ns
            if current != stamp:
                config = load_model(self._settings.include, model)[0]
        except (OSError, ConfigInvalid):
            current = stamp
        self._read[model] = (current, config)
        return config


class ServingPolicies:
    """Serving policies by model, from the last valid YAMLs."""

    def __init__(self, settings: Settings) -> None:
        self._models = LastValidModels(settings)

    def __call__(self, model: str) -> ServingPolicy:
        """The policy of a model; the defaults for one that never had a valid YAML."""
        config = self._models(model)
        return ServingPolicy() if config is None else config.serving


class LabelRules:
    """What counts as a label, by model, from the last valid YAMLs."""

    def __init__(self, settings: Settings) -> None:
        self._models = LastValidModels(settings)

    def __call__(self, model: str) -> OutcomeRule:
        """The rule of a model; true and false alone for one that never had a valid YAML."""
        config = self._models(model)
        return LabelRule(positive="true") if config is None else config.outcome_rule


def refused(name: str, why: str) -> ArtifactRefused:
    """The error of a version that could not be taken into service."""
    text = why if why.startswith(name) else f"{name}: {why}"
    return ArtifactRefused(
        f"{text}.",
        still_safe="Nothing was loaded; gateways keep what they serve.",
        next_step="Do not serve this version. Train a new one; if nobody changed the file on "
        "purpose, treat it as an incident and compare with the archive.",
    )


def _unconfined(name: str, missing: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"{name}: this machine cannot confine the processes that run models ({missing}).",
        still_safe="Nothing of the artifact was parsed; gateways keep what they serve.",
        next_step="Install what is missing, or serve on a kernel that has it. Where the models are "
        "trusted as the gateway itself is, say why in `gateway.unconfined_models` of "
        "platform.yaml and restart the gateway.",
    )


def _public_key(settings: Settings) -> bytes:
    path = settings.signing_key.with_suffix(".pub")
    try:
        return path.read_bytes()
    except OSError as error:
        why = f"the public key {path.name} cannot be read: {error.strerror}"
        raise refused("The trainer's signature", why) from None
