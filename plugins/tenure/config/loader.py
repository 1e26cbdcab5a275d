"""Reads YAML strictly: one document, no tags, aliases or duplicate keys, bounded size and depth."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tenure.config.models import DatasetConfig, ModelConfig, PlatformConfig
from tenure.errors import ConfigInvalid
from tenure.vocabulary import digest_bytes, is_id

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
SHOWN = 5
"""Problems that one message lists before it says how many more there are."""

Location = tuple[str | int, ...]
C = TypeVar("C", bound=BaseModel)

_TYPES: dict[str, tuple[str, type[BaseModel]]] = {
    "dataset": ("datasets", DatasetConfig),
    "model": ("models", ModelConfig),
}


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass
class ConfigSet:
    """All configs of an installation; a broken file is a problem and leaves the others alone."""

    platform: PlatformConfig | None = None
    datasets: dict[str, DatasetConfig] = field(default_factory=dict)
    models: dict[str, ModelConfig] = field(default_factory=dict)
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) to the SHA-256 of the YAML's bytes."""
    problems: list[Problem] = field(default_factory=list)


def load_all(include: Path) -> ConfigSet:
    """Read every YAML under `include/configs`; never raises for a broken file."""
    found = ConfigSet()
    try:
        found.platform = load_platform(include)
    except BrokenFile as error:
        found.problems += error.problems
    for kind, (folder, _) in _TYPES.items():
        for path in sorted((include / "configs" / folder).glob("*.yaml")):
            try:
                value, digest = _load_named(include, kind, path.stem)
            except BrokenFile as error:
                found.problems += error.problems
                continue
            getattr(found, folder)[path.stem] = value
            found.digests[kind, path.stem] = digest
    found.problems += _broken_references(include, found)
    return found


def load_platform(include: Path) -> PlatformConfig:
    """Read `platform.yaml`. Raises ConfigInvalid."""
    return _parse(include / "configs" / "platform.yaml", PlatformConfig)[0]


def load_dataset(include: Path, name: str) -> tuple[DatasetConfig, str]:
    """The dataset's config and the SHA-256 of its YAML. Raises ConfigInvalid."""
    return _load_named(include, "dataset", name)


def load_model(include: Path, name: str) -> tuple[ModelConfig, str]:
    """The model's config and the SHA-256 of its YAML. Raises ConfigInvalid."""
    return _load_named(include, "model", name)


def parse_model(text: str) -> ModelConfig:
    """The config from a text that was kept under its digest. Raises ConfigInvalid."""
    return _read(Path("config_revision"), text.encode(), ModelConfig)


class BrokenFile(ConfigInvalid):
    """ConfigInvalid that still knows its single problems."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(
            describe(problems),
            still_safe="The DAGs of the other files are not affected; nothing was run.",
            next_step="Correct the line and run `tenure check`.",
        )


def describe(problems: list[Problem]) -> str:
    """The first problems, one a line, and how many more there are."""
    more = len(problems) - SHOWN
    return "\n".join(
        [str(p) for p in problems[:SHOWN]] + ([f"and {more} more"] if more > 0 else [])
    )


def _load_named(include: Path, kind: str, name: str) -> tuple[Any, str]:
    folder, model = _TYPES[kind]
    path = include / "configs" / folder / f"{name}.yaml"
    if not is_id(name):
        raise BrokenFile([Problem(path, 1, f"{name!r} is not an id (a-z, 0-9, _ and -, no __)")])
    value, digest = _parse(path, model)
    if value.name != name:  # type: ignore[attr-defined]
        raise BrokenFile([Problem(path, 1, f"name must be {name!r}, as the file is called")])
    return value, digest


def _parse(path: Path, model: type[C]) -> tuple[C, str]:
    data = read_bounded(path)
    return _read(path, data, model), digest_bytes(data)


def _read(path: Path, data: bytes, model: type[C]) -> C:
    node = _compose(path, data)
    lines: dict[Location, int] = {}
    tree = _plain(path, node, (), lines)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise BrokenFile([_explain(path, e, model, lines) for e in error.errors()]) from None


def read_bounded(path: Path) -> bytes:
    """The file's bytes; refuses links, missing and huge files with a named problem."""
    try:
        if path.is_symlink() or not path.is_file():
            raise BrokenFile([Problem(path, 1, "is not a regular file")])
        data = path.read_bytes()
    except OSError as error:
        raise BrokenFile([Problem(path, 1, f"cannot be read: {error.strerror}")]) from None
    if len(data) > MAX_BYTES:
        raise BrokenFile([Problem(path, 1, f"has {len(data):,} bytes; at most {MAX_BYTES:,}")])
    return data


def _compose(path: Path, data: bytes) -> yaml.Node:
    try:
        text = data.decode("utf-8")
        _refuse_aliases_and_depth(path, text)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BrokenFile([Problem(path, line, "is not UTF-8")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise BrokenFile([Problem(path, line, f"is not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise BrokenFile([Problem(path, 1, f"is not YAML: {error}")]) from None
    if node is None:
        raise BrokenFile([Problem(path, 1, "is empty")])
    return node


def _refuse_aliases_and_depth(path: Path, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BrokenFile([Problem(path, line, "anchors and aliases are not allowed")])
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise BrokenFile([Problem(path, line, f"is nested deeper than {MAX_DEPTH} levels")])


def _plain(path: Path, node: yaml.Node, at: Location, lines: dict[Location, int]) -> object:
    lines[at] = node.start_mark.line + 1
    if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
        raise BrokenFile([Problem(path, lines[at], f"the tag {node.tag} is not allowed")])
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(path, node, at, lines))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, child, (*at, i), lines) for i, child in enumerate(node.value)]
    try:
        return yaml.CSafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise BrokenFile([Problem(path, lines[at], f"cannot be read: {error}")]) from None


def _pairs(
    path: Path, node: yaml.MappingNode, at: Location, lines: dict[Location, int]
) -> Iterator[tuple[str, object]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None or key == "<<":
            raise BrokenFile([Problem(path, line, "keys must be plain names")])
        if key in seen:
            raise BrokenFile([Problem(path, line, f"the key {key!r} stands here twice")])
        seen.add(key)
        value = _plain(path, value_node, (*at, key), lines)
        lines[(*at, key)] = line
        yield key, value


def _explain(path: Path, error: Any, model: type[BaseModel], lines: dict[Location, int]) -> Problem:
    at: Location = tuple(error["loc"])
    known = next((at[:n] for n in range(len(at), -1, -1) if at[:n] in lines), ())
    where = ".".join(str(part) for part in at)
    if error["type"] == "extra_forbidden":
        allowed = _allowed(model, at[:-1])
        near = difflib.get_close_matches(str(at[-1]), allowed, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        message = f"unknown key {where!r}{hint} Allowed: {', '.join(allowed)}"
    elif error["type"] == "missing":
        message = f"the key {where!r} is missing"
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
        current = _policy_inside(current)
    return sorted(getattr(current, "model_fields", {}))


def _policy_inside(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    inner = getattr(annotation, "__args__", ())
    return next((p for a in inner if (p := _policy_inside(a)) is not None), None)


def _broken_references(include: Path, found: ConfigSet) -> list[Problem]:
    problems = []
    for name, model in found.models.items():
        path = include / "configs" / "models" / f"{name}.yaml"
        dataset = found.datasets.get(model.dataset)
        if dataset is None:
            problems.append(Problem(path, 1, f"dataset {model.dataset!r} has no valid YAML"))
            continue
        named = {*model.features.all, *model.bias.attributes, model.subject_column}
        missing = sorted((named | {model.label.column}) - set(dataset.contract.columns))
        problems += [
            Problem(path, 1, f"column {c!r} is not in the contract of {model.dataset}")
            for c in missing
        ]
    return problems
