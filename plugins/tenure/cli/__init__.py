"""The `tenure` command: one module a group of commands.

Exit codes: 0 ok · 1 a verdict failed or is inconclusive, or a person must act · 2 wrong usage ·
3 something is unreachable.
"""

import os
import sys

import typer

from tenure.cli import (
    archive,
    authorization,
    bias,
    check,
    data,
    decision,
    demo,
    drift,
    drill,
    gateways,
    incident,
    init,
    ledger,
    lineage,
    migrate,
    new,
    reconcile,
    reproduce,
    review,
    rollback,
    runs,
    serve,
    stack,
    suite,
    watch,
    witness,
)
from tenure.cli.measured import MeasuredGroup
from tenure.cli.output import plain
from tenure.errors import FileRefused, PortTaken, ServiceUnreachable, TenureError, TextRefused

WRONG_USAGE = 2
UNREACHABLE = 3

app = typer.Typer(
    name="tenure",
    cls=MeasuredGroup,
    help="Keeps machine-learning models employed responsibly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# One line a group. A module offers `register(app)` and imports what is heavy inside its commands.
for group in [
    archive,
    authorization,
    bias,
    check,
    data,
    decision,
    demo,
    drift,
    drill,
    gateways,
    incident,
    init,
    ledger,
    lineage,
    migrate,
    new,
    reconcile,
    reproduce,
    review,
    rollback,
    runs,
    serve,
    stack,
    suite,
    watch,
    witness,
]:
    group.register(app)


def exit_code(error: TenureError) -> int:
    """2 for a text or a file that cannot be taken, 3 when a service is not there, else 1."""
    if isinstance(error, TextRefused | FileRefused):
        return WRONG_USAGE
    return UNREACHABLE if isinstance(error, ServiceUnreachable | PortTaken) else 1


def main() -> None:
    """Run the command line; an error that asks a person to act is printed, not traced."""
    # scikit-learn's threads spin while they wait: a row costs 4 ms on one, 40 on two busy cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        app()
    except TenureError as error:
        lines = "\n".join([f"{type(error).__name__}: {error.what}", *error.lines()[1:]])
        print("\n".join(map(plain, lines.split("\n"))), file=sys.stderr)
        sys.exit(exit_code(error))
