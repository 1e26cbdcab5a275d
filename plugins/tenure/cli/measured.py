"""Every text that is typed on the command line is measured before a command sees it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from tenure.vocabulary import NAME, NOTE, REASON, TextRule

_SENTENCES = {"reason": REASON, "note": NOTE}
"""Options that people write sentences into; all others are names, but for paths."""
_PATH = TextRule(4_096)

Callback = Callable[[Any, Any, Any], Any]


class MeasuredGroup(TyperGroup):
    """The root of the command line: what cannot be taken is wrong usage (exit 2), by its name."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for parameter in _parameters(self):
            parameter.callback = _measuring(parameter.callback)


def _measuring(then: Callback | None) -> Callback:
    """A callback of a parameter that measures its texts and goes on as before."""

    def measure(ctx: Any, parameter: Any, value: Any) -> Any:
        for one in value if isinstance(value, list | tuple) else [value]:
            if problem := _problem(parameter.name, one):
                raise typer.BadParameter(problem, ctx=ctx, param=parameter)
        return value if then is None else then(ctx, parameter, value)

    return measure


def _problem(name: str, value: object) -> str | None:
    """An empty text is left to the command: it may stand for none."""
    if isinstance(value, Path):
        return _PATH.problem(str(value))
    if isinstance(value, str) and value:
        return _SENTENCES.get(name, NAME).problem(value)
    return None


def _parameters(group: Any) -> Iterator[Any]:
    """Of all commands, however deep."""
    for command in group.commands.values():
        yield from command.params
        if hasattr(command, "commands"):
            yield from _parameters(command)
