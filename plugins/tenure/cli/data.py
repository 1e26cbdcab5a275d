"""`tenure data`: what was judged, what was published."""

from typing import Annotated, Any

import typer

from tenure.cli.connection import connected
from tenure.cli.output import AsJson, print_json, print_table

group = typer.Typer(name="data", help="Batches and snapshots.", no_args_is_help=True)

_LISTED = ("batch", "verdict", "rows_in", "rows_ok", "rows_quarantined", "snapshot", "judged_at")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group)


@group.command("list")
def list_batches(
    dataset: Annotated[str | None, typer.Argument(help="One dataset; all when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """List judged batches, newest first."""
    from tenure.wiring.datasets import batches

    with connected() as platform:
        found = batches(platform, dataset)
    if as_json:
        print_json(found)
        return
    rows = [[row["dataset"], *(_short(row[name]) for name in _LISTED)] for row in found]
    print_table(("dataset", *_LISTED), rows)


@group.command("show")
def show(
    dataset: Annotated[str, typer.Argument()],
    batch: Annotated[str, typer.Argument()],
    as_json: AsJson = False,
) -> None:
    """Show the newest judgement of a batch with its checks."""
    from tenure.wiring.datasets import judgement

    with connected() as platform:
        found = judgement(platform, dataset, batch)
    if found is None:
        raise typer.BadParameter(f"{dataset} has no batch {batch!r} that was judged")
    if as_json:
        print_json(found)
        return
    print(found["report"]["summary"])
    for name in ("verdict", "source_key", "snapshot", "quarantine", "report_digest"):
        print(f"{name.replace('_', ' ')}: {found[name] or '-'}")
    checks = found["report"]["body"]["checks"]
    print_table(
        ("verdict", "subject", "observed", "allowed", "rule"),
        [[c["verdict"], c["subject"], c["observed"], c["allowed"], c["name"]] for c in checks],
    )


def _short(value: Any) -> str:
    """Digests as 12 characters, times to the second."""
    if value is None:
        return "-"
    return str(value)[:19] if hasattr(value, "tzinfo") else str(value)[:12]
