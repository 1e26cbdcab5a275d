"""`tenure check`: every YAML and suite, by file and line."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.output import AsJson, plain, print_json, say
from tenure.errors import ServiceUnreachable

if TYPE_CHECKING:
    from tenure.config.loader import ConfigSet
    from tenure.config.problems import Problem
    from tenure.settings import Settings

_PATIENCE_SECONDS = 5.0
"""For the database: a check of the files is right without it, and says that it was not asked."""

Where = Annotated[
    Path | None,
    typer.Argument(help="The folder `include`, what holds it, or one file in it."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check")(check)


@dataclass(frozen=True)
class InstallationFindings:
    """What the installation's database and store say of the configs.

    Args:
        problems: By file and line.
        unchecked: Models whose rows were not, or not wholly, looked at; and why.
        unasked: Why nobody was asked which models serve; empty when the database was asked.
        is_silent: Whether that is since it does not answer: then nothing was compared.
    """

    problems: "Sequence[Problem]" = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)
    unasked: str = ""
    is_silent: bool = False

    def lines(self) -> Iterator[str]:
        """What was not compared, for people."""
        if self.is_silent:
            yield (
                "Not asked: whether models can learn from what is published, and whether one "
                f"serves whose YAML is gone ({self.unasked})"
            )
            return
        for why in dict.fromkeys(self.unchecked.values()):
            models = ", ".join(name for name, one in self.unchecked.items() if one == why)
            yield f"Not compared with data, or not wholly: {models} ({why})"
        if self.unasked:
            yield f"Not asked: whether a model serves whose YAML is gone ({self.unasked})"


def check(path: Where = None, as_json: AsJson = False) -> None:
    """Check configs, expectation suites, and whether models can learn; exit 1 on a problem."""
    from tenure.config import suites
    from tenure.installation import SystemClock
    from tenure.settings import Settings

    settings = Settings.from_environment()
    include = settings.include if path is None else _include(path)
    found, problems = suites.check(include, SystemClock().now().date())
    only = [path.absolute()] if path is not None and path.is_file() else []
    comparison = _compare(settings, include, found, only)
    problems += comparison.problems
    if only:
        problems = [problem for problem in problems if problem.path in only]
    broken = {problem.path for problem in problems}
    counts = {
        "datasets": len(found.datasets),
        "models": len(found.models),
        "suites": len(set((include / "expectations").glob("*.json")) - broken),
    }
    show(problems, counts, as_json=as_json, comparison=comparison)


def _compare(
    settings: "Settings", include: Path, found: "ConfigSet", only: Collection[Path]
) -> InstallationFindings:
    from tenure.installation import Installation
    from tenure.usecases.operations.configs import lost_configs
    from tenure.usecases.training.data_check import check_data

    is_ours = include == settings.include
    unasked = "" if is_ours else "these are not the configs of this installation"
    platform = Installation(replace(settings, include=include), _PATIENCE_SECONDS)
    try:
        lost = lost_configs(platform) if is_ours else []
        findings = check_data(platform, found, only)
    except ServiceUnreachable as error:
        why = plain(error.what.partition(":")[0])
        return InstallationFindings((), dict.fromkeys(found.models, why), why, is_silent=True)
    finally:
        if "database" in platform.__dict__:
            platform.database.dispose()
    return InstallationFindings([*lost, *findings.problems], findings.unchecked, unasked)


def show(
    problems: "Sequence[Problem]",
    counts: dict[str, int],
    *,
    as_json: bool,
    comparison: InstallationFindings | None = None,
) -> None:
    """Print the problems; raises typer.Exit(1) when there are any.

    `comparison` adds what was not asked of database and store, and why.
    """
    if as_json:
        listed = [{"file": str(p.path), "line": p.line, "message": p.message} for p in problems]
        notes: dict[str, object] = {}
        if comparison is not None:
            notes = {
                "not_asked": comparison.unasked or None,
                "data_not_checked": comparison.unchecked,
            }
        print_json({"ok": not problems, "problems": listed, **counts, **notes})
    else:
        for problem in problems:
            print(f"{_short(problem.path)}:{problem.line}: {problem.message}")
        said = ", ".join(_count(number, what) for what, number in counts.items())
        found = _count(len(problems), "problems")
        print(f"{found}; valid: {said}" if problems else f"All valid: {said}")
        say(*(comparison.lines() if comparison is not None else ()))
    if problems:
        raise typer.Exit(1)


def _count(number: int, what: str) -> str:
    """`1 suite`, `2 suites`."""
    return f"{number} {what if number != 1 else what.removesuffix('s')}"


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
