"""`tenure lineage`: from a version or a decision back to its files, and from a file forward."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from tenure.cli.arguments import split_version
from tenure.cli.connection import connected, login_name
from tenure.cli.output import AsJson, plain, print_json, say

if TYPE_CHECKING:
    from tenure.installation import Installation
    from tenure.usecases.decisions.replay import DecisionRecap
    from tenure.views.lineage import (
        Serving,
        SnapshotLineage,
        SourceLineage,
        VersionLineage,
    )

_READERS = 5
"""Readers of a snapshot that are printed; `--json` has all."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lineage")(lineage)


def lineage(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="MODEL@N, the id of a decision, the beginning of a snapshot's digest, "
            "DATASET:BATCH, or the key of a landed file.",
        ),
    ],
    graph: Annotated[
        bool, typer.Option("--graph", help="Print a Mermaid flowchart instead of sentences.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Where a version or a decision came from, and what a snapshot or a file reached.

    Reads only what ingestion, training, scoring and gateways recorded. Whoever asks about a
    decision is noted in the ledger.
    """
    from tenure.usecases.data.comparison import named_snapshot
    from tenure.usecases.decisions.segments import answers_by_version
    from tenure.views import lineage as view

    if graph and as_json:
        raise typer.BadParameter("give --graph or --json, not both")
    with connected() as platform:
        recap = _decision(platform, what)
        if recap is not None or "@" in what:
            named = recap.decision if recap else None
            model, number = (named.model, named.version) if named else split_version(what)
            back = view.of_version(platform, model, number)
            if back is None:
                raise typer.BadParameter(f"there is no version {model}@{number}")
            answers = {model: answers_by_version(platform, model)}
            told = _graph_of_version(back, answers) if graph else _of_version(back, answers)
            if recap is not None:
                told = itertools.chain(told, [_node(recap)] if graph else [_sentence(recap)])
            found: Any = back
        else:
            forward = view.of_snapshot(platform, named_snapshot(platform, what).id)
            models = {one.learner.model for one in forward.reached}
            answers = {one: answers_by_version(platform, one) for one in sorted(models)}
            told = _graph_of_snapshot(forward, answers) if graph else _of_snapshot(forward, answers)
            found = forward
    if as_json:
        print_json(asdict(found) | {"answers": answers})
    else:
        say(*told)


def _decision(platform: "Installation", what: str) -> "DecisionRecap | None":
    """The decision of this id, which the ledger then knows was looked at; None of other texts."""
    from tenure.usecases.decisions import replay

    try:
        wanted = str(UUID(what))
    except ValueError:
        return None
    replay.note_read(platform, [wanted], how="lineage", reader=login_name())
    found = replay.show(platform, wanted)
    if found is None:
        raise typer.BadParameter(f"decision {wanted} is not in the log")
    return found


def _sentence(recap: "DecisionRecap") -> str:
    one = recap.decision
    by = "" if one.fallback_level == "model" else f" (the {one.fallback_level} answered)"
    return f"decision {one.decision_id}: answered at {one.received_at:%F %T}{by}"


def _node(recap: "DecisionRecap") -> str:
    one = recap.decision
    return f"  v --> d[{_label(f'decision {one.decision_id}', f'{one.received_at:%F %T}')}]"


Answers = Mapping[str, Mapping[int, int]]
"""Logged answers by model and version."""


def _of_version(found: "VersionLineage", answers: Answers) -> Iterator[str]:
    row, run = found.row, found.run
    yield f"{row.name} ({row.state}), trained by {row.trained_by} at {row.created_at:%F %T}"
    yield f"  run: {_run(run.dag_id, run.run_id)}"
    if run.reason:
        yield f"  why: {run.reason}"
    yield f"  MLflow run: {row.mlflow_run_id or '-'}"
    for name in ("artifact", "config", "code", "lock"):
        yield f"  {name}: {getattr(row, f'{name}_digest') or '-'}"
    yield f"made of {_counted(len(found.sources), 'snapshot')}:"
    for source in found.sources:
        yield from _of_source(source)
    yield from _traffic(found.serving, answers[row.model].get(row.version, 0))
    yield from _scored(found)


def _of_snapshot(found: "SnapshotLineage", answers: Answers) -> Iterator[str]:
    yield from _of_source(found.source)
    yield f"learned from by {_counted(len(found.reached), 'version')}:"
    for one in found.reached:
        mine = one.learner
        yield f"  {mine.model}@{mine.version} ({mine.state}), by {mine.trained_by}"
        for line in _traffic(one.serving, answers[mine.model].get(mine.version, 0)):
            yield f"  {line}"
    yield from _scored(found)


def _of_source(source: "SourceLineage") -> Iterator[str]:
    one = source.origin
    yield f"  {one.dataset}:{one.batch}: {one.rows:,} rows, snapshot {one.digest}"
    yield f"    file: {one.source_key or '-'} (sha256 {one.source_digest or '-'})"
    refused = f", {one.rows_quarantined:,} rows refused" if one.rows_quarantined else ""
    yield f"    judged by: suite {one.suite or '-'} {one.suite_digest}{refused}"
    yield f"    run: {_run(one.dag_id, one.run_id)}"
    for reader in source.readers[:_READERS]:
        whom = f" of {reader.model}" if reader.model else ""
        times = f", {reader.times} times, last" if reader.times > 1 else ""
        for_what = f"{reader.purpose}{whom}{times}"
        yield f"    read by {reader.reader} for {for_what} {reader.last_at:%F %T}"
    if len(source.readers) > _READERS:
        yield f"    and by {len(source.readers) - _READERS} more (--json lists them)"
    if not source.readers:
        yield "    read by nobody since it was published"


def _traffic(serving: "Sequence[Serving]", answers: int) -> Iterator[str]:
    for one in serving:
        until = f"{one.until:%F %T}" if one.until else "now"
        yield f"  {one.part} with up to {one.share_bp / 100:g}%: {one.since:%F %T} to {until}"
    never = "" if serving else "had no live traffic; "
    yield f"  {never}{_counted(answers, 'logged answer')} with its name, batches included"


def _scored(found: "SnapshotLineage | VersionLineage") -> Iterator[str]:
    for one in found.scored:
        ended = f"finished {one.finished_at:%F %T}" if one.finished_at else "not finished"
        yield (
            f"  batch {one.dataset}:{one.batch} scored by {one.model}@{one.version}: "
            f"{one.rows:,} rows for {one.requested_by}, {ended}"
        )


def _run(dag_id: str | None, run_id: str | None) -> str:
    return f"{dag_id} {run_id}" if dag_id else "by a command"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _graph_of_version(found: "VersionLineage", answers: Answers) -> Iterator[str]:
    row = found.row
    yield "flowchart LR"
    for n, source in enumerate(found.sources):
        yield from _source_nodes(source, f"s{n}")
        yield f"  s{n} --> v"
    yield f"  v[{_label(row.name, str(row.state))}]"
    yield from _answer_node("v", answers[row.model].get(row.version, 0))
    yield from _batch_nodes("v", found)


def _graph_of_snapshot(found: "SnapshotLineage", answers: Answers) -> Iterator[str]:
    yield "flowchart LR"
    yield from _source_nodes(found.source, "s")
    for n, one in enumerate(found.reached):
        mine = one.learner
        yield f"  v{n}[{_label(f'{mine.model}@{mine.version}', mine.state)}]"
        yield f"  s --> v{n}"
        yield from _answer_node(f"v{n}", answers[mine.model].get(mine.version, 0))
    for n, batch in enumerate(found.scored):
        yield f"  b{n}[({_label(f'scored by {batch.model}@{batch.version}', f'{batch.rows:,}')})]"
        yield f"  s --> b{n}"


def _source_nodes(source: "SourceLineage", name: str) -> Iterator[str]:
    one = source.origin
    file = (one.source_key or "unknown file").rpartition("/")[2]
    yield f"  {name}f[/{_label(file, (one.source_digest or '')[:12])}/]"
    yield f"  {name}[({_label(f'{one.dataset}:{one.batch}', one.digest[:12])})]"
    yield f"  {name}f -- {_label(f'suite {one.suite or one.suite_digest[:12]}')} --> {name}"


def _answer_node(name: str, answers: int) -> Iterator[str]:
    if answers:
        yield f"  {name}a[({_label(_counted(answers, 'answer'))})]"
        yield f"  {name} --> {name}a"


def _batch_nodes(name: str, found: "VersionLineage") -> Iterator[str]:
    for n, one in enumerate(found.scored):
        yield f"  {name}b{n}[({_label(f'batch {one.dataset}:{one.batch}', f'{one.rows:,} rows')})]"
        yield f"  {name} --> {name}b{n}"


def _label(*lines: str) -> str:
    """A quoted label; what would end it is an entity."""
    return '"' + "<br/>".join(plain(one).replace('"', "#quot;") for one in lines if one) + '"'
