"""What one file says of another, and what follows from the files alone: by file and line.

`tenure check` asks for everything. A run asks, with the same functions, for what it rests on, so it
refuses nothing for a reason that `tenure check` does not name.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tenure.config import estimators
from tenure.config.json_lines import Location
from tenure.config.loader import ConfigSet, load_all
from tenure.config.models import Consumer, DatasetConfig, Label, ModelConfig, PlatformConfig
from tenure.config.problems import BrokenFile, Problem
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.lifecycle.data.sources import ColumnType
from tenure.lifecycle.incidents.webhook import FROM_ENVIRONMENT, address_fault
from tenure.lifecycle.model_version import Kind
from tenure.lifecycle.promotion.approval import independent, quorum_of
from tenure.lifecycle.retirement.decommission import REQUESTERS, second_people
from tenure.lifecycle.serving.spelling import is_written_as
from tenure.lifecycle.task import Task
from tenure.lifecycle.training.policy import INTERPRETABLE
from tenure.vocabulary import Role

Fault = tuple[Location, str]
"""Where it stands in the file, as far as it is written there; and a sentence."""

_NUMBERS: tuple[ColumnType, ...] = ("number", "integer", "boolean")
_AMOUNTS: tuple[ColumnType, ...] = ("number", "integer")
_CLASSES: tuple[ColumnType, ...] = ("string", "integer")
_TIMES: tuple[ColumnType, ...] = ("timestamp",)
_LABELS: tuple[ColumnType, ...] = (*_NUMBERS, "string")
_IDS: tuple[ColumnType, ...] = ("string", "integer")
_WRITTEN: dict[ColumnType, Kind] = {
    "string": "text",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "timestamp": "moment",
}
OUTCOME_COLUMNS: dict[str, tuple[ColumnType, ...]] = {
    "decision_id": _IDS,
    "request_id": _IDS,
    "caller": _IDS,
    "label": _LABELS,
    "observed_at": ("timestamp",),
}
"""What an outcomes dataset may have, and of which types."""
NEEDED_ROLES = (Role.APPROVER, Role.OPERATOR, Role.DECOMMISSIONER)
"""Without a member of each, no version is approved, taken out of traffic, or retired."""


@dataclass(frozen=True)
class ColumnFault:
    """A column that a model cannot read from its dataset.

    Args:
        column: As the model names it.
        at: Where it is named.
        said: A sentence.
        is_absent: Whether the contract has no such column, by no name.
    """

    column: str
    at: Location
    said: str
    is_absent: bool = False


def broken(include: Path, found: ConfigSet, today: date) -> list[Problem]:
    """Everything that does not fit together, of all files."""
    platform = include / "configs" / "platform.yaml"
    problems = [
        Problem(platform, found.line(platform, at), said) for at, said in _of_platform(found)
    ]
    for name, model in found.models.items():
        path = include / "configs" / "models" / f"{name}.yaml"
        said_of_it = [
            *_of_training(include, found, model, today),
            *_of_outcomes(found, model),
            *(_of_people(model, found.platform) if found.platform else ()),
            *(_of_consumers(model.consumers, found.platform) if found.platform else ()),
            *_of_tier(model, today),
            *_of_decision(model, today),
        ]
        problems += [Problem(path, found.line(path, at), said) for at, said in said_of_it]
    return problems


def require_trainable(include: Path, model: ModelConfig, today: date) -> None:
    """Refuse a training that the files rule out, before anything is read or planned.

    Columns are no part of it: `column_faults` has them, and who reads snapshots adds theirs.

    Raises:
        ConfigInvalid: The problems by file and line.
    """
    found = load_all(include)
    path = include / "configs" / "models" / f"{model.name}.yaml"
    faults = [
        *_of_dataset(found, model),
        *_of_recipe(include, model),
        *_of_tier(model, today),
        *_of_decision(model, today),
    ]
    if faults:
        raise BrokenFile([Problem(path, found.line(path, at), said) for at, said in faults])


def column_faults(model: ModelConfig, dataset: DatasetConfig, today: date) -> Iterator[ColumnFault]:
    """Columns that the model names and the contract does not have, or not as it needs them."""
    wanted = dict(sorted(_columns(model), key=lambda one: one[0]))
    for column, said in _of_names(wanted, dataset, today):
        yield ColumnFault(column, wanted[column], said)
    for column, at in wanted.items():
        if _type_of(dataset, column) is None:
            said = f"{column} is not in the contract of {dataset.name}"
            yield ColumnFault(column, at, said, is_absent=True)
    for column in unexcused(model, dataset):
        said = f"{column} is personal and the model gives no reason to read it in clear"
        yield ColumnFault(column, wanted[column], said)
    for column, said in _of_types(model, dataset):
        yield ColumnFault(column, wanted[column], said)


def place_of(model: ModelConfig, column: str) -> Location:
    """Where the model's YAML names the column; else where it names its dataset, which does."""
    return dict(_columns(model)).get(column, ("dataset",))


def _of_names(
    wanted: Iterable[str], dataset: DatasetConfig, today: date
) -> Iterator[tuple[str, str]]:
    renames, still_open = dataset.contract.renames, dataset.contract.renamed(today)
    for column in wanted:
        if column in renames and column not in still_open:
            rename = renames[column]
            yield (
                column,
                f"{column} is called {rename.to}, and the old name ended on {rename.until}",
            )


def _of_types(model: ModelConfig, dataset: DatasetConfig) -> Iterator[tuple[str, str]]:
    weights = model.training.sample_weight
    numbers = dict.fromkeys(model.features.numeric, "no numeric feature")
    numbers |= {} if weights is None else {weights: "no weight of rows"}
    times = dict.fromkeys(model.features.dates, "no date of which parts are read")
    times |= {} if model.training.time_column is None else {model.training.time_column: "no time"}
    wanted = {**dict.fromkeys(numbers, _NUMBERS), **dict.fromkeys(times, _TIMES)}
    for column, what in {**numbers, **times}.items():
        kind = _type_of(dataset, column)
        if kind is not None and kind not in wanted[column]:
            yield column, f"{column} is {kind} in the contract of {dataset.name}, and {what}"
    kind = _type_of(dataset, model.label.column)
    if kind is not None and (why := label_fault(model.label, kind, model.task)):
        yield model.label.column, why


def label_fault(label: Label, kind: ColumnType, task: Task = "binary") -> str | None:
    """Why a column of the type is no label, or None. Values are checked where rows are read."""
    why = _unlike_labels(label, kind, task)
    return None if why is None else f"the label {label.column} is {kind}: {why}"


def _unlike_labels(label: Label, kind: ColumnType, task: Task) -> str | None:
    """Why no value of the type, or not each, is a label."""
    if task == "regression":
        return None if kind in _AMOUNTS else "the label of a regression is a number"
    if task == "multiclass":
        return _no_classes(kind)
    rule = label.rule
    if rule.positive is None:
        return None if kind in _LABELS else "it must be boolean, or 0 and 1"
    if kind == "boolean":
        is_clear = {rule.meaning(True), rule.meaning(False)} == {True, False}
        return None if is_clear else f"`positive` {rule.positive!r} is none of its values"
    declared = [one for one in (rule.positive, rule.negative) if one is not None]
    strange = [repr(one) for one in declared if not _may_be(kind, one)]
    return f"none of its values is ever {' or '.join(strange)}" if strange else None


def _no_classes(kind: ColumnType) -> str | None:
    if kind == "boolean":
        return "it has two classes only: write task: binary"
    return None if kind in _CLASSES else "a class is a text or a whole number"


def _may_be(kind: ColumnType, written: str) -> bool:
    """Whether a column of the type can hold the value that is written like this."""
    if kind == "integer" and "." in written:
        return False
    return is_written_as(_WRITTEN[kind], written)


def unexcused(model: ModelConfig, dataset: DatasetConfig) -> list[str]:
    """Features and labels that are personal and read without a reason; a pseudonym is neither."""
    renamed = dataset.contract.renamed()
    personal = personal_columns(dataset.contract)
    excused = {renamed.get(c, c) for c in model.personal}
    read = (*model.features.all, model.label.column)
    return sorted(c for c in read if renamed.get(c, c) in personal - excused)


def _columns(model: ModelConfig) -> Iterator[tuple[str, Location]]:
    """Every column that the model names with where; of several places the last counts."""
    if model.subject_column is not None:
        yield model.subject_column, ("subject_column",)
    for key in ("time_column", "sample_weight", "group_column"):
        if (named := getattr(model.training, key)) is not None:
            yield named, ("training", key)
    for n, column in enumerate(model.bias.attributes):
        yield column, ("bias", "attributes", n)
    for n, column in enumerate(model.features.categorical):
        yield column, ("features", "categorical", n)
    for n, column in enumerate(model.features.dates):
        yield column, ("features", "dates", n)
    for n, column in enumerate(model.features.numeric):
        yield column, ("features", "numeric", n)
    yield model.label.column, ("label", "column")


def _type_of(dataset: DatasetConfig, column: str) -> ColumnType | None:
    names = dataset.contract.renamed()
    found = dataset.contract.columns.get(names.get(column, column))
    return None if found is None else found.type


def _of_training(
    include: Path, found: ConfigSet, model: ModelConfig, today: date
) -> Iterator[Fault]:
    yield from _of_dataset(found, model)
    dataset = found.datasets.get(model.dataset)
    if dataset is not None:
        yield from ((one.at, one.said) for one in column_faults(model, dataset, today))
    yield from _of_recipe(include, model)


def _of_dataset(found: ConfigSet, model: ModelConfig) -> Iterator[Fault]:
    dataset = found.datasets.get(model.dataset)
    if dataset is None:
        yield ("dataset",), f"dataset {model.dataset!r} has no valid YAML"
    else:
        yield from split_faults(model, dataset)


def split_faults(model: ModelConfig, dataset: DatasetConfig) -> Iterator[Fault]:
    """Why the rows of the dataset cannot be split as the model says."""
    how, time = model.training.split, model.time_in(dataset)
    if how == "temporal" and time is None:
        yield (
            ("dataset",),
            f"dataset {dataset.name} has no time_column: training.split temporal needs one; "
            "without time it may be stratified, grouped or random",
        )
    if how in {"stratified", "random"} and time is not None:
        yield (
            ("training", "split"),
            f"training.split {how} on data with time: rows of {dataset.name} that come later (by "
            f"{time}) would teach about earlier ones; take temporal, or grouped with group_column",
        )


def _of_recipe(include: Path, model: ModelConfig) -> Iterator[Fault]:
    """What training does with the rows, whatever they are."""
    policy = model.training
    folders = [include.parent / "dags", include.parent / "plugins"]
    for name, said in estimators.faults(policy.estimator, policy.parameters, folders, model.task):
        at: Location = ("training", "parameters", name) if name else ("training", "estimator")
        yield at, said
    tried = {} if policy.search is None else policy.search.parameters
    for name, values in tried.items():
        for value in values:
            together = {**policy.parameters, name: value}
            for about, said in estimators.faults(policy.estimator, together, folders, model.task):
                if about == name:
                    yield ("training", "search", "parameters", name), said


def _of_tier(model: ModelConfig, today: date) -> Iterator[Fault]:
    """A model of tier high can be read by people, or somebody answers for it that it cannot."""
    policy = model.training
    if not model.needs_waiver:
        return
    known = [name for name in INTERPRETABLE if name in estimators.of_task(model.task)]
    allowed = f"risk tier high takes {' or '.join(known)}"
    if policy.waiver is None:
        yield (
            ("training", "estimator"),
            f"{policy.estimator} cannot be read by people: {allowed}, or training.waiver with by, "
            "reason and expires",
        )
    elif today > policy.waiver.expires:
        yield (
            ("training", "waiver", "expires"),
            f"the waiver of {policy.waiver.by} for {policy.estimator} ended on "
            f"{policy.waiver.expires}: {allowed}",
        )


def _of_decision(model: ModelConfig, today: date) -> Iterator[Fault]:
    """Thresholds by group need somebody who answers for them today."""
    decision = None if model.mitigation is None else model.mitigation.decision
    if decision is not None and today > decision.until:
        yield (
            ("bias", "mitigation", "decision", "until"),
            f"the decision of {decision.by} on {model.mitigation and model.mitigation.method} "
            f"ended on {decision.until}: decide anew, or take the mitigation out",
        )


def _of_outcomes(found: ConfigSet, model: ModelConfig) -> Iterator[Fault]:
    if model.outcomes is None:
        return
    at: Location = ("outcomes", "dataset")
    dataset = found.datasets.get(model.outcomes.dataset)
    if dataset is None:
        yield at, f"outcomes: dataset {model.outcomes.dataset!r} has no valid YAML"
        return
    for said in outcome_faults(model, dataset):
        yield at, f"outcomes: {said}"
    label = dataset.contract.columns.get("label")
    is_binary = model.task == "binary"
    if is_binary and label and label.type != "boolean" and not model.label.rule.knows_the_negative:
        yield (
            ("label", "positive"),
            f"outcomes: without label.negative beside {model.label.rule.positive!r} a file that "
            "holds no positive outcome would be refused",
        )


def outcome_faults(model: ModelConfig, dataset: DatasetConfig) -> Iterator[str]:
    """Why a dataset cannot bring outcomes, in sentences."""
    columns, name = dataset.contract.columns, dataset.name
    yield from (f"{name} has no column {one}" for one in _absent(columns))
    kind = columns["label"].type if "label" in columns else None
    if kind is not None and (why := _unlike_labels(model.label, kind, model.task)):
        yield f"label of {name} is {kind}: {why}"
    for one, types in OUTCOME_COLUMNS.items():
        column = columns.get(one)
        if column and one != "label" and column.type not in types:
            yield f"{one} of {name} is {column.type}, not {' or '.join(types)}"
        if column and column.sensitivity == "personal":
            yield f"{one} of {name} is personal: a pseudonym cannot be read as an outcome"


def _absent(columns: Collection[str]) -> Iterator[str]:
    if not {"decision_id", "request_id"}.intersection(columns):
        yield "decision_id or request_id"
    yield from (one for one in ("label", "observed_at") if one not in columns)


def _of_platform(found: ConfigSet) -> Iterator[Fault]:
    if found.platform is None:
        return
    if fault := _webhook_fault(found.platform.watch.webhook, found.platform):
        yield ("watch", "webhook"), fault
    if not found.models:
        return
    for role in NEEDED_ROLES:
        if not found.platform.roles.get(role):
            count = len(found.models)
            need = "1 model needs it" if count == 1 else f"{count} models need it"
            yield ("roles", str(role)), f"the role {role} has no member, and {need}"


def _of_people(model: ModelConfig, platform: PlatformConfig) -> Iterator[Fault]:
    approvers = platform.roles.get(Role.APPROVER, ())
    free, quorum = independent(approvers, model.owner), quorum_of(model.risk_tier)
    if approvers and len(free) < quorum:
        yield (
            ("risk_tier",) if quorum > 1 else ("owner",),
            f"risk tier {model.risk_tier} needs {quorum} approvers besides the owner "
            f"{model.owner}; platform.yaml lists {len(free)} ({', '.join(free) or 'nobody'})",
        )
    listed = platform.roles.get(Role.DECOMMISSIONER, ())
    askers = [model.owner, *(name for role in REQUESTERS for name in platform.roles.get(role, ()))]
    if listed and not any(second_people(listed, asker) for asker in askers):
        yield (
            ("owner",),
            f"no version can be retired: {listed[0]} would have to ask and to confirm. "
            "platform.yaml needs a second decommissioner or another operator",
        )


def _of_consumers(consumers: Sequence[Consumer], platform: PlatformConfig) -> Iterator[Fault]:
    for n, one in enumerate(consumers):
        if fault := _webhook_fault(one.webhook, platform):
            yield ("consumers", n, "webhook"), f"consumer {one.name}: {fault}"


def _webhook_fault(webhook: str | None, platform: PlatformConfig) -> str | None:
    if webhook is None:
        return None
    if webhook.startswith(FROM_ENVIRONMENT):
        is_name = webhook.removeprefix(FROM_ENVIRONMENT).isidentifier()
        return None if is_name else "`env:` must be followed by a variable's name"
    return address_fault(webhook, platform.webhook_hosts)
