"""`tenure data`: what was judged, what was published."""

from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected
from tenure.cli.names import require_dataset
from tenure.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from tenure.views.judgements import BatchJudgement, BatchLine

group = typer.Typer(name="data", help="Batches and snapshots.", no_args_is_help=True)

_LISTED = ("batch", "verdict", "rows_in", "rows_ok", "rows_quarantined", "snapshot", "judged_at")
_REGISTER = ("sensitivity", "owner", "steward")
_OPENED = ("created_at", "reader", "purpose", "model", "run_id")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@group.command("list")
def list_batches(
    dataset: Annotated[str | None, typer.Argument(help="One dataset; all when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """List judged batches, newest first."""
    from tenure.views.judgements import batches

    with connected() as platform:
        require_dataset(platform, dataset)
        found = batches(platform, dataset)
    if as_json:
        print_json([vars(line) for line in found])
        return
    rows = [
        [
            line.dataset,
            *(_verdict(line) if n == "verdict" else _short(getattr(line, n)) for n in _LISTED),
            *(getattr(line, name) for name in _REGISTER),
        ]
        for line in found
    ]
    print_table(("dataset", *_LISTED, *_REGISTER), rows)


@group.command("show")
def show(
    dataset: Annotated[str, typer.Argument()],
    batch: Annotated[str, typer.Argument()],
    as_json: AsJson = False,
) -> None:
    """Show the newest judgement of a batch with its checks, and who opened its snapshot."""
    from tenure.views.judgements import judgement

    with connected() as platform:
        require_dataset(platform, dataset)
        found = judgement(platform, dataset, batch)
    if found is None:
        raise typer.BadParameter(f"{dataset} has no batch {batch!r} that was judged")
    if as_json:
        print_json(_judgement_json(found))
        return
    if found.report is not None:
        say(found.report.summary)
    named = ("verdict", "source_key", "snapshot", "quarantine", "report_digest")
    for name in (*named, *_REGISTER):
        value = _verdict(found.line) if name == "verdict" else getattr(found.line, name)
        say(f"{name.replace('_', ' ')}: {value or '-'}")
    checks = found.report.checks if found.report else ()
    print_table(
        ("verdict", "subject", "observed", "allowed", "rule"),
        [[str(c.verdict), c.subject, c.observed, c.allowed, c.name] for c in checks],
    )
    if found.reads:
        print()
        opened = [[_short(getattr(read, name)) for name in _OPENED] for read in found.reads]
        print_table(("opened at", *_OPENED[1:]), opened)


def _verdict(line: "BatchLine") -> str:
    return f"{line.verdict}, partly usable" if line.is_partly_usable else str(line.verdict)


def _judgement_json(found: "BatchJudgement") -> dict[str, object]:
    return {
        **vars(found.line),
        "report": found.report.to_dict() if found.report else None,
        "reads": [vars(read) for read in found.reads],
    }


@group.command("schema")
def schema(dataset: Annotated[str, typer.Argument()], as_json: AsJson = False) -> None:
    """Show which models cannot read what is published, and why; exit 1 when there are any."""
    from tenure.config import load_dataset
    from tenure.usecases.data.compatibility import breaks

    with connected() as platform:
        require_dataset(platform, dataset)
        config, _ = load_dataset(platform.settings.include, dataset)
        found = [vars(one) for one in breaks(platform, config)]
    if as_json:
        print_json(found)
    elif found:
        print_table(("model", "change", "verdict", "batch"), [list(row.values()) for row in found])
    else:
        print(f"Every model that reads {dataset} can read all that is published of it.")
    if found:
        raise typer.Exit(1)


@group.command("owners")
def owners(
    write: Annotated[bool, typer.Option("--write", help="Write the file CODEOWNERS.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print who reviews each suite and contract, as a CODEOWNERS file; exit 1 if it differs."""
    from tenure.settings import Settings
    from tenure.views.judgements import code_owners

    include = Settings.from_environment().include
    path, wanted = include.parent / "CODEOWNERS", code_owners(include)
    if write:
        path.write_text(wanted, encoding="utf-8")
    is_same = path.is_file() and path.read_text(encoding="utf-8") == wanted
    if as_json:
        print_json({"file": path, "is_same": is_same, "lines": wanted.splitlines()})
    else:
        print(wanted, end="")
    if not is_same:
        raise typer.Exit(1)


@group.command("diff")
def diff(
    first: Annotated[str, typer.Argument(help="Beginning of a digest, or DATASET:BATCH.")],
    second: Annotated[str, typer.Argument(help="The same, of what it is compared with.")],
    as_json: AsJson = False,
) -> None:
    """Compare two snapshots: schema, row counts, and each column in numbers side by side."""
    from tenure.usecases.data.comparison import compare, table

    with connected() as platform:
        for name, colon, _ in (text.partition(":") for text in (first, second)):
            require_dataset(platform, name if colon else None)
        found = compare(platform, first, second)
    if as_json:
        print_json(found.as_json())
        return
    for side, row in (("a", found.a), ("b", found.b)):
        say(f"{side}: {row.dataset} {row.batch} {_short(row.digest)}, {row.rows:,} rows")
    header, rows = table(found)
    print_table(header, rows)


def _short(value: object) -> str:
    """Digests as 12 characters, times to the second."""
    if value is None:
        return "-"
    return str(value)[:19] if hasattr(value, "tzinfo") else str(value)[:12]
