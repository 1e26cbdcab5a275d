"""`tenure reproduce`: train a version again in a clean process, and compare."""

import typer

from tenure.cli.arguments import NamedVersion, split_version
from tenure.cli.connection import connected, login_name
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, print_table, say
from tenure.verdicts import Verdict


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reproduce")(reproduce)


def reproduce(version: NamedVersion, as_json: AsJson = False) -> None:
    """Train a version again from its config, snapshots and seed; exits 1 if anything differs.

    It moves nothing: the report is stored, the version stays as it is.
    """
    from tenure.usecases.evaluation.reproduce import reproduce as again
    from tenure.vocabulary import RunRef

    model, number = split_version(version)
    run = RunRef("cli", "reproduce", version, user=login_name())
    with connected() as platform:
        require_model(platform, model)
        report, digest = again(platform, model, number, run)
    if as_json:
        print_json(report.to_dict() | {"digest": digest})
    else:
        say(f"{report.subject}: {report.summary}")
        print()
        rows = [(str(c.verdict), c.name, c.allowed, c.observed) for c in report.checks]
        print_table(("verdict", "compared", "stored", "again"), rows)
        print(f"\nReport {digest}")
    if report.verdict is not Verdict.PASSED:
        raise typer.Exit(1)
