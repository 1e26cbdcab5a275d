"""YAML files into typed configs; a broken file is told by line and leaves the others alone."""

import difflib
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tenure.config.json_lines import Location
from tenure.config.models import (
    ERROR_BIAS,
    RATE_BIAS,
    DatasetConfig,
    ModelConfig,
    PlatformConfig,
)
from tenure.config.problems import NOT_AN_ID, BrokenFile, Problem, read_bounded
from tenure.config.yaml_lines import parse
from tenure.lifecycle.training.bias import ErrorBiasPolicy
from tenure.vocabulary import digest_bytes, is_id

MAX_PROBLEMS = 100
"""Problems of one file that are explained; who has more corrects these first."""
MAX_REMEMBERED = 1_000
"""Files whose last reading a process keeps, by their bytes: a changed file is another one."""

C = TypeVar("C", bound=BaseModel)

_ALTERNATIVES: dict[object, type[BaseModel] | None] = {
    RATE_BIAS: None,
    ERROR_BIAS: ErrorBiasPolicy,
}
"""Parts of a location that stand in no YAML, and the policy that is meant if not the first."""
_TYPES: dict[str, tuple[str, type[BaseModel]]] = {
    "dataset": ("datasets", DatasetConfig),
    "model": ("models", ModelConfig),
}


@dataclass
class ConfigSet:
    """All configs of an installation; a broken file is a problem and leaves the others alone."""

    platform: PlatformConfig | None = None
    datasets: dict[str, DatasetConfig] = field(default_factory=dict)
    models: dict[str, ModelConfig] = field(default_factory=dict)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) to the SHA-256 of the YAML's bytes."""
    lines: dict[Path, dict[Location, int]] = field(default_factory=dict)
    """Where everything stands in each valid YAML."""
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with single files; `config/references.py` has what one says of another."""

    def line(self, path: Path, at: Location) -> int:
        """Line of a part of a valid YAML, or of the nearest part around it that is written."""
        lines = self.lines.get(path, {})
        return next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), 1)


def load_all(include: Path) -> ConfigSet:
    """Read every YAML under `include/configs`; never raises for a broken file."""
    found = ConfigSet()
    try:
        path = include / "configs" / "platform.yaml"
        found.platform, _, found.lines[path] = _parse(path, PlatformConfig)
    except BrokenFile as error:
        found.problems += error.problems
    for kind, (folder, _) in _TYPES.items():
        for path in sorted((include / "configs" / folder).glob("*.yaml")):
            try:
                value, digest, found.lines[path] = _load_named(include, kind, path.stem)
            except BrokenFile as error:
                found.problems += error.problems
                continue
            getattr(found, folder)[path.stem] = value
            found.digests[kind, path.stem] = digest
    return found


def load_platform(include: Path) -> PlatformConfig:
    """Read `platform.yaml`. Raises ConfigInvalid."""
    return _parse(include / "configs" / "platform.yaml", PlatformConfig)[0]


def read_platform(include: Path) -> tuple[PlatformConfig, str, bytes]:
    """`platform.yaml` with the SHA-256 of its bytes, and these. Raises ConfigInvalid."""
    path = include / "configs" / "platform.yaml"
    data = read_bounded(path)
    return _read(path, data, PlatformConfig)[0], digest_bytes(data), data


def load_dataset(include: Path, name: str) -> tuple[DatasetConfig, str]:
    """The dataset's config and the SHA-256 of its YAML. Raises ConfigInvalid."""
    return _load_named(include, "dataset", name)[:2]


def load_model(include: Path, name: str) -> tuple[ModelConfig, str]:
    """The model's config and the SHA-256 of its YAML. Raises ConfigInvalid."""
    return _load_named(include, "model", name)[:2]


def parse_dataset(text: str) -> DatasetConfig:
    """The config from a text that was kept under its digest. Raises ConfigInvalid."""
    config: DatasetConfig = _read(Path("config_revision"), text.encode(), DatasetConfig)[0]
    return config


def parse_model(text: str) -> ModelConfig:
    """The config from a text that was kept under its digest. Raises ConfigInvalid."""
    config: ModelConfig = _read(Path("config_revision"), text.encode(), ModelConfig)[0]
    return config


def _load_named(include: Path, kind: str, name: str) -> tuple[Any, str, dict[Location, int]]:
    folder, model = _TYPES[kind]
    if not is_id(name):
        raise BrokenFile([Problem(include / "configs" / folder, 1, NOT_AN_ID.format(name[:80]))])
    path = include / "configs" / folder / f"{name}.yaml"
    value, digest, lines = _parse(path, model)
    if value.name != name:  # type: ignore[attr-defined]
        raise BrokenFile([Problem(path, 1, f"name must be {name!r}, as the file is called")])
    return value, digest, lines


def _parse(path: Path, model: type[C]) -> tuple[C, str, dict[Location, int]]:
    data = read_bounded(path)
    value, lines = _read(path, data, model)
    return value, digest_bytes(data), lines


@lru_cache(maxsize=MAX_REMEMBERED)
def _read(path: Path, data: bytes, model: type[BaseModel]) -> tuple[Any, dict[Location, int]]:
    """What the bytes say; pages and services ask again and again, and a config never changes."""
    tree, lines = parse(path, data)
    try:
        return model.model_validate(tree), lines
    except ValidationError as error:
        first = islice(error.errors(include_url=False), MAX_PROBLEMS)
        raise BrokenFile([_explain(path, e, model, lines) for e in first]) from None


def _explain(path: Path, error: Any, model: type[BaseModel], lines: dict[Location, int]) -> Problem:
    full: Location = tuple(error["loc"])
    at: Location = tuple(part for part in full if part not in _ALTERNATIVES)
    known = next((at[:n] for n in range(len(at), -1, -1) if at[:n] in lines), ())
    where = ".".join(str(part)[:60] for part in at)
    if error["type"] == "extra_forbidden":
        allowed = _allowed(model, full[:-1])
        near = difflib.get_close_matches(str(at[-1]), allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        message = f"unknown key {where!r}{hint} Allowed: {', '.join(allowed)}"
    elif error["type"] == "missing":
        message = f"the key {where!r} is missing"
    elif error["type"] == "value_error":  # one of ours, which says it all
        message = f"{where}: {error['ctx']['error']}".removeprefix(": ")
    else:
        message = f"{where}: {error['msg']}, got {str(error['input'])[:60]!r}"
    return Problem(path, lines.get(known, 1), message)


def _allowed(model: type[BaseModel], at: Location) -> list[str]:
    """Keys of the policy that stands at a location, found by walking the annotations."""
    current: Any = model
    for part in at:
        fields = getattr(current, "model_fields", {})
        if isinstance(part, str) and part in fields:
            current = fields[part].annotation
        current = _ALTERNATIVES.get(part) or _policy_inside(current)
    return sorted(getattr(current, "model_fields", {}))


def _policy_inside(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    inner = getattr(annotation, "__args__", ())
    return next((p for a in inner if (p := _policy_inside(a)) is not None), None)
