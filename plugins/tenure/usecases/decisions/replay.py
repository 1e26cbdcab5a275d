"""Looks decisions up in the log, and scores them again with the version that answered."""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tenure.errors import ArchiveIncomplete, ArtifactRefused, StateConflict
from tenure.installation import Installation
from tenure.layout import DECISIONS, OUTCOMES, hour_folder, keys_from_day, log_prefix
from tenure.lifecycle.class_answers import answered_class
from tenure.lifecycle.decisions.replay import GOOD, ReplayResult, ReplayVerdict, compare
from tenure.lifecycle.model_version import VersionFacts, VersionRecord
from tenure.lifecycle.serving import Score, Signature, Value, score_of
from tenure.ports import ObjectStore
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.serving.subject_keys import destroyed, opener
from tenure.usecases.training import onnx
from tenure.vocabulary import digest_json, op_key

if TYPE_CHECKING:
    from tenure.adapters.decision_files import LoggedDecision, LoggedOutcome
    from tenure.adapters.sql.reviews import QueuedDecision

__all__ = [
    "GOOD",
    "DecisionRecap",
    "ReplayResult",
    "ReplayVerdict",
    "chosen",
    "look_up",
    "note_read",
    "replay",
    "show",
]

_NAMED = 20
"""Most decisions that the ledger names of one reading; it holds the digest of all their ids."""

_ONNX = "onnx"
Tell = Callable[[int], None]
"""Called with the number of decisions that are done."""


@dataclass(frozen=True)
class DecisionRecap:
    """A decision of the log with everything that is known about it.

    Args:
        decision: The row of the log.
        variant: What scored; None where no model did.
        threshold: Score from which on its version says yes; None for one of another database.
        is_sealed: Whether its features are personal: opened for a replay only, never shown.
        is_erased: Whether nobody can open them any more.
        features: Those in clear; None where they are sealed.
        outcome: The newest one, None before any.
        review: What became of it in the review queue, None when no person was asked.
    """

    decision: "LoggedDecision"
    variant: str | None
    threshold: float | None
    is_sealed: bool
    is_erased: bool
    features: Mapping[str, Value] | None
    outcome: "LoggedOutcome | None"
    review: "QueuedDecision | None"


def note_read(platform: Installation, ids: Sequence[str], *, how: str, reader: str) -> None:
    """Write into the ledger who is about to look at which decisions.

    Args:
        platform: The installation.
        ids: Of the decisions.
        how: `show`, `replay` or `lineage`.
        reader: The person.
    """
    body = {"event": "decisions_read", "how": how, "decisions": len(ids)}
    with platform.database.begin() as connection:
        platform.ledger.note(
            connection,
            subject="decisions",
            actor=reader,
            body={**body, "ids": list(ids[:_NAMED]), "ids_digest": digest_json(sorted(ids))},
            op_key=op_key("decisions.read", platform.ids.new(), {}),
        )


def show(platform: Installation, decision_id: str) -> DecisionRecap | None:
    """Everything about a decision; None when the log has no such row."""
    row = look_up(platform, [decision_id]).get(decision_id)
    if row is None:
        return None
    is_sealed = row.sealed is not None
    return DecisionRecap(
        decision=row,
        variant=_variant(row),
        threshold=_threshold(platform, row.version_id),
        is_sealed=is_sealed,
        is_erased=is_sealed and destroyed(platform, row.subject),
        features=None if is_sealed else row.features,
        outcome=_outcome(platform, row),
        review=_review(platform, decision_id),
    )


def chosen(platform: Installation, *, rows: int, seed: int, model: str | None) -> list[str]:
    """Ids of randomly chosen decisions of the log; fewer when it has fewer."""
    from tenure.adapters import decision_files

    prefix = log_prefix(DECISIONS, model)
    keys = live_keys(platform.store, prefix)
    return decision_files.sample(map(platform.store.fetch, keys), rows, seed)


def replay(
    platform: Installation, ids: Sequence[str], tell: Tell = lambda _done: None
) -> list[ReplayResult]:
    """Score each decision again from its logged features, one by one as most were asked.

    The artifact comes from where gateways take it, or from the archive; digest and signature are
    checked either way.
    """
    rows = look_up(platform, ids)
    found = {one: ReplayResult(one, ReplayVerdict.MISSING, why="not in the log") for one in ids}
    by_scorer: dict[tuple[int, str | None], list[LoggedDecision]] = defaultdict(list)
    for row in rows.values():
        by_scorer[row.version_id, _variant(row)].append(row)
    for (version_id, variant), group in by_scorer.items():
        for one in _replayed(platform, version_id, variant, group):
            found[one.decision_id] = one
            tell(sum(r.found is not ReplayVerdict.MISSING for r in found.values()))
    return list(found.values())


def _replayed(
    platform: Installation, version_id: int, variant: str | None, rows: "Sequence[LoggedDecision]"
) -> Iterator[ReplayResult]:
    if variant is None:
        for row in rows:
            why = f"no model scored: the {row.fallback_level} answered ({row.reason})"
            yield _not_scored(row, ReplayVerdict.NO_MODEL, why)
        return
    try:
        score, signature, facts = _scorer(platform, version_id, variant)
    except ArtifactRefused as error:
        yield from (_not_scored(row, ReplayVerdict.REFUSED, error.what) for row in rows)
        return
    except (StateConflict, ArchiveIncomplete) as error:
        why = f"neither artifact nor archive has it any more: {error.what}"
        yield from (_not_scored(row, ReplayVerdict.GONE, why) for row in rows)
        return
    for row, features in zip(rows, _features(platform, rows), strict=True):
        if features is None:
            yield _not_scored(row, ReplayVerdict.ERASED, "the key of its subject was destroyed")
            continue
        values = [features.get(name) for name in signature.features]
        said = score([values])[0]
        now, answer = _answered(facts, said)
        yield compare(
            row.decision_id,
            _name(row),
            logged=row.score,
            decided=row.answer if facts.classes else row.decision,
            score=now,
            threshold=facts.threshold,
            answer=answer,
            ends=_ends(facts, said),
            logged_ends=None if row.lower is None or row.upper is None else (row.lower, row.upper),
        )


def _ends(facts: VersionFacts, said: Any) -> tuple[float, float] | None:
    """Of the interval of a regression that gives one."""
    return None if facts.interval is None else (said[1], said[2])


def _answered(facts: VersionFacts, said: Any) -> tuple[float, str | None]:
    """The score, and the class that it is of where there are several."""
    if not facts.classes:
        return score_of(said), None
    place = answered_class(said, facts.class_costs)
    return said[place], facts.class_names[place]


def _features(
    platform: Installation, rows: "Sequence[LoggedDecision]"
) -> list[Mapping[str, Value] | None]:
    """Features of each decision; None where they are gone."""
    from tenure.adapters.sealed_files import features

    opened = opener(platform)([(row.subject, row.decision_id, row.sealed or b"") for row in rows])
    return [
        row.features if row.sealed is None else features(value) if value else None
        for row, value in zip(rows, opened, strict=True)
    ]


def _scorer(
    platform: Installation, version_id: int, variant: str
) -> "tuple[Score, Signature, VersionFacts]":
    """The version as gateways load it, with what scored then.

    Raises:
        ArtifactRefused: Facts, bytes, signature or types are not acceptable.
        StateConflict: Its artifact is gone and it has no archive.
        ArchiveIncomplete: Its artifact is gone and its archive does not read back.
    """
    from tenure.adapters.local_store import LocalStore
    from tenure.adapters.sql import versions
    from tenure.lifecycle.training.registry import file_keys
    from tenure.usecases.retirement.archive import restore

    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, version_id)
    needed = file_keys(row)[: 2 if variant == _ONNX else 1]
    if all(platform.store.exists(key) for key in needed):
        return _loaded(platform, platform.store, row, variant)
    with tempfile.TemporaryDirectory(prefix="tenure-replay-") as folder:
        restore(platform, row.model, row.version, Path(folder))
        return _loaded(platform, LocalStore(Path(folder)), row, variant)


def _loaded(
    platform: Installation, store: ObjectStore, row: VersionRecord, variant: str
) -> "tuple[Score, Signature, VersionFacts]":
    from tenure.adapters.serving_frame import scorer
    from tenure.adapters.skops_artifacts import load_verified

    public_key = platform.settings.signing_key.with_suffix(".pub")
    estimator = load_verified(store, row, public_key)
    signature = Signature.from_facts(row.facts)
    if variant == _ONNX:
        score = onnx.scorer(store, row, estimator, public_key)
    else:
        score = scorer(
            estimator,
            numeric=signature.numeric,
            categorical=signature.categorical,
            examples=signature.examples(),
            margin=row.facts.margin,
        )
    return score, signature, row.facts


def look_up(platform: Installation, ids: Sequence[str]) -> "dict[str, LoggedDecision]":
    """Rows by id: first in the hours that the ids themselves name, then everywhere."""
    from tenure.adapters import decision_files
    from tenure.adapters.sql import serving

    with platform.database.begin() as connection:
        models = serving.catalog(connection).models
    store, wanted = platform.store, set(ids)
    found: dict[str, LoggedDecision] = {}
    near = sorted({hour for one in wanted for hour in _hours(one)})
    prefixes = (log_prefix(DECISIONS, model, hour) for model in models for hour in near)
    for prefix in (*prefixes, log_prefix(DECISIONS)):
        left = wanted - found.keys()
        if not left:
            break
        paths = map(store.fetch, live_keys(store, prefix))
        rows = decision_files.find_decisions(paths, "decision_id", left)
        found |= {row.decision_id: row for row in rows}
    return {one: found[one] for one in ids if one in found}


def _hours(decision_id: str) -> Iterable[str]:
    """Partitions in which a UUIDv7 lies: it is made at, or just after, the receipt."""
    try:
        moment = datetime.fromtimestamp((UUID(decision_id).int >> 80) / 1000, tz=UTC)
    except (ValueError, OverflowError):  # another kind of id
        return []
    return [hour_folder(at) for at in (moment, moment - timedelta(hours=1))]


def _review(platform: Installation, decision_id: str) -> "QueuedDecision | None":
    from tenure.adapters.sql import reviews

    with platform.database.begin() as connection:
        return reviews.find(connection, decision_id)


def _outcome(platform: Installation, row: "LoggedDecision") -> "LoggedOutcome | None":
    """The one that counts: received last, by decision id or by request id."""
    from tenure.adapters import decision_files

    every = live_keys(platform.store, log_prefix(OUTCOMES, row.model))
    keys = keys_from_day(every, row.received_at)
    paths = [platform.store.fetch(key) for key in keys]
    direct = decision_files.find_outcomes(paths, "decision_id", {row.decision_id})
    through = decision_files.find_outcomes(paths, "request_id", {row.request_id})
    rows = [*direct, *_of_request(platform, row, [o for o in through if o.decision_id is None])]
    return max(rows, key=lambda one: (one.received_at, one.outcome_id), default=None)


def _of_request(
    platform: Installation, row: "LoggedDecision", outcomes: "Sequence[LoggedOutcome]"
) -> "list[LoggedOutcome]":
    """Those that mean this decision's caller, as `ibis_engine.outcomes.labelled` has it."""
    named = [o for o in outcomes if o.caller is not None]
    kept = [o for o in named if row.caller in {None, o.caller}]
    unnamed = [o for o in outcomes if o.caller is None]
    return kept + (unnamed if unnamed and _is_only_caller(platform, row) else [])


def _is_only_caller(platform: Installation, row: "LoggedDecision") -> bool:
    from tenure.adapters import decision_files

    if row.request_id == row.decision_id:
        return True  # the client gave none
    keys = live_keys(platform.store, log_prefix(DECISIONS, row.model))
    paths = map(platform.store.fetch, keys)
    same = decision_files.find_decisions(paths, "request_id", {row.request_id})
    return len({one.caller for one in same}) <= 1


def _threshold(platform: Installation, version_id: int) -> float | None:
    """The score from which on the version says yes; None where it is not known.

    That is so for a version of another database, and for one whose facts cannot be read or are not
    those that the trainer signed.
    """
    from tenure.adapters.skops_artifacts import check_signature
    from tenure.adapters.sql import serving

    with platform.database.begin() as connection:
        row = serving.version_rows(connection, [version_id]).get(version_id)
    if row is None:
        return None
    try:
        check_signature(row, platform.settings.signing_key.with_suffix(".pub"))
    except ArtifactRefused:
        return None
    return row.facts.threshold


def _variant(row: "LoggedDecision") -> str | None:
    """What scored; rows from before there was a choice do not say it, nor do those of no model."""
    return None if row.arm_answered == "rule" else row.variant or "native"


def _name(row: "LoggedDecision") -> str:
    return f"{row.model}@{row.version}"


def _not_scored(row: "LoggedDecision", found: ReplayVerdict, why: str) -> ReplayResult:
    return ReplayResult(row.decision_id, found, _name(row), row.score, why=why)
