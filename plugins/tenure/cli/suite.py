"""`tenure suite lint`: expectation suites against the allow-list and their contracts."""

from typing import Annotated

import typer

from tenure.cli.check import show
from tenure.cli.output import AsJson

group = typer.Typer(name="suite", help="Expectation suites.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@group.callback()
def _suite() -> None:
    """Expectation suites of the stewards."""


@group.command("lint")
def lint(
    name: Annotated[str | None, typer.Argument(help="One suite; all when it is left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check suites: types, arguments, columns of the contract; exit 1 when one is broken."""
    from tenure.config import load_all, suites
    from tenure.settings import Settings

    include = Settings.from_environment().include
    folder = include / "expectations"
    names = sorted(path.stem for path in folder.glob("*.json"))
    if name is not None and name not in names:
        raise typer.BadParameter(f"there is no suite {name!r}; there are: {', '.join(names)}")
    problems = suites.lint(include, load_all(include))
    if name is not None:
        problems = [p for p in problems if p.path == folder / f"{name}.json"]
    broken = {p.path.stem for p in problems}
    chosen = names if name is None else [name]
    show(problems, {"suites": len([n for n in chosen if n not in broken])}, as_json=as_json)
