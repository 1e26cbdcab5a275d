"""`tenure drift`: how far live decisions are from the reference, judged now and stored nowhere."""

from typing import Annotated

import typer

from tenure.cli.connection import connected
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, print_table, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("drift")(drift)


def drift(
    model: Annotated[str, typer.Argument(help="Name of the model.")], as_json: AsJson = False
) -> None:
    """Judge all decisions of the champion: drift, quality, and performance when labels are in."""
    from tenure.usecases.monitoring.monitor import look
    from tenure.verdicts import Verdict, worst

    with connected() as platform:
        require_model(platform, model)
        reports = look(platform, model)
    verdict = worst(report.verdict for report in reports)
    if as_json:
        print_json(
            {
                "model": model,
                "verdict": str(verdict),
                "reports": [report.to_dict() for report in reports],
            }
        )
    elif not reports:
        print(f"{model}: no champion, or it has decided nothing yet.")
    else:
        for report in reports:
            say(report.summary)
        print()
        print_table(
            ("check", "of", "verdict", "observed", "allowed"),
            [
                (check.name, check.subject, check.verdict, check.observed, check.allowed)
                for report in reports
                for check in report.checks[:10]
            ],
        )
    if verdict is not Verdict.PASSED:
        raise typer.Exit(1)
