"""`tenure serve` and `tenure key`: the scoring gateway and who may call it."""

import ipaddress
import os
from dataclasses import asdict
from typing import Annotated

import typer

from tenure.cli.connection import connected, login_name
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, print_table

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
    behind_tls: Annotated[
        bool,
        typer.Option(
            envvar="TENURE_BEHIND_TLS",
            help="A proxy in front ends TLS: without it only loopback may be bound, "
            "because keys would cross the network in the clear.",
        ),
    ] = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    if not behind_tls and not _is_loopback(host):
        raise typer.BadParameter(
            f"{host} is not loopback; put a proxy that ends TLS in front and say --behind-tls.",
            param_hint="--host",
        )
    # Before numpy: scoring has a thread a version, more inside a call only fight for the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import logging

    from tenure.gateway.main import serve as run
    from tenure.settings import Settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run(Settings.from_environment(), host=host, port=port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[
        list[str],
        typer.Option(help="score, outcome, metrics or admin; may be given several times."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Limit it to this model; may be given several times. All if not given."),
    ] = None,
    rows_per_second: Annotated[
        int | None,
        typer.Option(min=1, help="Rows that each gateway scores for it in a second; any number."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it; it cannot be shown again."""
    from tenure.lifecycle.serving import SCOPES
    from tenure.usecases.serving.api_keys import create_key, key_id

    scopes = [known for known in SCOPES if known in scope]
    if unknown := sorted(set(scope) - set(SCOPES)):
        raise typer.BadParameter(f"{unknown[0]!r}; allowed: {', '.join(SCOPES)}")
    with connected() as platform:
        for one in model or ():
            require_model(platform, one)
        secret = create_key(
            platform,
            name,
            scopes,
            actor=login_name(),
            models=model or None,
            rows_per_second=rows_per_second,
        )
    if as_json:
        print_json({"name": name, "id": key_id(secret), "scopes": scopes, "key": secret})
    else:
        print(secret)


@keys.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show the keys, without their secrets."""
    from tenure.usecases.serving.api_keys import list_keys

    with connected() as platform:
        rows = list_keys(platform)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    header = ("id", "name", "scopes", "models", "rows/s", "created", "last used", "revoked")
    print_table(
        header,
        [
            (
                row.id,
                row.name,
                ",".join(row.scopes),
                ",".join(row.models or ["all"]),
                row.rows_per_second or "any",
                *map(_minute, (row.created_at, row.last_used_at, row.revoked_at)),
            )
            for row in rows
        ],
    )


def _minute(moment: object) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


@keys.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Whose keys end.")],
    key_id: Annotated[
        str, typer.Option("--id", help="Only the key with this id (`tenure key list`).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Take the keys of a name out of force, or one; running gateways follow within a second."""
    from tenure.usecases.serving.api_keys import revoke_key

    with connected() as platform:
        revoked = revoke_key(platform, name, actor=login_name(), key_id=key_id)
    if as_json:
        print_json({"name": name, "revoked": revoked})
    else:
        print(f"{revoked} key(s) of {name} revoked")
    if not revoked:
        raise typer.Exit(code=1)
