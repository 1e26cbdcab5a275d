"""`tenure new`: a dataset from one file, a model from a dataset."""

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from tenure.cli.connection import connected
from tenure.cli.next_steps import after_batch, after_dataset, after_model
from tenure.cli.output import AsJson, plain, print_json, say
from tenure.layout import INGEST_DATA, TRAIN_MODEL, dag_id, landing_prefix

if TYPE_CHECKING:
    from tenure.settings import Settings
    from tenure.usecases.onboarding.new_dataset import NewDataset
    from tenure.usecases.onboarding.new_model import NewModel

PATIENCE_SECONDS = 2.0
group = typer.Typer(
    name="new", help="A dataset from a file, a model from a dataset.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@group.callback()
def _new() -> None:
    """What begins a life: a dataset, then a model."""


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
    from tenure.usecases.onboarding.drafting import Cut
    from tenure.usecases.onboarding.new_dataset import DatasetSpec, create

    if batch not in get_args(Cut):
        raise typer.BadParameter(f"{batch!r} is none of {', '.join(get_args(Cut))}")
    wish = DatasetSpec(name, path, time, entity, batch, owner or getpass.getuser(), steward)  # type: ignore[arg-type]
    settings = Settings.from_environment()
    with _waiting() as tell:
        created = create(settings, wish, tell)
    if as_json:
        print_json(_answer(created))
    else:
        say(*_lines(created, settings, path))


@group.command("model")
def model(  # noqa: PLR0917  (the command line fills them by name)
    name: Annotated[str, typer.Argument(help="a-z, 0-9, _ and -.")],
    dataset: Annotated[str, typer.Option(help="What it is trained on; some of it is published.")],
    label: Annotated[str, typer.Option(help="Column that it predicts.")],
    task: Annotated[
        str | None, typer.Option(help="binary|multiclass|regression; guessed from the label.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column: when it happened; the dataset's time column.")
    ] = None,
    positive: Annotated[str | None, typer.Option(help="The value that is true; guessed.")] = None,
    protected: Annotated[
        str, typer.Option(help="Columns, with commas: groups that are audited and not read.")
    ] = "",
    subject: Annotated[str | None, typer.Option(help="Column: whom a decision is about.")] = None,
    outcomes: Annotated[str | None, typer.Option(help="Dataset that outcomes land in.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers for the model; you.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the YAML of a model from the newest rows of its dataset; it can be trained at once."""
    from tenure.lifecycle.training.task_draft import TASKS
    from tenure.usecases.onboarding.model_draft import ModelSpec
    from tenure.usecases.onboarding.new_model import create

    if task is not None and task not in TASKS:
        raise typer.BadParameter(f"{task!r} is none of {', '.join(TASKS)}")
    attributes = tuple(one.strip() for one in protected.split(",") if one.strip())
    wish = ModelSpec(
        name,
        dataset,
        label,
        positive,
        attributes,
        subject,
        outcomes,
        owner or getpass.getuser(),
        task,
        time,
    )
    with connected() as platform, _waiting() as tell:
        created = create(platform, wish, tell)
    if as_json:
        print_json(_model_answer(created))
    else:
        say(*_model_lines(created, platform.settings))


def _model_answer(created: "NewModel") -> dict[str, object]:
    model = created.model
    return {
        "model": model.name,
        "file": str(created.path),
        "rows": created.rows,
        "batches": list(created.batches),
        "task": {"name": model.task, "guessed_because": created.draft.task.why or None},
        "label": {"column": model.label.column, **asdict(created.draft.target.label)},
        "time_column": created.draft.roles.time,
        "subject_column": model.subject_column,
        "features": {
            "numeric": list(model.features.numeric),
            "categorical": list(model.features.categorical),
            "dates": list(model.features.dates),
        },
        "left_out": dict(created.left_out),
        "protected": list(model.bias.attributes),
        "confirm": list(created.confirm),
    }


def _model_lines(created: "NewModel", settings: "Settings") -> list[str]:
    model = created.model
    return [
        *created.decided,
        f"wrote {created.path}",
        "To be confirmed:",
        *(f"  - {sentence}" for sentence in created.confirm),
        f"Next: read the file, then start the DAG {dag_id(model.name, TRAIN_MODEL)}:",
        *after_model(settings, model.name),
    ]


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


def _lines(created: "NewDataset", settings: "Settings", file: Path) -> list[str]:
    dataset = created.dataset
    landing = settings.place(landing_prefix(dataset.name))
    return [
        f"{created.rows:,} rows, {len(dataset.contract.columns):,} columns, "
        f"{len(created.proposals):,} expectations.",
        created.says,
        *created.proof.sentences(),
        *(f"wrote {path}" for path in created.files),
        "To be confirmed:",
        *(f"  - {sentence}" for sentence in created.confirm),
        "Next: read both files, and drop a file into the landing folder. While `tenure up` runs, "
        f"the DAG {dag_id(dataset.name, INGEST_DATA)} takes it, and `tenure ingest` at once:",
        *after_dataset(settings, dataset, file, landing),
        "Then a model:",
        after_batch(dataset.name),
    ]
