"""Writes the YAML of a model as a person would: one line a key, what was guessed marked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from tenure.config.dataset_yaml import comment, flow, noted
from tenure.config.models import ModelConfig
from tenure.lifecycle.training.bias import ErrorBiasPolicy

Notes = Mapping[tuple[str | int, ...], str]
"""What stands behind a line: by key, or by key and place of what is written on lines of its own."""


def model_yaml(config: ModelConfig, *, heading: Sequence[str], notes: Notes) -> str:
    """The file of a model; loading it gives the config again.

    A policy has a line for each of its keys, and a list of policies one for each of them. What is
    at its default is left out, unless there is a note about it.

    Args:
        config: What it says.
        heading: Comment lines at the top.
        notes: Comment behind a line.
    """
    lines = [comment(line) for line in heading]
    for key, value in _told(config, (), notes):
        if isinstance(value, BaseModel) and (key,) not in notes:
            lines.append(f"{key}:")
            lines += _policy(key, value, notes)
        else:
            lines.append(noted(f"{key}: {flow(value)}", notes.get((key,))))
    return "\n".join(lines) + "\n"


def _policy(key: str, policy: BaseModel, notes: Notes) -> Iterator[str]:
    for name, value in _told(policy, (key,), notes):
        many = isinstance(value, tuple) and any(isinstance(one, BaseModel) for one in value)
        if not many:
            yield noted(f"  {name}: {flow(value)}", notes.get((key, name)))
            continue
        yield f"  {name}:"
        for n, one in enumerate(value):
            yield noted(f"    - {flow(one)}", notes.get((key, name, n)))


_KIND = ("bias", "metric")
"""Says which of two gates it is, also where it is at its default."""


def _told(policy: BaseModel, at: tuple[str, ...], notes: Notes) -> Iterator[tuple[str, Any]]:
    """What differs from its default or has a note, in the order of the class."""
    for name, field in type(policy).model_fields.items():
        value = getattr(policy, name)
        is_kind = (*at, name) == _KIND and isinstance(policy, ErrorBiasPolicy)
        is_default = value == field.get_default(call_default_factory=True)
        if is_kind or not is_default or (*at, name) in notes:
            yield name, value
