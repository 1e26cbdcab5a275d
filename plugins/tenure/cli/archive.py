"""`tenure archive verify`: can a retired version be brought back."""

import typer

from tenure.cli.arguments import NamedVersion, split_version
from tenure.cli.connection import connected
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json

group = typer.Typer(no_args_is_help=True, help="Archives of retired versions.")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="archive")


@group.callback()
def _group() -> None:
    """Archives of retired versions."""


@group.command()
def verify(version: NamedVersion, as_json: AsJson = False) -> None:
    """Restore into an empty folder, load the artifact, and let it predict the stored samples."""
    from tenure.usecases.retirement.decommissioning import verify as verify_archive

    model, number = split_version(version)
    with connected() as platform:
        require_model(platform, model)
        found = verify_archive(platform, model, number)
    if as_json:
        print_json({**vars(found), "ok": True})  # else an error was raised
        return
    print(
        f"{found.archive}: {found.items} items, {found.bytes:,} bytes read back; "
        f"{found.predictions} sample predictions reproduced "
        f"(largest difference {found.largest_difference:.1e})"
    )
