"""Reads Great Expectations suites as data: an allow-list of types and arguments, file and line.

What is not on the list is refused, above all what GX would run: conditions in pandas syntax, SQL,
`$` expansion. Source of the format: GX's own suite JSON.
"""

import difflib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from tenure.config.json_lines import LocatedJson, NotJson, parse
from tenure.config.loader import ConfigSet, load_all
from tenure.config.models import DatasetConfig
from tenure.config.problems import MAX_BYTES, NOT_AN_ID, BrokenFile, Problem, read_bounded
from tenure.config.references import broken
from tenure.config.suite_arguments import CATALOG, broken_arguments
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.sources import Contract
from tenure.verdicts import Severity
from tenure.vocabulary import canonical_json, digest_bytes, is_id

MAX_DEPTH = 8
MAX_EXPECTATIONS = 1_000
SUITE_KEYS = ("name", "id", "expectations", "meta", "notes")
EXPECTATION_KEYS = ("type", "kwargs", "severity", "id", "meta", "notes", "description")
_TAG = re.compile(r"<[A-Za-z/!?][^\s<>]{0,20}")
_NAMESPACE = uuid.UUID("7d1f4e0a-6f0e-5c61-9a27-0f9b1a6c3d52")
"""Of ids that are derived from the content of an expectation."""


def load_suite(include: Path, name: str, contract: Contract | None) -> Suite:
    """The suite `expectations/<name>.json`, linted against the contract.

    Raises:
        ConfigInvalid: It lists every problem with file and line.
    """
    path, data = read_suite(include, name)
    return parse_suite(data, name, contract, path)


def read_suite(include: Path, name: str) -> tuple[Path, bytes]:
    """The suite's file and its bytes. Raises ConfigInvalid when it is not there."""
    folder = include / "expectations"
    if not is_id(name):
        raise BrokenFile([Problem(folder, 1, NOT_AN_ID.format(name[:80]))])
    path = folder / f"{name}.json"
    return path, read_bounded(path)


def parse_suite(data: bytes, name: str, contract: Contract | None, path: Path) -> Suite:
    """The suite from the bytes of any revision of its file; `path` is what problems are called by.

    Raises:
        ConfigInvalid: It lists every problem with file and line.
    """
    if len(data) > MAX_BYTES:
        raise BrokenFile([Problem(path, 1, f"has {len(data):,} bytes; at most {MAX_BYTES:,}")])
    tree = _tree(path, data)
    problems = [Problem(path, line, message) for line, message in _lint(tree, name, contract)]
    if problems:
        raise BrokenFile(problems)
    return Suite(name, digest_bytes(data), data.decode(), tuple(_expectations(tree, name)))


def parse_suite_for(data: bytes, name: str, users: Sequence[DatasetConfig], path: Path) -> Suite:
    """The same, valid for every dataset that the suite judges. Raises ConfigInvalid."""
    contracts: list[Contract | None] = [*(dataset.contract for dataset in users)] or [None]
    return [parse_suite(data, name, contract, path) for contract in contracts][-1]


def users_of(found: ConfigSet, suite: str) -> list[DatasetConfig]:
    """The datasets that a suite judges, by name."""
    return [one for _, one in sorted(found.datasets.items()) if one.suite == suite]


def lint(include: Path, found: ConfigSet) -> list[Problem]:
    """Problems of every suite: of each dataset against its contract, and of those nobody uses."""
    users: dict[str, list[DatasetConfig]] = {
        path.stem: [] for path in sorted((include / "expectations").glob("*.json"))
    }
    for dataset in found.datasets.values():
        users.setdefault(dataset.suite, []).append(dataset)
    return [problem for name, uses in users.items() for problem in _of_uses(include, name, uses)]


def _of_uses(include: Path, name: str, uses: Sequence[DatasetConfig]) -> list[Problem]:
    """What is wrong with a suite by itself; and what only some of its datasets make wrong."""
    by_itself = _problems_of(include, name, None)
    found = {str(problem): problem for problem in by_itself}
    for dataset in uses:
        for problem in _problems_of(include, name, dataset.contract):
            if str(problem) not in found:
                shared = f" (in dataset {dataset.name}, which shares it)" if len(uses) > 1 else ""
                found[f"{problem}{shared}"] = replace(problem, message=f"{problem.message}{shared}")
    return list(found.values())


def _problems_of(include: Path, name: str, contract: Contract | None) -> list[Problem]:
    try:
        load_suite(include, name, contract)
    except BrokenFile as error:
        return error.problems
    return []


def check(include: Path, today: date) -> tuple[ConfigSet, list[Problem]]:
    """Every config and suite, and all that is wrong with them, by file and line."""
    found = load_all(include)
    problems = found.problems + broken(include, found, today) + lint(include, found)
    return found, sorted(problems, key=lambda p: (str(p.path), p.line, p.message))


def _tree(path: Path, data: bytes) -> LocatedJson:
    try:
        return parse(data.decode("utf-8"), max_depth=MAX_DEPTH)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BrokenFile([Problem(path, line, "is not UTF-8")]) from None
    except NotJson as error:
        raise BrokenFile([Problem(path, error.line, f"is not JSON: {error}")]) from None


def _lint(tree: LocatedJson, name: str, contract: Contract | None) -> Iterator[tuple[int, str]]:
    suite = tree.value
    if not isinstance(suite, dict):
        yield 1, "a suite is an object with name and expectations"
        return
    yield from _unknown_keys(tree, (), suite, SUITE_KEYS)
    yield from _broken_words(tree, (), suite)
    if suite.get("name") != name:
        yield tree.line("name"), f"name must be {name!r}, as the file is called"
    expectations = suite.get("expectations")
    if not isinstance(expectations, list) or not expectations:
        yield tree.line("expectations"), "expectations is empty: a suite must check something"
        return
    if len(expectations) > MAX_EXPECTATIONS:
        yield (
            tree.line("expectations"),
            f"has {len(expectations)} expectations; at most {MAX_EXPECTATIONS}",
        )
        return
    for position, item in enumerate(expectations):
        yield from _lint_one(tree, position, item, contract)
    yield from _twice(tree, expectations)


def _lint_one(
    tree: LocatedJson, position: int, item: object, contract: Contract | None
) -> Iterator[tuple[int, str]]:
    at = ("expectations", position)
    if not isinstance(item, dict):
        yield tree.line(*at), "an expectation is an object with type and kwargs"
        return
    yield from _unknown_keys(tree, at, item, EXPECTATION_KEYS)
    yield from _broken_words(tree, at, item)
    severity = item.get("severity", "critical")
    if severity not in list(Severity):
        yield (
            tree.line(*at, "severity"),
            f"severity {str(severity)[:60]!r} is not allowed{_near(severity)} Allowed: "
            f"{', '.join(Severity)}",
        )
    if item.get("id") is not None and not _is_uuid(item["id"]):
        yield tree.line(*at, "id"), f"id {str(item['id'])[:60]!r} is not a UUID"
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in CATALOG:
        yield tree.line(*at, "type"), _unknown_type(kind)
        return
    kwargs = item.get("kwargs")
    if not isinstance(kwargs, dict):
        yield tree.line(*at), f"{kind} needs kwargs"
        return
    for key, message in broken_arguments(kind, kwargs, contract):
        yield tree.line(*at, "kwargs", key), message


def _near(severity: object) -> str:
    near = difflib.get_close_matches(str(severity).lower(), [str(one) for one in Severity], n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def _unknown_keys(
    tree: LocatedJson,
    at: tuple[str | int, ...],
    found: Mapping[str, object],
    allowed: tuple[str, ...],
) -> Iterator[tuple[int, str]]:
    for key in found:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            message = f"unknown key {key[:60]!r}{hint} Allowed: {', '.join(allowed)}"
            yield tree.line(*at, key), message


def _broken_words(
    tree: LocatedJson, at: tuple[str | int, ...], found: Mapping[str, object]
) -> Iterator[tuple[int, str]]:
    """Words for people are text: pages of GX and of others would run what looks like HTML."""
    for key in ("notes", "description", "meta"):
        for text in _texts(found.get(key)):
            if _TAG.search(text):
                yield (
                    tree.line(*at, key),
                    f"{key} holds HTML ({_TAG.findall(text)[0]}…): write text",
                )
                break


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_texts(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _unknown_type(kind: object) -> str:
    near = difflib.get_close_matches(str(kind), CATALOG, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown expectation type {str(kind)[:100]!r}{hint} Allowed: {', '.join(CATALOG)}"


def _twice(tree: LocatedJson, expectations: list[object]) -> Iterator[tuple[int, str]]:
    """The same type and arguments, or the same id, a second time."""
    seen: dict[str, int] = {}
    for position, item in enumerate(expectations):
        if not isinstance(item, dict):
            continue
        line = tree.line("expectations", position)
        what = canonical_json([item.get("type"), item.get("kwargs")]).decode()
        for key in (what, item.get("id")):
            if key is not None and str(key) in seen:
                yield line, f"is the same as the expectation on line {seen[str(key)]}"
                break
            seen[str(key)] = line


def _expectations(tree: LocatedJson, name: str) -> Iterator[Expectation]:
    suite = tree.value
    assert isinstance(suite, dict)
    for item in suite["expectations"]:
        content = canonical_json([name, item["type"], item["kwargs"]]).decode()
        yield Expectation(
            id=item.get("id") or str(uuid.uuid5(_NAMESPACE, content)),
            type=item["type"],
            kwargs=item["kwargs"],
            severity=Severity(item.get("severity", "critical")),
        )


def _is_uuid(value: object) -> bool:
    try:
        return str(uuid.UUID(str(value))) == value
    except ValueError:
        return False
