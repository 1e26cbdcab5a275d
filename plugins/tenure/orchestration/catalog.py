"""The models and datasets whose DAGs this process must build, read cheaply.

Every parse of a DAG file and every task asks here. The dag processor needs all of them, a task only
its own: Airflow says which in the parsing context. What a YAML said is remembered under its digest
in `<home>/cache/configs`, so that the policies (numpy and scipy come with them: 0.7 s) are imported
only when a file changed. A YAML that breaks keeps its last valid form;
`dags/check_configs.py` shows the error meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import get_parsing_context

from tenure.errors import ConfigInvalid
from tenure.layout import parse_dag_id
from tenure.settings import Settings
from tenure.vocabulary import is_id

if TYPE_CHECKING:
    from tenure.config import DatasetConfig, ModelConfig

_PACKAGE = Path(__file__).resolve().parents[1]


class ConfigView:
    """A config as plain attributes: the YAML with its defaults; read-only, no methods."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_values", values)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(f"{name} is not a key of this config")
        return _frozen(self._values[name])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set: a config never changes")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfigView) and self._values == other._values

    def __hash__(self) -> int:
        return hash(tuple(self._values))

    def __repr__(self) -> str:
        return f"View({self._values})"

    def __getitem__(self, key: str) -> Any:
        """A key of a mapping: `contract.columns["hour"]`."""
        return _frozen(self._values[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)


def models() -> list[ModelConfig]:
    """Configs of the models whose DAGs are needed here, by name: see `ConfigView`."""
    return cast("list[ModelConfig]", _read("models"))


def datasets() -> list[DatasetConfig]:
    """Configs of the datasets whose DAGs are needed here, by name; see `ConfigView`."""
    return cast("list[DatasetConfig]", _read("datasets"))


def model_names() -> list[str]:
    """Names of all models, whichever DAG is being built; reads no file."""
    return _names(Settings.from_environment(), "models")


def dataset_names() -> list[str]:
    """Names of all datasets, whichever DAG is being built; reads no file."""
    return _names(Settings.from_environment(), "datasets")


def _read(folder: str) -> list[ConfigView]:
    settings = Settings.from_environment()
    code = _code_digest()
    found = (_one(settings, folder, name, code) for name in _needed(_names(settings, folder)))
    return [ConfigView(values) for values in found if values is not None]


def _names(settings: Settings, folder: str) -> list[str]:
    paths = (settings.configs / folder).glob("*.yaml")
    return sorted(path.stem for path in paths if is_id(path.stem))


def _needed(names: list[str]) -> list[str]:
    """All, or the one that the DAG which is being run belongs to."""
    owner = parse_dag_id(get_parsing_context().dag_id or "").owner
    return names if owner is None else [name for name in names if name == owner]


def _one(settings: Settings, folder: str, name: str, code: str) -> Mapping[str, Any] | None:
    path = settings.configs / folder / f"{name}.yaml"
    remembered = settings.home / "cache" / "configs" / folder / f"{name}.json"
    last = _recall(remembered)
    key = f"{_digest_of(path)}.{code}"
    if last.get("key") == key:
        return cast("Mapping[str, Any]", last["config"])
    try:
        config = _load(settings, folder, name)
    except ConfigInvalid:
        return last.get("config")
    _remember(remembered, {"key": key, "config": config})
    return config


def _load(settings: Settings, folder: str, name: str) -> dict[str, Any]:
    """Read the YAML strictly. Raises ConfigInvalid."""
    from tenure.config import load_dataset, load_model

    load: Any = {"models": load_model, "datasets": load_dataset}[folder]
    config, _ = load(settings.include, name)
    values: dict[str, Any] = config.model_dump(mode="json")
    return values


def _digest_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "absent"


def _code_digest() -> str:
    """Of the files that say what a YAML may hold and what its defaults are."""
    folders = (_PACKAGE / "config", _PACKAGE / "lifecycle")
    paths = [_PACKAGE / "vocabulary.py", *(p for f in folders for p in f.rglob("*.py"))]
    said = [(str(path.relative_to(_PACKAGE)), _digest_of(path)) for path in sorted(paths)]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _recall(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) and isinstance(value.get("config"), dict) else {}


def _remember(path: Path, body: Mapping[str, object]) -> None:
    """Whole or not at all: several processes read while one writes."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(body))
        draft.replace(path)
    except OSError:  # a home that cannot be written costs speed, not DAGs
        with suppress(OSError):
            draft.unlink()


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return ConfigView(value)
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
