"""Reads YAML strictly and remembers on which line everything stands.

One document, no tags, aliases or duplicate keys, bounded depth, plain decimal numbers only.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml.constructor import SafeConstructor

from tenure.config.json_lines import UNPRINTABLE, Location
from tenure.config.problems import BrokenFile, Problem

MAX_DEPTH = 20
_TAGS = {"str", "int", "float", "bool", "null", "timestamp", "map", "seq"}
_DECIMAL = re.compile(
    r"[-+]?(0|[1-9]\d*)(\.\d*)?([eE][-+]?\d+)?|[-+]?\.\d+|[-+]?\.(inf|nan)", re.IGNORECASE
)


def parse(path: Path, data: bytes) -> tuple[object, dict[Location, int]]:
    """The tree, and the line of each of its parts by path from the root.

    Raises:
        BrokenFile: With the line of the first fault; `path` is what it is called by.
    """
    lines: dict[Location, int] = {}
    return _plain(path, _compose(path, data), (), lines), lines


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
    if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
        raise BrokenFile([Problem(path, lines[at], f"the tag {node.tag[:80]} is not allowed")])
    if isinstance(node, yaml.MappingNode):
        return dict(_pairs(path, node, at, lines))
    if isinstance(node, yaml.SequenceNode):
        return [_plain(path, child, (*at, i), lines) for i, child in enumerate(node.value)]
    if message := _broken_scalar(str(node.tag), str(node.value)):
        raise BrokenFile([Problem(path, lines[at], message)])
    try:
        return SafeConstructor().construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise BrokenFile([Problem(path, lines[at], f"cannot be read: {error}")]) from None


def _broken_scalar(tag: str, text: str) -> str | None:
    """YAML 1.1 reads 1:30 as 90, 010 as 8 and 1_0 as 10: only plain decimal numbers are taken."""
    if bad := UNPRINTABLE.search(text):
        return f"holds the character U+{ord(bad[0]):04X}, which is not text"
    is_number = tag in {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
    if is_number and not _DECIMAL.fullmatch(text):
        return f"write {text[:40]!r} as a plain decimal number, or in quotes if it is text"
    return None


def _pairs(
    path: Path, node: yaml.MappingNode, at: Location, lines: dict[Location, int]
) -> Iterator[tuple[str, object]]:
    seen: set[str] = set()
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None or key == "<<":
            raise BrokenFile([Problem(path, line, "keys must be plain names")])
        if bad := UNPRINTABLE.search(key):
            message = f"a key holds the character U+{ord(bad[0]):04X}, which is not text"
            raise BrokenFile([Problem(path, line, message)])
        if key in seen:
            raise BrokenFile([Problem(path, line, f"the key {key[:60]!r} stands here twice")])
        seen.add(key)
        value = _plain(path, value_node, (*at, key), lines)
        lines[(*at, key)] = line
        yield key, value
