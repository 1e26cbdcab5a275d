"""`tenure suite`: what a steward needs to change a rule and to know what it would do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.check import show
from tenure.cli.connection import connected
from tenure.cli.names import one_of, require_dataset
from tenure.cli.output import AsJson, print_json, print_table, say
from tenure.cli.suite_words import preview_json, preview_lines, renamed_lines, suggestions_json

if TYPE_CHECKING:
    from tenure.installation import Installation
    from tenure.usecases.suites.suites import Edit

group = typer.Typer(name="suite", help="Expectation suites.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The suite: expectations/NAME.json.")]
Against = Annotated[
    str | None,
    typer.Option("--against", help="A git revision; the suite in force when it is left out."),
]


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
    names = _names(include)
    if name is not None:
        one_of("suite", name, names)
    problems = suites.lint(include, load_all(include))
    if name is not None:
        problems = [p for p in problems if p.path == folder / f"{name}.json"]
    broken = {p.path.stem for p in problems}
    chosen = names if name is None else [name]
    show(problems, {"suites": len([n for n in chosen if n not in broken])}, as_json=as_json)


@group.command("diff")
def diff(name: Name, against: Against = None, as_json: AsJson = False) -> None:
    """Say in plain words what the edited suite changes."""
    with connected() as platform:
        edited = _edit(platform, name, against)
    if as_json:
        print_json({"suite": name, "against": edited.against, "changes": _changes(edited)})
        return
    print(f"{name}, beside {edited.against}:")
    say(*(f"  {c}" for c in edited.changes or ("nothing that matters to data changed",)))
    say(*renamed_lines(edited))


@group.command("preview")
def preview(
    name: Name,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="Batches of each dataset.")] = 30,
    against: Against = None,
    as_json: AsJson = False,
) -> None:
    """Judge the last batches by the edited suite and by the one in force: what would change."""
    from tenure.usecases.suites import suites

    with connected() as platform:
        edited = _edit(platform, name, against)
        batches = suites.last_batches(platform, name, last)
        with _progress(len(batches)) as advance:
            seen = suites.preview(platform, edited, batches, advance)
        models = list(suites.downstream(platform, edited, seen))
    if as_json:
        print_json(preview_json(edited, seen, models) | {"changes": _changes(edited)})
    else:
        say(*preview_lines(edited, seen, models))


@group.command("suggest")
def suggest(
    dataset: Annotated[str, typer.Argument(help="The dataset whose history is read.")],
    last: Annotated[int, typer.Option(min=1, max=10_000, help="Published batches.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Propose expectations from history, each with its evidence; nothing is applied."""
    from tenure.usecases.suites import suggestions

    with connected() as platform:
        require_dataset(platform, dataset)
        found = suggestions.history(platform, dataset, last)
        with _progress(len(found.snapshots)) as advance:
            proposed = suggestions.suggest(platform, found, advance)
    batches = [batch for batch, _ in found.snapshots]
    if as_json:
        print_json(suggestions_json(found, proposed))
        return
    print(f"{dataset}, suite {found.suite.name}, from {len(batches)} published batches:")
    say(*(f"  {suggestion}" for suggestion in proposed))
    print("Nothing was changed. `--json` prints each proposal as it would stand in the suite.")


@group.command("history")
def history(
    name: Name,
    last: Annotated[int, typer.Option(min=1, max=10_000, help="Revisions.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Say who changed a suite and when, newest first; without git, since when each judged."""
    from tenure.views.suite_history import history

    with connected() as platform:
        one_of("suite", name, _names(platform.settings.include))
        found = history(platform, name, last)
    if as_json:
        print_json([vars(one) for one in found])
        return
    rows = [[str(one.at)[:19], one.revision[:12], one.author, one.why] for one in found]
    print_table(("when", "revision", "who", "why"), rows)


def _changes(edited: "Edit") -> list[dict[str, object]]:
    return [vars(change) for change in edited.changes]


def _edit(platform: "Installation", name: str, against: str | None) -> "Edit":
    from tenure.usecases.suites.suites import NothingToCompare, edit

    one_of("suite", name, _names(platform.settings.include))
    try:
        return edit(platform, name, against)
    except NothingToCompare as error:
        raise typer.BadParameter(str(error), param_hint="--against") from None


def _names(include: Path) -> list[str]:
    return sorted(path.stem for path in (include / "expectations").glob("*.json"))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr, where somebody looks at it; yields what to call after each batch."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading batches", total=total)
        yield lambda: bar.advance(task)
