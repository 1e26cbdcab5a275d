"""`tenure witness`: cosigns the ledger of an installation that other people run."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(witness)


def witness(
    folder: Annotated[
        Path, typer.Argument(help="Its key and what it saw last; made on first use.")
    ],
    log: Annotated[str, typer.Option(help="Public key of the ledger (`tenure ledger key`).")],
    name: Annotated[str, typer.Option(help="What it is called in cosignatures: DOMAIN/NAME.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port.")] = 8095,
    host: Annotated[str, typer.Option(help="Address to bind; loopback unless told.")] = "127.0.0.1",
) -> None:
    """Run a witness until SIGTERM or Ctrl-C; it prints its public key first.

    Run it where whoever owns the ledger's database and store has no access.
    """
    import logging

    from tenure.installation import SystemClock
    from tenure.lifecycle.audit.signed_note import ED25519, NoteFault, parse_key
    from tenure.usecases.audit.witness import Witness, alone, serve_witness

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        key = parse_key(log)
    except NoteFault as error:
        raise typer.BadParameter(str(error), param_hint="--log") from error
    if key.kind != ED25519:
        raise typer.BadParameter("it is the key of a witness", param_hint="--log")
    with alone(folder):
        try:
            found = Witness(folder, name, key, SystemClock())
        except NoteFault as error:
            raise typer.BadParameter(str(error), param_hint="--name") from error
        print(found.key.text, flush=True)
        serve_witness(found, host=host, port=port)
