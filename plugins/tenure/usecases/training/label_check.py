"""Whether the newest data of each model holds labels, before a training finds that it does not.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tenure.adapters.sql import training
from tenure.config import DatasetConfig, ModelConfig
from tenure.config.loader import ConfigSet
from tenure.config.problems import Problem, read_bounded
from tenure.config.yaml_lines import parse
from tenure.errors import ConfigInvalid, GateInconclusive, ServiceUnreachable, TenureError
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.lifecycle.training import PublishedSnapshot, choose_snapshots
from tenure.usecases.data.compatibility import other_names
from tenure.usecases.data.snapshots import open_snapshot


@dataclass(frozen=True)
class LabelFindings:
    """What came of it.

    Args:
        problems: Label columns with values that are no labels, by the line of the YAML.
        checked: Models whose newest snapshot was read.
        unchecked: Why others were not, by model.
    """

    problems: tuple[Problem, ...]
    checked: tuple[str, ...]
    unchecked: dict[str, str]


def check_labels(
    platform: Installation, found: ConfigSet, only: Collection[Path] = ()
) -> LabelFindings:
    """Read the label column of the newest snapshot of each model's dataset.

    A database or store that does not answer is no problem of a YAML: it is said for each model.

    Args:
        platform: The installation; its `include` holds the configs.
        found: These configs.
        only: YAMLs of models; all when it is empty.
    """
    problems: list[Problem] = []
    checked, unchecked, silent = [], {}, ""
    for name, model in sorted(found.models.items()):
        path = platform.settings.configs / "models" / f"{name}.yaml"
        dataset = found.datasets.get(model.dataset)
        if dataset is None or (only and path not in only):
            continue
        if silent:  # what did not answer once is not waited for again
            unchecked[name] = silent
            continue
        try:
            snapshot = _newest(platform, model)
            file = _open(platform, model, snapshot)
        except (TenureError, KeyError, SQLAlchemyError) as error:
            unchecked[name] = _reason(error)
            silent = unchecked[name] if isinstance(error, ServiceUnreachable) else ""
            continue
        checked.append(name)
        problems += _problems(path, model, dataset, snapshot, file)
    return LabelFindings(tuple(problems), tuple(checked), unchecked)


def _newest(platform: Installation, model: ModelConfig) -> PublishedSnapshot:
    """Raises GateInconclusive when nothing is published."""
    with platform.database.begin() as connection:
        published = training.published(connection, model.dataset)
    (newest,) = choose_snapshots(published, dataset=model.dataset, window_batches=1)
    return newest


def _open(platform: Installation, model: ModelConfig, snapshot: PublishedSnapshot) -> Path:
    return open_snapshot(
        platform,
        model.dataset,
        snapshot.digest,
        purpose="check",
        run=as_command("check"),
        model=model.name,
    )


def _problems(
    path: Path,
    model: ModelConfig,
    dataset: DatasetConfig,
    snapshot: PublishedSnapshot,
    file: Path,
) -> list[Problem]:
    """What stands in the way of a training; one snapshot need not hold both classes."""
    from tenure.adapters.training_rows import label_values

    label = model.label
    try:
        counts = label_values(file, label.column, other_names(model, dataset)[label.column])
        label.rule.meanings(counts, column=label.column, still_safe="", of_a_part=True)
    except ConfigInvalid as error:
        line = parse(path, read_bounded(path))[1].get(("label",), 1)
        message = f"label: {error.what} Newest batch of {model.dataset}: {snapshot.batch}."
        return [Problem(path, line, message)]
    return []


def _reason(error: Exception) -> str:
    if isinstance(error, GateInconclusive):
        return "nothing is published yet"
    if isinstance(error, TenureError):
        return error.what
    return f"the newest snapshot cannot be read ({str(error).splitlines()[0]})"
