"""`tenure check`: every YAML and suite, by file and line."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.output import AsJson, plain, print_json, say
from tenure.errors import ServiceUnreachable

if TYPE_CHECKING:
    from tenure.config.loader import ConfigSet
    from tenure.config.problems import Problem
    from tenure.settings import Settings

_LABEL_SECONDS = 5.0
"""For each question to the database: without an answer labels are not compared, and it is said."""
_PATIENCE_SECONDS = 2.0
"""For the database: a check is right without it, and says that it was not asked."""

Where = Annotated[
    Path | None,
    typer.Argument(help="The folder `include`, what holds it, or one file in it."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


def check(path: Where = None, as_json: AsJson = False) -> None:
    """Check all configs and expectation suites; exit 1 when one is broken."""
    from tenure.config import suites
    from tenure.installation import SystemClock
    from tenure.settings import Settings

    settings = Settings.from_environment()
    include = settings.include if path is None else _include(path)
    found, problems = suites.check(include, SystemClock().now().date())
    wrong, label_notes = _labels(settings, include, found, path)
    problems += wrong
    lost, unasked = _lost(settings, include)
    problems += lost
    if path is not None and path.is_file():
        problems = [problem for problem in problems if problem.path == path.absolute()]
    broken = {problem.path for problem in problems}
    counts = {
        "datasets": len(found.datasets),
        "models": len(found.models),
        "suites": len(set((include / "expectations").glob("*.json")) - broken),
    }
    show(problems, counts, as_json=as_json, label_notes=label_notes, unasked=unasked)


def _labels(
    settings: "Settings", include: Path, found: "ConfigSet", path: Path | None
) -> "tuple[list[Problem], dict[str, str]]":
    """Labels that the newest data does not hold; and why a model's were not compared."""
    from tenure.installation import Installation
    from tenure.usecases.training.label_check import check_labels

    platform = Installation(replace(settings, include=include), _LABEL_SECONDS)
    only = [path.absolute()] if path is not None and path.is_file() else []
    try:
        findings = check_labels(platform, found, only)
    finally:
        if "database" in platform.__dict__:
            platform.database.dispose()
    return list(findings.problems), findings.unchecked


def _lost(settings: "Settings", include: Path) -> tuple["list[Problem]", str]:
    """Configs that the database misses; and why it was not asked, empty when it was."""
    from tenure.installation import Installation
    from tenure.usecases.operations.configs import lost_configs

    if include != settings.include:
        return [], "these are not the configs of this installation"
    platform = Installation(settings, patience_seconds=_PATIENCE_SECONDS)
    try:
        return lost_configs(platform), ""
    except ServiceUnreachable as error:
        return [], plain(error.what.partition(":")[0])
    finally:
        platform.database.dispose()


def show(
    problems: "list[Problem]",
    counts: dict[str, int],
    *,
    as_json: bool,
    label_notes: dict[str, str] | None = None,
    unasked: str | None = None,
) -> None:
    """Print the problems; raises typer.Exit(1) when there are any.

    `label_notes` says of which models no label was compared with data, and why; `unasked` why the
    database was not asked whether a model serves without its YAML (empty: it was).
    """
    if as_json:
        listed = [{"file": str(p.path), "line": p.line, "message": p.message} for p in problems]
        notes: dict[str, object] = {} if unasked is None else {"not_asked": unasked or None}
        notes |= {} if label_notes is None else {"labels_not_checked": label_notes}
        print_json({"ok": not problems, "problems": listed, **counts, **notes})
    else:
        for problem in problems:
            print(f"{_short(problem.path)}:{problem.line}: {problem.message}")
        said = ", ".join(f"{number} {what}" for what, number in counts.items())
        print(f"{len(problems)} problems; valid: {said}" if problems else f"All valid: {said}")
        say(
            *(
                f"Labels of {model} were not compared with data: {why}"
                for model, why in (label_notes or {}).items()
            )
        )
        if unasked:
            print(f"Not asked: whether a model serves whose YAML is gone ({unasked})")
    if problems:
        raise typer.Exit(1)


def _include(path: Path) -> Path:
    """The `include` folder that a path means. Raises typer.BadParameter."""
    path = path.absolute()
    for folder in (path, path / "include", *path.parents):
        if (folder / "configs").is_dir():
            return folder
    raise typer.BadParameter(f"{path} is not in a folder with `configs`")


def _short(path: Path) -> Path:
    """Relative to where the reader stands, so that a click in the terminal opens it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
