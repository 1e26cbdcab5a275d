"""`tenure bias-audit`: how a version treats the groups of its protected attributes."""

import getpass
from typing import Annotated

import typer

from tenure.cli.connection import connected
from tenure.cli.output import AsJson, print_json, print_table
from tenure.verdicts import Check, Verdict

Named = Annotated[str, typer.Argument(metavar="MODEL@VERSION", help="Such as flight_late@2.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bias-audit")(bias_audit)


def bias_audit(version: Named, as_json: AsJson = False) -> None:
    """Audit a trained version's scored holdout; exits 1 unless the gate passed."""
    from tenure.vocabulary import RunRef, is_id
    from tenure.wiring.evidence import bias_audit as audit

    model, _, number = version.partition("@")
    if not is_id(model) or not number.isdecimal():
        raise typer.BadParameter(f"{version!r} is not MODEL@VERSION, such as flight_late@2")
    run = RunRef("cli", "bias-audit", version, user=getpass.getuser())
    with connected() as platform:
        report, digest = audit(platform, model, int(number), run)
    if as_json:
        print_json(report.to_dict() | {"digest": digest})
    else:
        print(f"{report.subject}: {report.summary}\n")
        header = ("verdict", "check", "observed", "interval", "allowed")
        print_table(header, [_row(check) for check in report.checks])
        print(f"\nReport {digest}")
    if report.verdict is not Verdict.PASSED:
        raise typer.Exit(1)


def _row(check: Check) -> tuple[str, ...]:
    interval = "[{:.4f}, {:.4f}]".format(*check.interval) if check.interval else ""
    name = f"{check.subject} {check.name}".strip()
    return str(check.verdict), name, check.observed, interval, check.allowed
