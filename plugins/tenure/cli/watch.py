"""`tenure watch`: a small process, best on another machine, that misses what is silent."""

import os
import socket
from typing import Annotated

import typer

from tenure.cli.output import AsJson, print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(watch)


def watch(
    once: Annotated[
        bool, typer.Option("--once", help="Look once, say what is there, and end.")
    ] = False,
    database: Annotated[
        bool | None,
        typer.Option(
            help="Whether to read the lifecycle database; by default where TENURE_DATABASE_URL "
            "is set."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Watch gateway, Airflow and database, and post to `watch.webhook` when one is silent."""
    import logging
    import time

    from tenure.installation import Installation
    from tenure.settings import Settings
    from tenure.usecases.serving.watch import Probes, Watch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    platform = Installation(Settings.from_environment(), patience_seconds=10.0)
    reads = "TENURE_DATABASE_URL" in os.environ if database is None else database
    probes = Probes(
        platform,
        platform.clock.now(),
        with_database=reads,
        with_gateway=True,
        expects_all=True,
    )
    if once:
        heard = {sign.name: sign for sign in probes.look()}
        now = platform.clock.now()
        silent = [n for n, s in heard.items() if s.seen_at == probes.began or s.is_silent(now)]
        if as_json:
            print_json({"heard": sorted(set(heard) - set(silent)), "silent": sorted(silent)})
        else:
            for name in heard:
                print(f"{name}: {'silent' if name in silent else 'there'}")
        raise typer.Exit(1 if silent else 0)
    found = Watch(platform, f"watch-{socket.gethostname().lower()}"[:64], probes.look)
    if why := found.deaf():
        logging.getLogger("tenure.watch").warning("posts=nowhere reason=%s", why)
    while True:
        found.look()
        time.sleep(found.look_seconds)
