"""What to say when a run of `tenure ingest` took no file."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.layout import landing_prefix

if TYPE_CHECKING:
    from tenure.installation import Installation
    from tenure.views.judgements import BatchLine

_NAMED = 3
"""Files or batches that are named before the others are counted."""


@dataclass(frozen=True)
class NothingTaken:
    """Why, for people.

    Args:
        lines: What to show.
        is_well: Whether something is published, and nothing was refused meanwhile.
    """

    lines: tuple[str, ...]
    is_well: bool


def nothing_taken(platform: "Installation", dataset: str, began: datetime) -> NothingTaken:
    """There was no file, it was written just now, or a run of the schedule was faster.

    Args:
        platform: The installation.
        dataset: Whose landing folder.
        began: When the run was started; what was judged since then, another one judged.
    """
    from tenure.views.judgements import batches

    judged = batches(platform, dataset)
    meanwhile = [line for line in judged if line.judged_at >= began]
    lines = [_why(platform, dataset)]
    if meanwhile:
        lines.append("Another run of the DAG took what lay there meanwhile:")
    elif judged:
        lines.append("The newest batch:")
    lines += [_judgement(platform, line) for line in meanwhile[:_NAMED] or judged[:1]]
    if len(meanwhile) > _NAMED:
        lines.append(f"  and {len(meanwhile) - _NAMED:,} more: tenure data list {dataset}")
    refused = [line.batch for line in meanwhile if line.snapshot is None]
    if refused:
        lines += ["Next:", f"  tenure data show {dataset} {shlex.quote(refused[0])}"]
    return NothingTaken(tuple(lines), not refused and any(line.snapshot for line in judged))


def _judgement(platform: "Installation", line: "BatchLine") -> str:
    from tenure.views.judgements import judgement

    found = judgement(platform, line.dataset, line.batch)
    summary = f"{line.dataset} batch {line.batch}: {line.verdict}"
    if found is not None and found.report is not None:
        summary = found.report.summary
    return f"  {line.judged_at:%Y-%m-%d %H:%M} UTC: {summary}"


def _why(platform: "Installation", dataset: str) -> str:
    """There is no file, or those that are there were written just now."""
    from tenure.config import load_dataset
    from tenure.views.landing import settling

    place = platform.settings.place(landing_prefix(dataset))
    config, _ = load_dataset(platform.settings.include, dataset)
    names = settling(config, platform.store, platform.clock)
    if not names:
        return f"Nothing new in {place}."
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (
        f"Not taken yet: {', '.join(names[:_NAMED])}{more} in {place} changed within the last "
        f"{config.source.settle_seconds} s. A file is taken when it has stood still for so long: "
        "give the command again."
    )
