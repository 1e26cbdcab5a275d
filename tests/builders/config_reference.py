"""The reference of every key in `docs/models.md`, made from the config classes.

`make docs` writes it; a test compares. A key is explained by the docstring below its field, or by
the first line of the policy that it holds.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tenure.config.models import DatasetConfig, ModelConfig, PlatformConfig
from tenure.lifecycle.policy import Policy

KINDS: dict[str, type[Policy]] = {
    "model": ModelConfig,
    "dataset": DatasetConfig,
    "platform": PlatformConfig,
}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_BAR = "&#124;"
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True)
class Key:
    """One key of a YAML: `canary.metrics[].margin`."""

    name: str
    default: str
    allowed: str
    meaning: str

    def row(self) -> str:
        """As a line of a Markdown table."""
        cells = (f"`{self.name}`", self.default, self.allowed, self.meaning)
        return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |"


def keys(policy: type[Policy], prefix: str = "") -> Iterator[Key]:
    """Every key, in the order of the classes; a policy's own keys follow it."""
    told = _docstrings(policy)
    for name, field in policy.model_fields.items():
        inner = list(_policies_inside(field.annotation))
        meaning = told.get(name) or (_first_line(inner[0]) if inner else "")
        yield Key(prefix + name, _default(field), _allowed(field), meaning)
        below = f"{prefix}{name}{_mark(field.annotation)}."
        every = (key for one in inner for key in keys(one, below))
        yield from dict.fromkeys(every)  # alternatives share most of their keys


def table(kind: str) -> str:
    """The Markdown table of a kind of YAML."""
    lines = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *(key.row() for key in keys(KINDS[kind]))])


def refreshed(text: str) -> str:
    """The document with its tables as the classes are now."""
    for kind in KINDS:
        begin, end = f"<!-- keys of {kind} -->\n", f"<!-- end of {kind} -->"
        pattern = re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.DOTALL)
        text, found = pattern.subn(lambda m, k=kind: f"{m[1]}\n{table(k)}\n\n{m[2]}", text)
        assert found == 1, f"{begin.strip()} is not there once"
    return text


def _docstrings(policy: type[Policy]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in reversed(policy.__mro__):
        if issubclass(one, Policy):
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
            assert isinstance(tree, ast.ClassDef)
            for field, text in zip(tree.body, tree.body[1:], strict=False):
                match field, text:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(said))),
                    ):
                        found[name] = " ".join(said.split())
    return found


def _first_line(policy: type[Policy]) -> str:
    return inspect.cleandoc(policy.__doc__ or "").partition("\n")[0]


def _policies_inside(annotation: Any) -> Iterator[type[Policy]]:
    """The policy that a key holds, or each of its alternatives."""
    if isinstance(annotation, type) and issubclass(annotation, Policy):
        yield annotation
    for argument in get_args(annotation):
        yield from _policies_inside(argument)


def _mark(annotation: Any) -> str:
    origins = {get_origin(annotation), *(get_origin(a) for a in get_args(annotation))}
    return "[]" if tuple in origins else ".NAME" if dict in origins else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if isinstance(made := field.default_factory, type) and issubclass(made, Policy):
        return ""  # what the keys below it say
    if field.default is PydanticUndefined:
        return "none"
    return _as_yaml(field.default)


def _as_yaml(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case Policy():
            return ""
        case tuple():
            return f"`[{', '.join(map(str, value))}]`"
        case _:
            return f"`{value}`"


def _allowed(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, name):g}"
        for rule in field.metadata
        for name, sign in _BOUNDS.items()
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([_named(field.annotation), *bounds])


def _named(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    arguments = [a for a in get_args(annotation) if a is not NoneType]
    match get_origin(annotation):
        case None if annotation in _WORDS:
            return _WORDS[annotation]
        case None:
            return "keys" if any(_policies_inside(annotation)) else annotation.__name__
        case origin if origin is Literal:
            return ", ".join(f"`{a}`" for a in arguments)
        case origin if origin is tuple:
            return f"list: {_named(arguments[0])}"
        case origin if origin is dict:
            return f"{_named(arguments[0])}: {_named(arguments[1])}"
        case _:
            return " or ".join(dict.fromkeys(map(_named, arguments)))


if __name__ == "__main__":
    page = Path(__file__).parents[2] / "docs" / "models.md"
    page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
