"""Writes configs that were not there before."""

import os
from collections.abc import Mapping
from pathlib import Path

from tenure.errors import ConfigInvalid


def new_configs(files: Mapping[Path, str]) -> None:
    """Write all files or none, and never over another: each gets its name once it is whole.

    Raises:
        ConfigInvalid: A folder takes nothing, or a file is there.
    """
    written: list[Path] = []
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_text(text, "utf-8")
            try:
                os.link(draft, path)
            finally:
                draft.unlink()
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink()
        raise not_written(
            f"{error.filename2 or error.filename} cannot be written: {error.strerror}.",
            "Make the folder writable, or choose another name.",
        ) from None


def not_written(what: str, next_step: str) -> ConfigInvalid:
    """The error of a config that is not made."""
    return ConfigInvalid(what, still_safe="Nothing was written.", next_step=next_step)
