"""Arguments that several commands take."""

from typing import Annotated

import typer

NamedVersion = Annotated[
    str, typer.Argument(metavar="MODEL@VERSION", help="For example flight_late@1.")
]
"""A model version as people write it."""


def split_version(text: str) -> tuple[str, int]:
    """Model and number of `MODEL@VERSION`. Raises BadParameter, which is exit code 2."""
    from tenure.vocabulary import is_id

    model, _, number = text.partition("@")
    if not is_id(model) or not number.isdecimal():
        raise typer.BadParameter(f"{text!r} is not MODEL@VERSION, such as flight_late@2")
    return model, int(number)
