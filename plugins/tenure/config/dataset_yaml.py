"""Writes the YAML of a dataset as a person would: one line a column, defaults left out."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date

import yaml
from pydantic import BaseModel

from tenure.config.models import DatasetConfig

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?: [A-Za-z0-9_-]+)*\Z")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"}


def dataset_yaml(
    config: DatasetConfig,
    *,
    heading: Sequence[str] = (),
    notes: Mapping[str, str] | None = None,
    column_notes: Mapping[str, str] | None = None,
) -> str:
    """The file of a dataset; loading it gives the config again.

    Args:
        config: What it says.
        heading: Comment lines at the top.
        notes: Comment behind a key of the first level.
        column_notes: Comment behind a column.
    """
    said, of_columns = notes or {}, column_notes or {}
    lines = [comment(line) for line in heading]
    for key in DatasetConfig.model_fields:
        value = getattr(config, key)
        if key == "contract" or value == DatasetConfig.model_fields[key].default:
            continue
        lines.append(noted(f"{key}: {flow(value)}", said.get(key)))
    lines.append("contract:")
    if config.contract.key:
        lines.append(noted(f"  key: {flow(config.contract.key)}", said.get("key")))
    lines.append("  columns:")
    for name, column in config.contract.columns.items():
        lines.append(noted(f"    {flow(name)}: {flow(column)}", of_columns.get(name)))
    return "\n".join(lines) + "\n"


def flow(value: object) -> str:
    """The value on one line; of a policy only what differs from its defaults."""
    if isinstance(value, BaseModel):
        found = {k: getattr(value, k) for k in type(value).model_fields}
        shown = {k: v for k, v in found.items() if v != type(value).model_fields[k].default}
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in shown.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value)


def _text(value: str) -> str:
    """Without quotes where no reader, person or parser, could take it for anything but text."""
    if _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    quoted: str = yaml.safe_dump(value, default_style='"', allow_unicode=True, width=10_000)
    return quoted.strip()


def noted(line: str, note: str | None) -> str:
    """The line, and a comment behind it if there is one."""
    return f"{line}   {comment(note)}" if note else line


def comment(text: str) -> str:
    """One line, whatever the text holds."""
    return "# " + re.sub(r"[^\x20-\x7e\xa0-\u2027\u202f-\ud7ff]+", " ", text)
