"""Trains a version again in a clean process, and says in what it differs; moves nothing.

Import it inside functions: it loads SQLAlchemy.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tenure.adapters.sql import training, versions
from tenure.errors import ConfigInvalid, ObjectMissing, ServiceUnreachable, StateConflict
from tenure.installation import Installation
from tenure.installation.provenance import code_digest, lock_digest
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.training import PublishedSnapshot
from tenure.lifecycle.training.reproduction import Trained, compare
from tenure.usecases.data.snapshots import open_snapshot
from tenure.usecases.evaluation import evidence, refit
from tenure.usecases.training import search
from tenure.usecases.training.planning import pinned_config
from tenure.verdicts import Report
from tenure.vocabulary import RunRef

CHILD = "tenure.usecases.evaluation.refit"
"""Main module of the process that trains."""

_UNCHANGED = "Nothing was changed; the version stays as it is."
_SHOWN = 300


def reproduce(platform: Installation, model: str, number: int, run: RunRef) -> tuple[Report, str]:
    """Train the version again from its pinned config, snapshots and seed, and compare.

    Args:
        platform: The installation.
        model: Name of the model.
        number: Of the version.
        run: Who asks; the report is kept under it.

    Returns:
        The report and its digest.

    Raises:
        StateConflict: There is no such version, it was never trained, or a snapshot or the scored
            holdout is gone.
        ArtifactRefused: A snapshot is not the bytes that were published.
        ConfigInvalid: The training refuses what it took before.
        ServiceUnreachable: The process that trains was killed.
    """
    row = _row(platform, model, number)
    with platform.database.begin() as connection:
        chosen = training.snapshots_of(connection, row.id)
        text = training.config_text(connection, str(row.config_digest))
    stored = _stored(platform, row)
    order = {
        "config": text,
        "time_column": row.facts.time_column,
        "names": {column: list(names) for column, names in row.facts.names.items()},
        "paths": [str(path) for path in _paths(platform, row, chosen, run)],
        "name": row.name,
        "search": search.as_json(row.facts.search),
    }
    again = _again(order, row.name, platform.settings.include.parent)
    report = compare(row.name, stored, again)
    return report, platform.reports.save(report, model=model, dataset=None, run=run)


def _row(platform: Installation, model: str, number: int) -> VersionRow:
    with platform.database.begin() as connection:
        known = versions.all_of(connection, model)
    if not any(version.version == number for version in known):
        listed = ", ".join(version.name for version in known) or "none"
        raise StateConflict(
            f"There is no {model}@{number}; known: {listed}.",
            still_safe=_UNCHANGED,
            next_step="Name one of these.",
        )
    row = evidence.row_of(platform, next(v for v in known if v.version == number))
    if not row.is_trained:
        raise StateConflict(
            f"{row.name} is {row.state} and was never trained: there is nothing to compare with.",
            still_safe=_UNCHANGED,
            next_step="Name a version that was trained.",
        )
    return row


def _stored(platform: Installation, row: VersionRow) -> Trained:
    """What the version's first training left."""
    from tenure.adapters.training_rows import read_scores

    facts = row.facts
    try:
        path = platform.store.fetch(facts.holdout_key, facts.holdout_digest)
    except ObjectMissing:
        raise _gone(row, f"its scored holdout {facts.holdout_key}") from None
    return Trained(
        artifact_digest=str(row.artifact_digest),
        predictions_digest=refit.predictions_digest(read_scores(path)[0]),
        metrics=facts.metrics,
        rows=asdict(facts.rows),
        environment=facts.environment,
        code_digest=str(row.code_digest),
        lock_digest=str(row.lock_digest),
    )


def _paths(
    platform: Installation, row: VersionRow, chosen: Sequence[PublishedSnapshot], run: RunRef
) -> list[Path]:
    dataset, found = pinned_config(platform, row).dataset, []
    for one in chosen:
        try:
            found.append(
                open_snapshot(
                    platform, dataset, one.digest, purpose="reproduce", run=run, model=row.model
                )
            )
        except ObjectMissing:
            raise _gone(row, f"snapshot {one.batch} of {dataset} ({one.digest[:12]})") from None
    return found


def _gone(row: VersionRow, what: str) -> StateConflict:
    return StateConflict(
        f"{row.name} cannot be trained again: {what} is not in the store.",
        still_safe=_UNCHANGED,
        next_step="Restore it from a backup of the store under the same key, and ask again.",
    )


def _again(order: Mapping[str, object], name: str, home: Path) -> Trained:
    """What a process of its own makes of the order."""
    with tempfile.TemporaryDirectory(prefix="tenure-reproduce-") as folder:
        place = Path(folder)
        (place / refit.ORDER).write_text(json.dumps(order), "utf-8")
        ended = subprocess.run(
            [sys.executable, "-s", "-P", "-m", CHILD, folder],
            env=_environment([home / "dags", home / "plugins"]),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        answer = place / refit.ANSWER
        if ended.returncode or not answer.exists():
            raise _died(name, ended.returncode, ended.stderr)
        said: dict[str, Any] = json.loads(answer.read_text("utf-8"))
    if "refused" in said:
        what, next_step = said["refused"]
        raise ConfigInvalid(
            f"{name} cannot be trained again: {what}", still_safe=_UNCHANGED, next_step=next_step
        )
    return Trained.from_answer(said, code_digest=code_digest(), lock_digest=lock_digest())


def _environment(folders: Sequence[Path]) -> dict[str, str]:
    """Where code lies, and how many threads there are; no URL, no key, no home."""
    kept = ("LD_LIBRARY_PATH", "OMP_NUM_THREADS", "PATH")
    paths = [*sys.path, *map(str, folders)]
    return {
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(path for path in paths if path)),
        "LANG": "C.UTF-8",
        **{name: os.environ[name] for name in kept if name in os.environ},
    }


def _died(name: str, code: int, said: str) -> ServiceUnreachable:
    last = said.strip().splitlines()[-1][:_SHOWN] if said.strip() else "it said nothing"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return ServiceUnreachable(
        f"The process that trains {name} again {how} ({last}).",
        still_safe=_UNCHANGED,
        next_step="If the machine ran out of memory, ask again on one that has as much as training "
        "has; else give this message to the platform team.",
    )
