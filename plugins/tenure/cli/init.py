"""`tenure init`: an empty project."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from tenure.cli.output import AsJson, print_json, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="An empty or a new folder.")],
    as_json: AsJson = False,
) -> None:
    """Make an empty project: configs, suites and state of its own, nothing of the demo."""
    from tenure.usecases.onboarding.new_project import new_project

    folder = folder.absolute()
    try:
        written = new_project(folder)
    except OSError as error:
        raise typer.BadParameter(f"{folder}: {error.strerror}") from error
    if as_json:
        print_json({"project": folder, "files": written})
    else:
        say(*(f"wrote {path}" for path in written))
        say(
            f"Next: cd {folder}, put your people into include/configs/platform.yaml, then "
            "`tenure new dataset NAME --from FILE`.",
            *_path_lines(),
        )


def _path_lines() -> list[str]:
    """How the shell finds `tenure` from the new folder, where it does not yet."""
    if shutil.which("tenure"):
        return []
    folder = Path(sys.executable).parent
    return [f'Where the shell does not find `tenure`: export PATH="{folder}:$PATH"']
