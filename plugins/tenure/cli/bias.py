"""`tenure bias-audit`: how a version treats the groups of its protected attributes."""

import typer

from tenure.cli.arguments import NamedVersion, split_version
from tenure.cli.connection import connected, login_name
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, print_table, say
from tenure.verdicts import Check, Verdict


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("bias-audit")(bias_audit)


def bias_audit(version: NamedVersion, as_json: AsJson = False) -> None:
    """Audit a trained version's scored holdout; exits 1 unless the gate passed."""
    from tenure.usecases.training.evidence import bias_audit as audit
    from tenure.vocabulary import RunRef

    model, number = split_version(version)
    run = RunRef("cli", "bias-audit", version, user=login_name())
    with connected() as platform:
        require_model(platform, model)
        report, digest = audit(platform, model, number, run)
    if as_json:
        print_json(report.to_dict() | {"digest": digest})
    else:
        say(f"{report.subject}: {report.summary}")
        print()
        header = ("verdict", "check", "observed", "interval", "allowed")
        print_table(header, [_row(check) for check in report.checks])
        print(f"\nReport {digest}")
    if report.verdict is not Verdict.PASSED:
        raise typer.Exit(1)


def _row(check: Check) -> tuple[str, ...]:
    interval = "[{:.4f}, {:.4f}]".format(*check.interval) if check.interval else ""
    name = f"{check.subject} {check.name}".strip()
    return str(check.verdict), name, check.observed, interval, check.allowed
