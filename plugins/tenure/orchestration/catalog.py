"""The models and datasets whose DAGs this process must build, read cheaply.

The dag processor asks for all of them, a task only for its own: Airflow says which in the parsing
context. A YAML that breaks keeps its last valid form, which is remembered in
`<home>/cache/configs`; `dags/check_configs.py` shows the error meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from airflow.sdk import get_parsing_context
from pydantic import ValidationError

from tenure.config import DatasetConfig, ModelConfig, load_dataset, load_model
from tenure.errors import ConfigInvalid
from tenure.settings import Settings
from tenure.vocabulary import is_id

C = TypeVar("C", ModelConfig, DatasetConfig)


def models() -> list[ModelConfig]:
    """Configs of the models whose DAGs are needed here, by name."""
    return _read("models", ModelConfig, load_model)


def datasets() -> list[DatasetConfig]:
    """Configs of the datasets whose DAGs are needed here, by name."""
    return _read("datasets", DatasetConfig, load_dataset)


def model_names() -> list[str]:
    """Names of all models, whichever DAG is being built; reads no file."""
    return _names(Settings.from_environment().configs / "models")


def dataset_names() -> list[str]:
    """Names of all datasets, whichever DAG is being built; reads no file."""
    return _names(Settings.from_environment().configs / "datasets")


def _read(
    folder: str, kind: type[C], load: Callable[[Path, str], tuple[C, str]]
) -> list[C]:
    settings = Settings.from_environment()
    cache = settings.home / "cache" / "configs" / folder
    found = []
    for name in _needed(_names(settings.configs / folder)):
        config = _one(settings, folder, name, cache / f"{name}.json", kind, load)
        if config is not None:
            found.append(config)
    return found


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml") if is_id(path.stem))


def _needed(names: list[str]) -> list[str]:
    """All, or the one that the DAG which is being run belongs to."""
    owner, mark, _ = (get_parsing_context().dag_id or "").partition("__")
    return [name for name in names if name == owner] if mark else names


def _one(
    settings: Settings,
    folder: str,
    name: str,
    remembered: Path,
    kind: type[C],
    load: Callable[[Path, str], tuple[C, str]],
) -> C | None:
    path = settings.configs / folder / f"{name}.yaml"
    digest, last = _recall(remembered)
    try:
        if last is not None and digest == hashlib.sha256(path.read_bytes()).hexdigest():
            return kind.model_validate(last)
        config, digest = load(settings.include, name)
    except (ConfigInvalid, ValidationError, OSError):
        return _last_valid(kind, last)
    _remember(remembered, digest, config)
    return config


def _last_valid(kind: type[C], last: object) -> C | None:
    try:
        return kind.model_validate(last) if last is not None else None
    except ValidationError:
        return None


def _recall(path: Path) -> tuple[str, Any]:
    try:
        value = json.loads(path.read_bytes())
        return value["digest"], value["config"]
    except (OSError, ValueError, KeyError, TypeError):
        return "", None


def _remember(path: Path, digest: str, config: ModelConfig | DatasetConfig) -> None:
    """Only what the YAML states, so that a default that changes in the code changes here too."""
    body = {"digest": digest, "config": config.model_dump(mode="json", exclude_unset=True)}
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(body))
        draft.replace(path)
    except OSError:  # a home that cannot be written costs speed, not DAGs
        with suppress(OSError):
            draft.unlink()
