"""`tenure serve` and `tenure key`: the scoring gateway and who may call it."""

import os
from typing import Annotated

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.output import AsJson, print_json

keys = typer.Typer(help="API keys of the gateway.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(serve)
    app.add_typer(keys, name="key")


def serve(
    port: Annotated[
        int, typer.Option(envvar="TENURE_GATEWAY_PORT", min=1, max=65535, help="Port.")
    ] = 8090,
    host: Annotated[str, typer.Option(help="Address to bind; loopback unless told.")] = "127.0.0.1",
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    # Before numpy: scoring has a thread a version, more inside a call only fight for the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import logging

    from tenure.gateway.main import serve as run
    from tenure.settings import Settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run(Settings.from_environment(), host=host, port=port)


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str], typer.Option(help="score, outcome or admin; may be given several times.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    from tenure.wiring.serving import SCOPES, create_key

    scopes = [known for known in SCOPES if known in scope]
    if unknown := sorted(set(scope) - set(SCOPES)):
        raise typer.BadParameter(f"{unknown[0]!r}; allowed: {', '.join(SCOPES)}")
    with connected() as platform:
        secret = create_key(platform, name, scopes, actor=login_name())
    if as_json:
        print_json({"name": name, "scopes": scopes, "key": secret})
    else:
        print(secret)


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Whose keys end.")], as_json: AsJson = False
) -> None:
    """Take every key of a name out of force; running gateways follow within a second."""
    from tenure.wiring.serving import revoke_key

    with connected() as platform:
        revoked = revoke_key(platform, name, actor=login_name())
    if as_json:
        print_json({"name": name, "revoked": revoked})
    else:
        print(f"{revoked} key(s) of {name} revoked")
    if not revoked:
        raise typer.Exit(code=1)
