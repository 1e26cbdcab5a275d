"""`tenure ledger verify`: does the chain hold, and do the invariants."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenure.cli.connection import connected
from tenure.cli.output import AsJson, print_json, print_table, say
from tenure.files import disk_errors

if TYPE_CHECKING:
    from tenure.usecases.audit.ledger import LedgerVerification

UNREACHABLE = 3
"""Exit code of a witness that does not answer."""

group = typer.Typer(no_args_is_help=True, help="The hash chain of every change of state.")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="ledger")


@group.callback()
def _group() -> None:
    """The hash chain of every change of state."""


@group.command()
def verify(
    invariants: Annotated[
        bool, typer.Option("--invariants", help="Also look for rows that break a rule.")
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A signed checkpoint that was kept elsewhere."
        ),
    ] = None,
    witness_key: Annotated[
        str | None,
        typer.Option(help="Public key of the witness; that of platform.yaml if not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every hash, and compare with anchors, rows, and what the witness saw last.

    Exit 1 with what does not hold first; 3 when all holds, but the witness does not answer and no
    checkpoint was given.
    """
    from tenure.usecases.audit.ledger import verify_ledger

    text = checkpoint.read_text("utf-8", "replace") if checkpoint else None
    with connected() as platform:
        found = verify_ledger(platform, invariants=invariants, checkpoint=text, witness=witness_key)
    if as_json:
        print_json(_plain(found))
    else:
        _print(found, with_rules=invariants)
    is_unknown = bool(found.unwitnessed) and not found.checkpoints
    raise typer.Exit(1 if not found.ok else UNREACHABLE if is_unknown else 0)


@group.command()
def key(as_json: AsJson = False) -> None:
    """Show the public key that signs the ledger's checkpoints; its witness must have it."""
    from tenure.usecases.audit.ledger_tree import log_key

    with connected() as platform:
        found = log_key(platform).text
    if as_json:
        print_json({"key": found})
    else:
        print(found)


@group.command()
def proof(
    what: Annotated[str, typer.Argument(help="Number of an event, or a subject: plan:MODEL.")],
    out: Annotated[
        Path,
        typer.Option(exists=True, file_okay=False, writable=True, help="Folder for the files."),
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Write a proof of an event, or of each one of a subject, that is verified offline."""
    from tenure.usecases.audit.proofs import prove_events

    with connected() as platform:
        found = prove_events(platform, what)
    names = {one.seq: out / f"ledger-{one.seq:08d}.tlog-proof" for one in found}
    with disk_errors(out):
        for one in found:
            names[one.seq].write_text(one.text, "utf-8")
    if as_json:
        print_json({"files": [str(path) for path in names.values()], "witness": found[0].witness})
        return
    for path in names.values():
        print(path)
    if found[0].witness is None:
        say("No witness cosigned: the proof shows what the ledger's own key says, and no more.")


def _plain(found: "LedgerVerification") -> dict[str, object]:
    """JSON form; `ok` is about the chain and the invariants together."""
    return {
        "events": found.events,
        "head": found.head,
        "anchors": found.anchors,
        "platform_yaml_recorded": found.knows_platform,
        "ok": found.ok,
        "broken": vars(found.broken) if found.broken else None,
        "checkpoints": [
            {"size": one.tree.size, "witness": one.witness, "at": one.seen_at}
            for one in found.checkpoints
        ],
        "unwitnessed": found.unwitnessed,
        "invariants": [
            {
                "id": one.id,
                "rows": len(one.breaches),
                "meaning": one.meaning,
                "examples": one.examples,
            }
            for one in found.invariants
        ],
    }


def _print(found: "LedgerVerification", *, with_rules: bool) -> None:
    if found.broken:
        say(f"BROKEN at event {found.broken.seq}: {found.broken.why}")
        print(f"Still safe: the {found.events} events before it hold.")
        print(
            "Next step: compare with a backup of the lifecycle database; find out who wrote to it."
        )
    else:
        print(f"{found.events} events hold; head {found.head}; {found.anchors} anchors agree")
    _print_compared(found)
    if not found.knows_platform:
        print(
            "platform.yaml, as it is in force, has no ledger event; maintain_platform writes it "
            "within minutes."
        )
    if with_rules or found.violations:
        _print_rules(found)


def _print_compared(found: "LedgerVerification") -> None:
    """What the events were compared with that the database's owner cannot change."""
    for one in found.checkpoints:
        print(f"Compared with {one.words}: {one.tree.size} events.")
    if found.unwitnessed:
        say(f"NOT COMPARED with what the witness saw: {found.unwitnessed}")
    elif not found.checkpoints:
        print("Compared with no witness: who owns database and object store could rewrite it.")


def _print_rules(found: "LedgerVerification") -> None:
    rows = [(one.id, len(one.breaches), one.meaning) for one in found.invariants]
    print_table(("rule", "rows", "meaning"), rows)
    for one in found.invariants:
        for example in one.examples:
            say(f"{one.id}: " + ", ".join(f"{k}={v}" for k, v in example.items()))
