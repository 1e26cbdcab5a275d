"""Erases a person from the decision log: destroys her keys, and looks whether anything still opens.

One person has two pseudonyms there. A gateway is told who she is and hashes that; a batch only has
the snapshot, which holds a pseudonym of her, and hashes this. Making them one would give the key of
the snapshots' pseudonyms to every gateway, the process that is reached from outside, and would let
a YAML that changes split a person's decisions anyway. Whoever erases has both keys and both names.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import load_model
from tenure.errors import ConfigInvalid, NotPermitted, ObjectMissing, StateConflict
from tenure.installation import Installation
from tenure.installation.keys import PSEUDONYMS, SUBJECTS
from tenure.layout import DECISIONS, log_prefix
from tenure.lifecycle.data.sensitivity import Key, token
from tenure.lifecycle.decisions.batch_scoring import ARM
from tenure.lifecycle.serving import pseudonym
from tenure.ports import ObjectStore
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.serving.subject_keys import PersonalModels, destroy_keys, opener, subject_keys
from tenure.vocabulary import NAME, REASON, Role

if TYPE_CHECKING:
    from tenure.adapters.sealed_files import SubjectRow

GIVEN, GATEWAY = "as given", "gateways"
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
_SAFE = "No key was destroyed."


@dataclass
class Trace:
    """What the log has of one pseudonym.

    Args:
        pseudonym: The subject as the log names it.
        origin: Who names it so: `gateways`, `batches of DATASET`, or `as given`.
        key: `kept`, `destroyed`, or `none` when nothing was ever sealed under it.
        decisions: By model and `online` or `batch`.
        in_clear: Those whose features stand in clear, by model.
    """

    pseudonym: str
    origin: str
    key: str
    decisions: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_clear: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class ErasureRequest:
    """A person to erase, and what there is of her.

    Args:
        model: Whose decisions were asked for.
        traces: One a pseudonym.
        sealed: (pseudonym, decision id, sealed bytes) of every row of every file, also of files
            that a compaction replaced.
        files: Number of files with rows of hers.
        left: Decisions whose features stand in clear though their model is personal by now, or has
            no valid YAML.
        other_keys: Ids of other keys by which datasets named people once; not looked up by these.
    """

    model: str
    traces: tuple[Trace, ...]
    sealed: list[tuple[str, str, bytes]]
    files: int
    left: int
    other_keys: tuple[str, ...] = ()

    @property
    def decisions(self) -> int:
        """Decisions in the log, of every model."""
        return sum(trace.decisions.total() for trace in self.traces)

    @property
    def is_done(self) -> bool:
        """Whether every key is destroyed already."""
        return all(trace.key == "destroyed" for trace in self.traces)


@dataclass(frozen=True)
class Proof:
    """What was looked at afterwards.

    Args:
        rows: Sealed rows that were tried, of every file.
        files: Files that have rows of the person.
        opened: Rows that still open; 0, or the erasure failed.
        left: Decisions whose personal features may stand in clear.
        feedback: Pieces of feedback about the person whose reason and answer went.
    """

    rows: int
    files: int
    opened: int
    left: int
    feedback: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing personal of hers can be read in the log."""
        return self.opened == 0 and self.left == 0


def intend(platform: Installation, model: str, subject: str, *, actor: str) -> ErasureRequest:
    """What an erasure would destroy, for a person to confirm.

    Args:
        platform: The installation.
        model: A registered model, or one with a YAML.
        subject: The person as clients name her, or the pseudonym of one of her decisions.
        actor: Who asks.

    Raises:
        NotPermitted: The person is no steward.
        ConfigInvalid: The key of the pseudonyms is not the one of the snapshots: decisions of
            batches would not be found.
        StateConflict: The log knows nobody of this name.
    """
    _permit(platform, actor)
    NAME.require(subject, "subject", still_safe=_SAFE)
    others = _other_keys(platform, _datasets(platform, model))
    names = _names(platform, model, subject)
    keys = subject_keys(platform, {*names})
    states = {name: "kept" if key else "destroyed" for name, key in keys.items()}
    traces = {n: Trace(n, origin, states.get(n, "none")) for n, origin in names.items()}
    request = replace(_read(platform, model, traces), other_keys=others)
    if not request.decisions and not keys:
        raise StateConflict(
            f"Nothing in the decision log of {model}, and no key, belongs to this subject.",
            still_safe=_SAFE,
            next_step="Compare it letter by letter with what clients send, or give the subject of "
            "one of the decisions (`tenure decision show ID`). What a gateway decided just now is "
            "in the log within seconds.",
        )
    return request


def erase(platform: Installation, request: ErasureRequest, *, reason: str, actor: str) -> Proof:
    """Destroy the keys, in one transaction with the ledger, then try every sealed row again.

    What people said about her decisions goes as well; feedback that is joined later loses it then.

    Raises:
        NotPermitted: The person is no steward.
        TextRefused: The reason cannot be kept.
    """
    from tenure.adapters.sql import feedback

    _permit(platform, actor)
    REASON.require(reason, "reason", still_safe=_SAFE)
    names = [trace.pseudonym for trace in request.traces]
    destroy_keys(platform, names, model=request.model, reason=reason, actor=actor)
    with platform.database.begin() as connection:
        forgotten = feedback.forget(connection, names, at=platform.clock.now())
    after = _read(platform, request.model, {t.pseudonym: t for t in _blank(request.traces)})
    tried = list({row[1:]: row for row in (*request.sealed, *after.sealed)}.values())
    values = opener(platform)(tried)
    still_open = sum(value is not None for value in values)
    files = max(request.files, after.files)
    return Proof(len(tried), files, still_open, after.left, forgotten)


def _blank(traces: Sequence[Trace]) -> Iterator[Trace]:
    return (Trace(t.pseudonym, t.origin, "destroyed") for t in traces)


def _names(platform: Installation, model: str, subject: str) -> dict[str, str]:
    """Every pseudonym that the person may have in the log of this model, with its origin."""
    home = platform.settings.home
    secret, master = SUBJECTS.read(home), PSEUDONYMS.read(home)
    names = {subject: GIVEN} if _PSEUDONYM.fullmatch(subject) else {}
    names[pseudonym(secret, subject)] = GATEWAY
    for dataset in _datasets(platform, model):
        known_as = token(Key.of_dataset(master, dataset), subject)
        names[pseudonym(secret, known_as)] = f"batches of {dataset}"
    return names


def _datasets(platform: Installation, model: str) -> list[str]:
    """What the model learns from now, and all that it ever scored."""
    from tenure.adapters.sql import batch_scoring

    with platform.database.begin() as connection:
        found = set(batch_scoring.datasets_of(connection, model))
    with suppress(OSError, ConfigInvalid):  # of a model that is gone, what it scored is known
        found.add(load_model(platform.settings.include, model)[0].dataset)
    return sorted(found)


def _other_keys(platform: Installation, datasets: Sequence[str]) -> tuple[str, ...]:
    """Keys besides the one of now that made pseudonyms in snapshots; raises ConfigInvalid."""
    from tenure.adapters.sql import reads
    from tenure.adapters.sql.training import published

    master, others = PSEUDONYMS.read(platform.settings.home), set()
    with platform.database.begin() as connection:
        for dataset in datasets:
            ids = [snapshot.id for snapshot in published(connection, dataset)]
            shapes = reads.shapes_of(connection, ids).values()
            used = {one.token for shape in shapes for one in shape.columns.values() if one.token}
            mine = Key.of_dataset(master, dataset).id
            if used and mine not in used:
                raise PSEUDONYMS.refused(f"made none of the pseudonyms of {dataset}")
            others |= used - {mine}
    return tuple(sorted(others))


def _read(platform: Installation, model: str, traces: dict[str, Trace]) -> ErasureRequest:
    """Fill the traces from the log. A key stands for a pseudonym in all models, so all are read."""
    from tenure.adapters.sealed_files import about

    counts, is_personal = _files(platform.store), PersonalModels(platform.settings)
    sealed, files, left = [], set(), 0
    for row in about(counts, traces):
        files.add(row.path)
        if row.sealed is not None:
            sealed.append((row.subject, row.decision_id, row.sealed))
        if counts[row.path]:
            left += _count(traces[row.subject], row, is_personal)
    return ErasureRequest(model, tuple(traces.values()), sealed, len(files), left)


def _files(store: ObjectStore) -> dict[Path, bool]:
    """Every decision file, and whether its rows count or another file has them."""
    live = set(live_keys(store, log_prefix(DECISIONS)))
    found: dict[Path, bool] = {}
    for key in store.list(log_prefix(DECISIONS)):
        if key.endswith(".parquet"):
            with suppress(ObjectMissing):  # replaced long ago, and deleted just now
                path = store.fetch(key)
                found[path] = found.get(path, False) or key in live
    return found


def _count(trace: Trace, row: "SubjectRow", is_personal: PersonalModels) -> bool:
    """Count one decision; returns whether an erasure leaves personal features of it readable."""
    asked = "batch" if row.arm_assigned == ARM else "online"
    trace.decisions[row.model, asked] += 1
    if row.sealed is not None:
        return False
    trace.in_clear[row.model] += 1
    return is_personal(row.model)


def _permit(platform: Installation, user: str) -> None:
    if not platform.config.allows(user, Role.STEWARD):
        raise NotPermitted(
            f"{user} may not erase a subject: that needs the role steward.",
            still_safe=_SAFE,
            next_step="Ask a steward, or add the name to `roles.steward` in "
            "include/configs/platform.yaml.",
        )
