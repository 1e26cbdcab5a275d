"""`tenure archive verify`: can a retired version be brought back."""

from typing import Annotated

import typer

from tenure.cli.connection import connected
from tenure.cli.output import AsJson, print_json

group = typer.Typer(no_args_is_help=True, help="Archives of retired versions.")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="archive")


@group.callback()
def _group() -> None:
    """Archives of retired versions."""


@group.command()
def verify(
    version: Annotated[str, typer.Argument(help="MODEL@VERSION, for example flight_late@1.")],
    as_json: AsJson = False,
) -> None:
    """Restore into an empty folder, load the artifact, and let it predict the stored samples."""
    from tenure.wiring.decommission import verify as verify_archive

    model, _, number = version.partition("@")
    if not model or not number.isdecimal():
        raise typer.BadParameter(f"{version!r} is not MODEL@VERSION", param_hint="VERSION")
    with connected() as platform:
        found = verify_archive(platform, model, int(number))
    if as_json:
        print_json(found)
        return
    print(
        f"{found['archive']}: {found['items']} items, {found['bytes']:,} bytes read back; "
        f"{found['predictions']} sample predictions reproduced "
        f"(largest difference {found['largest_difference']:.1e})"
    )
