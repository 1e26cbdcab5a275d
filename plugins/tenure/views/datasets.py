"""What the page of a dataset shows: its contract, its people, its batches and who reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.config import ConfigSet, DatasetConfig, load_all, load_dataset, parse_dataset
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.installation.suite_in_force import suite_in_force
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.sentences import sentence
from tenure.verdicts import Severity

if TYPE_CHECKING:
    from tenure.adapters.sql.data import DatasetRow, SnapshotRow, ValidationRow

BATCHES = 100
"""Judgements that the page lists, newest first."""


@dataclass(frozen=True)
class DatasetReader:
    """A model that learns from the dataset, and the columns that it reads."""

    name: str
    owner: str
    columns: frozenset[str]


@dataclass(frozen=True)
class DatasetPage:
    """One dataset in full.

    `trouble` says why the config or the suite is not the newest; `rules` are (sentence, severity);
    `partly_usable` are digests of batches' reports.
    """

    name: str
    config: DatasetConfig | None
    registered: "DatasetRow | None"
    batches: "list[ValidationRow]"
    snapshot: "SnapshotRow | None"
    readers: list[DatasetReader]
    rules: list[tuple[str, str]]
    partly_usable: frozenset[str]
    trouble: str = ""


def dataset_page(platform: Installation, name: str) -> DatasetPage | None:
    """The dataset, or None when neither a YAML nor the lifecycle database knows it."""
    from tenure.adapters.sql import data, validations

    with platform.database.begin() as connection:
        registered = validations.dataset(connection, name)
        batches = data.validations(connection, name, limit=BATCHES)
        snapshot = data.newest(connection, name)
        kept = validations.newest_config(connection, name)
        partly = validations.partly_usable(connection, [row.report_digest for row in batches])
    config, trouble = _config(platform, name, kept)
    if registered is None and config is None:
        return None
    rules, suite_trouble = _rules(platform, config)
    return DatasetPage(
        name=name,
        config=config,
        registered=registered,
        batches=batches,
        snapshot=snapshot,
        readers=readers(platform, name),
        rules=rules,
        partly_usable=partly,
        trouble=trouble or suite_trouble,
    )


def readers(platform: Installation, dataset: str) -> list[DatasetReader]:
    """Models whose valid YAML names the dataset."""
    return readers_by_dataset(load_all(platform.settings.include)).get(dataset, [])


def readers_by_dataset(found: ConfigSet) -> dict[str, list[DatasetReader]]:
    """Models with a valid YAML, by dataset; columns under the names of the present contract."""
    by_name: dict[str, list[DatasetReader]] = {}
    for model in found.models.values():
        dataset = found.datasets.get(model.dataset)
        renamed = dataset.contract.renamed() if dataset else {}
        columns = frozenset(renamed.get(name, name) for name in model.columns)
        by_name.setdefault(model.dataset, []).append(
            DatasetReader(model.name, model.owner, columns)
        )
    return by_name


def stored_config(text: str | None) -> DatasetConfig | None:
    """A config from the text that was kept; None when this release cannot read it any more."""
    try:
        return parse_dataset(text) if text is not None else None
    except ConfigInvalid:
        return None


def stored_suite(digest: str, name: str, body: str) -> Suite | None:
    """A suite from the text that was kept, to be read and never to be run.

    It was linted when it judged; rules that were added since do not make it unreadable.
    """
    try:
        listed = json.loads(body)["expectations"]
        return Suite(name, digest, body, tuple(_stored(n, item) for n, item in enumerate(listed)))
    except (ValueError, KeyError, TypeError):
        return None


def _stored(number: int, item: Mapping[str, Any]) -> Expectation:
    severity = Severity(item.get("severity", "critical"))
    return Expectation(item.get("id") or str(number), item["type"], item["kwargs"], severity)


def _config(
    platform: Installation, name: str, kept: str | None
) -> tuple[DatasetConfig | None, str]:
    path = platform.settings.include / "configs" / "datasets" / f"{name}.yaml"
    try:
        return load_dataset(platform.settings.include, name)[0], ""
    except ConfigInvalid as error:
        there = path.exists()
        why = error.what.splitlines()[0].replace(str(platform.settings.include), "include")
        said = f"The YAML is not valid: {why}" if there else "The dataset has no YAML any more."
        return stored_config(kept), f"{said} Below is the config that judged last."


def _rules(
    platform: Installation, config: DatasetConfig | None
) -> tuple[list[tuple[str, str]], str]:
    if config is None:
        return [], ""
    try:
        suite = suite_in_force(platform, config.suite, [config]).suite
    except ConfigInvalid as error:
        why = error.what.splitlines()[0].replace(str(platform.settings.include), "include")
        return [], f"The suite is not valid: {why}"
    return [_rule(expectation) for expectation in suite.expectations], ""


def _rule(expectation: Expectation) -> tuple[str, str]:
    return sentence(expectation), str(expectation.severity)
