"""`tenure new dataset`: contract and first suite from one file."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tenure.cli.output import AsJson, plain, print_json, say
from tenure.layout import INGEST_DATA, dag_id, landing_prefix

if TYPE_CHECKING:
    from tenure.usecases.data.new_dataset import NewDataset

PATIENCE_SECONDS = 2.0
group = typer.Typer(name="new", help="A dataset from a file.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@group.callback()
def _new() -> None:
    """What begins a life: a dataset."""


@group.command("dataset")
def dataset(  # noqa: PLR0917  (the command line fills them by name)
    name: Annotated[str, typer.Argument(help="a-z, 0-9, _ and -.")],
    path: Annotated[Path, typer.Option("--from", help="A CSV (also gzip) or Parquet file.")],
    time: Annotated[str | None, typer.Option(help="Column: when it happened.")] = None,
    entity: Annotated[str | None, typer.Option(help="Column: whom a row is about.")] = None,
    batch: Annotated[str, typer.Option(help="What one file holds: month|week|day|file.")] = "file",
    owner: Annotated[str | None, typer.Option(help="Who answers for the source; you.")] = None,
    steward: Annotated[
        str | None, typer.Option(help="Who keeps the suite; the first of platform.yaml.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Profile a file; write its contract and a first suite that it passes itself."""
    from tenure.settings import Settings
    from tenure.usecases.data.drafting import Cut
    from tenure.usecases.data.new_dataset import DatasetSpec, create

    if batch not in get_args(Cut):
        raise typer.BadParameter(f"{batch!r} is none of {', '.join(get_args(Cut))}")
    wish = DatasetSpec(name, path, time, entity, batch, owner or getpass.getuser(), steward)  # type: ignore[arg-type]
    with _waiting() as tell:
        created = create(Settings.from_environment(), wish, tell)
    if as_json:
        print_json(_answer(created))
    else:
        say(*_lines(created))


@contextmanager
def _waiting() -> Iterator[Callable[[str], None]]:
    """What is being done, on stderr every two seconds; yields what to call with each next thing."""
    doing, ended, begun = ["beginning"], Event(), monotonic()

    def speak() -> None:
        while not ended.wait(PATIENCE_SECONDS):
            line = f"… {plain(doing[0])} ({monotonic() - begun:.0f} s)"
            print(line, file=sys.stderr, flush=True)

    speaker = Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield lambda line: doing.__setitem__(0, line)
    finally:
        ended.set()
        speaker.join()


def _answer(created: "NewDataset") -> dict[str, object]:
    dataset = created.dataset
    columns = dataset.contract.columns
    return {
        "dataset": dataset.name,
        "files": [str(path) for path in created.files],
        "rows": created.rows,
        "key": list(dataset.contract.key),
        "time_column": dataset.time_column,
        "entity_column": dataset.entity_column,
        "columns": [{"name": n, **c.model_dump(mode="json")} for n, c in columns.items()],
        "expectations": [p.as_expectation() for p in created.proposals],
        "confirm": list(created.confirm),
        "says": created.says,
        "batches": {
            "cut": str(created.proof.cut),
            "total": created.proof.batches,
            "judged": len(created.proof.verdicts),
            "passed": len(created.proof.verdicts) - len(created.proof.refused),
            "refused": [{"batch": v.batch, "why": v.why} for v in created.proof.refused],
        },
        "landing": landing_prefix(dataset.name),
    }


def _lines(created: "NewDataset") -> list[str]:
    dataset = created.dataset
    suffix = "csv" if dataset.source.format == "csv" else "parquet"
    return [
        f"{created.rows:,} rows, {len(dataset.contract.columns):,} columns, "
        f"{len(created.proposals):,} expectations.",
        created.says,
        *created.proof.sentences(),
        *(f"wrote {path}" for path in created.files),
        "To be confirmed:",
        *(f"  - {sentence}" for sentence in created.confirm),
        f"Next: read both files, run `tenure check`, and drop files into landing/{dataset.name}/ "
        f"(such as 2024-03.{suffix}). The DAG {dag_id(dataset.name, INGEST_DATA)} takes them.",
    ]
