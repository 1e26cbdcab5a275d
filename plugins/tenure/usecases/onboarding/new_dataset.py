"""A dataset from one file: contract and first suite, written together or not at all."""

import json
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.config import DatasetConfig, load_dataset, load_platform
from tenure.config.dataset_yaml import dataset_yaml
from tenure.config.new_files import new_configs, not_written
from tenure.config.problems import MAX_BYTES
from tenure.config.suite_arguments import broken_arguments
from tenure.config.suites import load_suite
from tenure.errors import ConfigInvalid, TenureError
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.profiling import (
    MAX_JUDGEMENTS,
    OwnBatch,
    Proposal,
    SuiteProof,
    most_telling,
    spread_out,
    tolerated,
)
from tenure.lifecycle.data.profiling.repetition import REPEATED
from tenure.lifecycle.data.quality import Finding, QualityPolicy, judge, summary
from tenure.lifecycle.data.sources import Column, Contract
from tenure.settings import Settings
from tenure.usecases.onboarding.drafting import Cut, FirstRules, first_rules
from tenure.verdicts import Verdict
from tenure.vocabulary import Role, is_id

if TYPE_CHECKING:
    import pyarrow as pa

    from tenure.adapters.arrow_tables.detecting import FileForm
    from tenure.lifecycle.data.quality import Judgement

SCHEDULES: Mapping[Cut, str] = {
    "month": "0 * * * *",
    "week": "0 * * * *",
    "day": "*/10 * * * *",
    "file": "*/10 * * * *",
}
"""How often the landing folder is looked at: rare drops need no look every ten minutes."""
_CONFIRM = "to be confirmed"
Tell = Callable[[str], None]
"""Takes one line about what is being done."""


@dataclass(frozen=True)
class DatasetSpec:
    """What the person said.

    Args:
        name: Of the dataset.
        path: A file like those that will land.
        time: When what a row tells happened; None takes the only column of times, if it is one.
        entity: Whom or what a row is about.
        cut: How the drops are cut: what one file holds.
        owner: Who answers for the source.
        steward: Who keeps the suite; None takes the first steward of `platform.yaml`.
    """

    name: str
    path: Path
    time: str | None = None
    entity: str | None = None
    cut: Cut = "file"
    owner: str = ""
    steward: str | None = None


@dataclass(frozen=True)
class NewDataset:
    """What was written, and what a person should look at."""

    dataset: DatasetConfig
    files: tuple[Path, ...]
    rows: int
    personal: Mapping[str, str]
    proposals: tuple[Proposal, ...]
    confirm: tuple[str, ...]
    says: str
    """What the suite says of the file itself."""
    proof: SuiteProof
    """What it says of the batches of the file."""


def create(settings: Settings, wish: DatasetSpec, tell: Tell = lambda _: None) -> NewDataset:
    """Profile the file and write contract and suite; nothing is written unless both are valid.

    Args:
        settings: Of the installation.
        wish: What the person said.
        tell: Takes what is being done, for people who wait.

    Raises:
        ConfigInvalid: The name is taken or is none, or file or columns cannot be used.
    """
    from tenure.adapters.arrow_tables import read_batch
    from tenure.adapters.arrow_tables.profile import sound_rows

    config_path = settings.configs / "datasets" / f"{wish.name}.yaml"
    suite_path = settings.suites / f"{wish.name}.json"
    _refuse(wish, (config_path, suite_path))
    tell(f"finding out how {_printable(wish.path.name)} is written")
    detected = _detect(wish)
    loose = Contract(columns={name: Column(type=kind) for name, kind in detected.types.items()})
    batch = read_batch(wish.path, detected.source, loose)
    sound = sound_rows(batch)
    if not sound.num_rows:
        raise _refused(wish, "no row that could be a model of those to come")
    tell(f"looking at {sound.num_columns:,} columns of {sound.num_rows:,} rows")
    rules = first_rules(sound, detected.types, time=wish.time, entity=wish.entity, cut=wish.cut)
    kept, left_out = _kept(wish.name, rules)
    rules = replace(rules, proposals=kept)
    judgement, proof, policy = _judged(wish, detected, rules, tell)
    config = _config(settings, wish, detected, rules, policy)
    confirm = (*_confirm(config, detected, rules), *left_out)
    said = (*rules.remarks, *left_out, *proof.sentences())
    files = {
        suite_path: _suite_text(wish.name, rules.proposals),
        config_path: _config_text(config, wish, rules, batch.rows, notes=detected.notes, said=said),
    }
    _check(wish.name, files, settings)
    new_configs(files)
    says = summary(wish.name, wish.path.name, judgement)
    return NewDataset(
        config, tuple(files), batch.rows, rules.personal, rules.proposals, confirm, says, proof
    )


def _refuse(wish: DatasetSpec, paths: Sequence[Path]) -> None:
    if not is_id(wish.name):
        raise not_written(
            f"{wish.name!r} is not an id.", "Use a-z, 0-9, _ and -, and no double underscore."
        )
    for path in paths:
        if path.exists() or path.is_symlink():
            raise not_written(
                f"{wish.name} is there already: {path}.",
                "Choose another name, or edit that file; `tenure suite suggest` proposes "
                "expectations from history.",
            )
    try:
        is_file = stat.S_ISREG(wish.path.lstat().st_mode)
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        raise _refused(wish, "no regular file (a link, a folder, a pipe, or nothing)")


def _detect(wish: DatasetSpec) -> "FileForm":
    from tenure.adapters.arrow_tables.csv_text import UnreadableFile
    from tenure.adapters.arrow_tables.detecting import detect
    from tenure.adapters.arrow_tables.doubts import NoTable

    try:
        detected = detect(wish.path)
    except NoTable as error:
        raise not_written(
            f"{_printable(wish.path.name)}: found {error}.", error.next_step
        ) from None
    except UnreadableFile as error:
        raise _refused(wish, str(error)) from None
    for option, column in (("--time", wish.time), ("--entity", wish.entity)):
        if column is not None and column not in detected.types:
            known = ", ".join(detected.types)
            raise not_written(
                f"{option}: {wish.path.name} has no column {column!r}.",
                f"Choose one of: {known[:300]}.",
            )
    if wish.time is not None and (kind := detected.types[wish.time]) != "timestamp":
        raise not_written(
            f"--time: {wish.time} holds {kind}, not times.",
            "Times are read as ISO 8601 (2024-03-01T12:00:00Z), or as day, month and year where "
            "their order is certain. Leave --time out if the rows have none.",
        )
    return detected


def _kept(name: str, rules: FirstRules) -> tuple[tuple[Proposal, ...], tuple[str, ...]]:
    """The proposals that a suite may hold, and sentences about those that it may not."""
    found = [(p, [*broken_arguments(p.type, p.kwargs, rules.contract)]) for p in rules.proposals]
    sound = [p for p, broken in found if not broken]
    said = [f"no rule about {p.subject}: {broken[0][1]}" for p, broken in found if broken]
    kept = most_telling(sound)
    while len(_suite_text(name, kept).encode()) > MAX_BYTES:
        kept = most_telling(kept, len(kept) * 9 // 10)
    if lost := len(sound) - len(kept):
        bare = len({p.subject for p in sound} - {p.subject for p in kept})
        ruled = f"{bare:,} columns have none" if bare else "every column keeps its first one"
        said.append(
            f"{lost:,} of {len(sound):,} expectations are left out, as many as a suite cannot hold "
            f"({len(kept):,} are in it); {ruled}"
        )
    return kept, tuple(said)


def _judged(
    wish: DatasetSpec, detected: "FileForm", rules: FirstRules, tell: Tell
) -> "tuple[Judgement, SuiteProof, QualityPolicy]":
    """What the gate says of the file by its own first rules, and of each of its batches."""
    from tenure.adapters.arrow_tables import read_batch
    from tenure.adapters.arrow_tables.slicing import of_part, slices_of

    batch = read_batch(wish.path, detected.source, rules.contract)
    table = batch.table
    assert table is not None
    tell(f"judging {batch.rows:,} rows by {len(rules.proposals):,} expectations")
    whole = [*batch.findings, *_found(table, rules)]
    slices = slices_of(table, rules.cut)
    chosen = spread_out(
        {name: len(positions) for name, positions in slices.items()},
        max(3, MAX_JUDGEMENTS // len(rules.proposals)),
    )
    seen: dict[str, tuple[int, list[Finding]]] = {}
    for number, name in enumerate(chosen, 1):
        tell(f"judging batch {number:,} of {len(chosen):,} ({name})")
        part = slices[name]
        seen[name] = (
            len(part),
            [
                *(of_part(finding, part) for finding in batch.findings),
                *_found(table.take(part), rules),
            ],
        )
    policy = _policy([(batch.rows, whole), *seen.values()])
    verdicts = tuple(
        OwnBatch(name, rows, _why(judge(rows, found, policy)))
        for name, (rows, found) in seen.items()
    )
    return judge(batch.rows, whole, policy), SuiteProof(rules.cut, len(slices), verdicts), policy


def _found(table: "pa.Table", rules: FirstRules) -> list[Finding]:
    """What the rules find in a table, in the order of the suite."""
    from tenure.adapters.gx_validator import validate

    expectations = tuple(
        Expectation(str(n), p.type, p.kwargs, p.severity) for n, p in enumerate(rules.proposals)
    )
    return validate(table, Suite("first", "", "", expectations), hidden=frozenset(rules.personal))


def _policy(judged: Sequence[tuple[int, Sequence[Finding]]]) -> QualityPolicy:
    """How many rows may be set aside, from how many were; the first is the file as a whole."""
    lenient = QualityPolicy(max_quarantined=1.0, min_rows=0)
    found = [judge(rows, findings, lenient) for rows, findings in judged]
    shares = [one.rows_quarantined / max(one.rows_in, 1) for one in found]
    usual = QualityPolicy()
    limit = max(tolerated(shares[:1], usual.max_quarantined), tolerated(shares[1:], 0.0))
    return usual.model_copy(update={"max_quarantined": limit})


def _why(judgement: "Judgement") -> str:
    """The worst finding of a batch that does not pass."""
    return str(judgement.findings[0]) if judgement.verdict is not Verdict.PASSED else ""


def _config(
    settings: Settings,
    wish: DatasetSpec,
    detected: "FileForm",
    rules: FirstRules,
    policy: QualityPolicy,
) -> DatasetConfig:
    return DatasetConfig(
        name=wish.name,
        description=f"{len(detected.types):,} columns, as in {_printable(wish.path.name)}.",
        owner=wish.owner,
        steward=wish.steward or _first_steward(settings) or wish.owner,
        source=detected.source,
        schedule=SCHEDULES[wish.cut],
        contract=rules.contract,
        time_column=rules.time,
        entity_column=wish.entity,
        suite=wish.name,
        quality=policy,
    )


def _first_steward(settings: Settings) -> str | None:
    try:
        return next(iter(load_platform(settings.include).roles.get(Role.STEWARD, ())), None)
    except TenureError:
        return None


def _confirm(config: DatasetConfig, detected: "FileForm", rules: FirstRules) -> tuple[str, ...]:
    """What was guessed, one sentence each."""
    found = [f"{name} seems to hold {kind}: personal" for name, kind in rules.personal.items()]
    found += [
        f"{name} seems to hold {kind}, which the law protects: name it under bias.attributes of a "
        "model, or leave it out of the features"
        for name, kind in rules.protected.items()
    ]
    key = " and ".join(config.contract.key)
    found.append(f"a row is named by {key}" if key else "no column names a row: key is empty")
    if not key and all(p.type != REPEATED for p in rules.proposals):
        found.append("no rule notices rows that come twice: they often do, or are too few to tell")
    if config.time_column is None:
        found.append(
            "no time_column: models are trained on rows drawn by lot, and nothing tests whether "
            "the future is like the past"
        )
    return (*found, *detected.notes, *rules.remarks)


def _config_text(
    config: DatasetConfig,
    wish: DatasetSpec,
    rules: FirstRules,
    rows: int,
    *,
    notes: Sequence[str],
    said: Sequence[str],
) -> str:
    heading = [
        f"Made by `tenure new dataset` from {_printable(wish.path.name)}, {rows:,} rows; one file "
        f"is {'one drop' if wish.cut == 'file' else 'a ' + wish.cut}.",
        f"Guesses are marked: {_CONFIRM}. Then delete the mark.",
        *(note if note.endswith(_CONFIRM) else f"{note}: {_CONFIRM}" for note in notes),
        *said,
    ]
    return dataset_yaml(
        config,
        heading=heading,
        notes={
            "time_column": _CONFIRM if wish.time is None else "",
            "source": _CONFIRM if notes else "",
            "key": _CONFIRM,
        },
        column_notes={
            name: f"seems to be {kind}: {_CONFIRM}"
            for name, kind in {**rules.protected, **rules.personal}.items()
        },
    )


def _suite_text(name: str, proposals: Sequence[Proposal]) -> str:
    """The suite as JSON."""
    entries = [proposal.as_expectation() for proposal in proposals]
    return json.dumps({"name": name, "expectations": entries}, indent=2, ensure_ascii=False) + "\n"


def _check(name: str, files: Mapping[Path, str], settings: Settings) -> None:
    """Load both from a folder of their own, as everybody will. Raises ConfigInvalid."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            copy = Path(folder) / path.relative_to(settings.include)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, "utf-8")
        config, _ = load_dataset(Path(folder), name)
        load_suite(Path(folder), name, config.contract)


def _refused(wish: DatasetSpec, found: str) -> ConfigInvalid:
    return not_written(
        f"{_printable(wish.path.name)}: found {found}.",
        "Give a CSV (any delimiter, also gzip) or Parquet file with a header, some rows and only "
        "columns of text, numbers, booleans and times.",
    )


def _printable(name: str) -> str:
    """A file name that may hold anything, as one line."""
    return "".join(c if c.isprintable() else "?" for c in name)[:80]
