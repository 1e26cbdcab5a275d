"""`tenure up | down | status | doctor`."""

import os
from dataclasses import asdict

import typer

from tenure.cli.output import AsJson, print_json, print_table
from tenure.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (up, down, status, doctor):
        app.command()(command)


def up() -> None:
    """Start the embedded stack and stay with it until Ctrl-C or SIGTERM."""
    from tenure.stack.embedded import Stack
    from tenure.stack.endpoints import Endpoints
    from tenure.stack.foreground import ends_with, hold

    settings = Settings.from_environment()
    stack = Stack(settings.home, Endpoints.from_environment(), include=settings.include)
    try:
        with ends_with(stack):
            print(f"Starting in {stack.home}; logs in {stack.layout.logs}", flush=True)
            stack.start(_ready)
            stack.wait_healthy(_ready)
            for name in ("airflow", "mlflow", "gateway"):
                print(f"{name:<14} {stack.endpoints.url(name)}")
            print(f"{'users':<14} {stack.layout.passwords}")
            print("Ctrl-C ends everything.", flush=True)
            hold(stack, lambda name: _gone(name, stack.layout.logs / f"{name}.log"))
    except KeyboardInterrupt:
        print("Ended; no process is left.", flush=True)


def down() -> None:
    """End the stack, and whatever an interrupted one left behind."""
    from tenure.stack.embedded import down as end

    count = end(Settings.from_environment().home)
    print(f"Ended {count} processes." if count else "Nothing was running.")


def status(as_json: AsJson = False) -> None:
    """Show each service with its URL and health; exit 3 when one is unreachable."""
    from tenure.stack.embedded import status as ask

    settings = Settings.from_environment()
    services = ask(settings.home)
    if as_json:
        print_json({"home": settings.home, "services": [asdict(service) for service in services]})
    else:
        rows = [
            (s.name, "ok" if s.healthy else "DOWN", s.url, s.pid or "-", s.detail) for s in services
        ]
        print_table(("service", "health", "url", "pid", "detail"), rows)
    if not all(service.healthy for service in services):
        raise typer.Exit(3)


def doctor(as_json: AsJson = False) -> None:
    """Check whether this machine can run Tenure, without starting anything; exit 1 when not."""
    from tenure.stack.doctor import examine

    findings = list(examine(Settings.from_environment(), os.environ))
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
    print(f"{seconds:6.1f} s  {name} is ready", flush=True)


def _gone(name: str, log: object) -> None:
    print(f"{name} ended by itself; the others go on. Its log: {log}", flush=True)
