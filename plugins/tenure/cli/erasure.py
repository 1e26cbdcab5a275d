"""`tenure decision erase`: a person's features in the decision log become noise."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenure.cli.arguments import Actor, acting
from tenure.cli.names import require_model
from tenure.cli.output import AsJson, print_json, say

if TYPE_CHECKING:
    from tenure.usecases.decisions.erasure import ErasureRequest, Proof, Trace

_REMAINS = (
    "A backup of the lifecycle database, and its archived write-ahead log, hold the destroyed keys "
    "until they expire; whoever has one and the master key can open what was sealed.",
    "Landing zone, snapshots, quarantine and refused files hold the person as before: this erased "
    "the decision log. Refused files are kept only of datasets without a personal column, and for "
    "`retention_days`. Ids, scores and decisions stay in the log, under the pseudonyms.",
)


def erase(  # noqa: PLR0917  (the command line fills them by name)
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    subject: Annotated[
        str,
        typer.Option(
            "--subject",
            help="Whom, as clients name the person, or the subject of one of the decisions. "
            "`-` reads it from stdin, so that it stands in no shell history.",
        ),
    ],
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it stands in the ledger. Name nobody in it.")
    ],
    actor: Actor = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Destroy the keys of a person's logged features, for good; exit 1 if any can still be read.

    A key belongs to the person, not to one model: what other models logged about the same subject
    is erased with it. Stewards may do it.
    """
    from tenure.usecases.decisions.erasure import erase as do
    from tenure.usecases.decisions.erasure import intend

    whom = _subject(subject, asks=not yes)
    _check(whom, reason, silent=as_json and not yes)
    with acting(actor) as (platform, user):
        require_model(platform, model)
        request = intend(platform, model, whom, actor=user)
        if not as_json:
            say(*_found(request))
        if not (yes or request.is_done):
            typer.confirm("Destroy the keys? Nobody can undo it.", abort=True)
        proof = do(platform, request, reason=reason, actor=user)
    if as_json:
        print_json(_answer(request, proof))
    else:
        say(*_done(request, proof))
    raise typer.Exit(0 if proof.ok else 1)


def _subject(given: str, *, asks: bool) -> str:
    """What was given, or a line of stdin; typed unseen at a terminal. Raises BadParameter."""
    if given != "-":
        return given
    if sys.stdin.isatty():
        return str(typer.prompt("Subject", hide_input=True, err=True))
    if asks:
        raise typer.BadParameter("`-` takes stdin, so nobody can be asked: add --yes")
    return sys.stdin.readline().rstrip("\r\n")


def _check(subject: str, reason: str, *, silent: bool) -> None:
    if not subject:
        raise typer.BadParameter("it is empty", param_hint="--subject")
    if not reason.strip():
        raise typer.BadParameter("it is empty", param_hint="--reason")
    if re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", reason, re.IGNORECASE):
        said = "it names the subject, and the ledger keeps it for good"
        raise typer.BadParameter(said, param_hint="--reason")
    if silent:
        raise typer.BadParameter("--json asks nobody: add --yes")


def _found(request: "ErasureRequest") -> Iterator[str]:
    online = sum(_asked(trace)["online"] for trace in request.traces)
    batch = request.decisions - online
    yield (
        f"{request.decisions:,} decisions about this subject ({online:,} online, {batch:,} batch), "
        f"in {request.files:,} files:"
    )
    for trace in request.traces:
        models = Counter[str]()
        for (model, _), number in trace.decisions.items():
            models[model] += number
        told = ", ".join(f"{number:,} of {model}" for model, number in sorted(models.items()))
        yield f"  {trace.pseudonym} ({trace.origin}; key: {trace.key}): {told or 'none'}"


def _done(request: "ErasureRequest", proof: "Proof") -> Iterator[str]:
    before = "The keys were destroyed before. " if request.is_done else "The keys are destroyed. "
    yield (
        f"{before}{proof.rows - proof.opened:,} of {proof.rows:,} sealed rows in "
        f"{proof.files:,} files open no more."
    )
    if proof.feedback:
        yield f"Reasons and answers of {proof.feedback:,} pieces of feedback are erased."
    if proof.left:
        yield (
            f"NOT ERASED: the features of {proof.left:,} decisions stand in clear in the object "
            "store: logged before their model was personal, or its YAML is gone and nobody can say."
        )
    if request.other_keys:
        yield (
            f"Snapshots have pseudonyms by other keys as well ({', '.join(request.other_keys)}): "
            "for decisions of their batches run this again with each of them as "
            "TENURE_PSEUDONYM_KEY."
        )
    yield from _REMAINS


def _answer(request: "ErasureRequest", proof: "Proof") -> dict[str, Any]:
    return {
        "ok": proof.ok,
        "model": request.model,
        "done_before": request.is_done,
        "decisions": request.decisions,
        "pseudonyms": [_plain(trace) for trace in request.traces],
        "sealed_rows": proof.rows,
        "still_open": proof.opened,
        "left_in_clear": proof.left,
        "feedback_erased": proof.feedback,
        "files": proof.files,
        "other_pseudonym_keys": list(request.other_keys),
        "remains": list(_REMAINS),
    }


def _plain(trace: "Trace") -> dict[str, Any]:
    decisions = [
        {"model": model, "asked": asked, "decisions": number}
        for (model, asked), number in sorted(trace.decisions.items())
    ]
    return {
        "pseudonym": trace.pseudonym,
        "origin": trace.origin,
        "key_before": trace.key,
        "decisions": decisions,
        "in_clear": trace.in_clear.total(),
    }


def _asked(trace: "Trace") -> Counter[str]:
    counts = Counter[str]()
    for (_, asked), number in trace.decisions.items():
        counts[asked] += number
    return counts
