"""How commands print: JSON for programs, aligned columns for people."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
"""The option that every command with an answer takes."""


def print_json(value: object) -> None:
    """Print JSON; dates and paths as their text."""
    print(json.dumps(value, indent=2, default=str))


def plain(text: object) -> str:
    """Text of strangers for a terminal: what would steer it, or reorder the line, as an escape.

    Causes, reasons and names come from other processes by way of the database.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def say(*lines: object) -> None:
    """Print lines for people, whatever stands in them."""
    for line in lines:
        print(plain(line))


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header in columns as wide as their longest cell."""
    cells = [[plain(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
