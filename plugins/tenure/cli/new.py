"""`tenure new dataset`: contract and first suite from one file."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tenure.cli.output import AsJson, print_json
from tenure.layout import INGEST_DATA, dag_id, landing_prefix

if TYPE_CHECKING:
    from tenure.usecases.data.new_dataset import NewDataset

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
    created = create(Settings.from_environment(), wish)
    if as_json:
        print_json(_answer(created))
    else:
        print("\n".join(_lines(created)))


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
        "landing": landing_prefix(dataset.name),
    }


def _lines(created: "NewDataset") -> list[str]:
    dataset = created.dataset
    suffix = "csv" if dataset.source.format == "csv" else "parquet"
    return [
        f"{created.rows:,} rows, {len(dataset.contract.columns):,} columns, "
        f"{len(created.proposals):,} expectations.",
        created.says,
        *(f"wrote {path}" for path in created.files),
        "To be confirmed:",
        *(f"  - {sentence}" for sentence in created.confirm),
        f"Next: read both files, run `tenure check`, and drop files into landing/{dataset.name}/ "
        f"(such as 2024-03.{suffix}). The DAG {dag_id(dataset.name, INGEST_DATA)} takes them.",
    ]
