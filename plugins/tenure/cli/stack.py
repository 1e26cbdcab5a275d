"""`tenure up | down | status | doctor`."""

import os
from dataclasses import asdict
from typing import Annotated

import typer

from tenure.cli.output import AsJson, print_json, print_table
from tenure.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (up, down, status, doctor):
        app.command()(command)


def up() -> None:
    """Start the embedded stack and stay with it until Ctrl-C or SIGTERM."""
    from tenure.stack import Stack
    from tenure.stack.foreground import ends_with, hold

    try:
        settings = Settings.from_environment()
        with ends_with(Stack(settings.home, include=settings.include)) as stack:
            logs = stack.layout.logs
            _say(f"Starting in {stack.home} with {stack.layout.include}; logs in {logs}")
            stack.start(_ready)
            stack.wait_healthy(_ready)
            for name in ("airflow", "mlflow", "gateway"):
                _say(f"{name:<10} {stack.endpoints.url(name)}")
            _say(f"{'users':<10} {stack.layout.passwords}")
            _say("Ctrl-C ends everything.")
            hold(
                stack,
                lambda name: _say(f"{name} ended by itself, the others go on: {logs}/{name}.log"),
            )
    except KeyboardInterrupt:
        _say("Ended; no process is left.")


def down() -> None:
    """End the stack, and whatever an interrupted one left behind."""
    from tenure.stack.embedded import down as end

    count = end(Settings.from_environment().home)
    print(f"Ended {count} processes." if count else "Nothing was running.")


def status(as_json: AsJson = False) -> None:
    """Show each service with its URL and health; exit 3 when one is unreachable."""
    from tenure.stack.embedded import status as ask

    settings = Settings.from_environment()
    services = ask(settings)
    if as_json:
        print_json({"home": settings.home, "services": [asdict(service) for service in services]})
    else:
        rows = [
            (s.name, "ok" if s.healthy else "DOWN", s.url, s.pid or "-", s.detail) for s in services
        ]
        print_table(("service", "health", "url", "pid", "detail"), rows)
    if not all(service.healthy for service in services):
        raise typer.Exit(3)


def doctor(
    as_json: AsJson = False,
    only_live: Annotated[
        bool, typer.Option("--live", help="Only what a health check asks.")
    ] = False,
) -> None:
    """Check whether this machine can run Tenure, without starting it; exit 1 when not."""
    from tenure.stack.doctor import examine, live

    looked = live(os.environ) if only_live else examine(Settings.from_environment(), os.environ)
    findings = list(looked)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [
            (
                f.name,
                "ok" if f.healthy else "NOT OK",
                f.detail + ("" if f.healthy else f" -> {f.fix}"),
            )
            for f in findings
        ]
        print_table(("check", "result", "detail"), rows)
    if not all(finding.healthy for finding in findings):
        raise typer.Exit(1)


def _ready(name: str, seconds: float) -> None:
    _say(f"{seconds:6.1f} s  {name} is ready")


def _say(line: str) -> None:
    print(line, flush=True)
