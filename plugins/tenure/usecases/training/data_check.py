"""Whether the models of the YAMLs can learn from what is published, before a training says no.

It reads what a training would read now and asks by the rules that training and gates refuse by.
Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from tenure.adapters.sql import training
from tenure.config import DatasetConfig, ModelConfig
from tenure.config.loader import ConfigSet
from tenure.config.problems import Problem
from tenure.config.references import column_faults, outcome_faults, place_of, split_faults
from tenure.errors import ConfigInvalid, GateInconclusive, ServiceUnreachable, TenureError
from tenure.installation import Installation
from tenure.installation.identity import as_command
from tenure.lifecycle.training import PublishedSnapshot, in_force
from tenure.lifecycle.training.fitness import (
    SQUARING,
    RowFault,
    declared_class_faults,
    gate_faults,
    leak_faults,
    learning_faults,
    valueless,
)
from tenure.lifecycle.training.weights import row_weights
from tenure.usecases.data.compatibility import of_snapshots
from tenure.usecases.data.privacy import require_safe_store
from tenure.usecases.data.snapshots import open_snapshot
from tenure.usecases.training.fitting import split_rows, wanted_columns
from tenure.usecases.training.planning import task_fault
from tenure.usecases.training.tuning import calibration_fault, learned_rows

if TYPE_CHECKING:
    from tenure.adapters.training_rows import TrainingRows


@dataclass(frozen=True)
class DataFindings:
    """What came of it.

    Args:
        problems: What stands in the way of a run, by the line of the YAML that it concerns.
        checked: Models whose rows were read.
        unchecked: Why others were not, or not wholly, by model.
    """

    problems: tuple[Problem, ...]
    checked: tuple[str, ...]
    unchecked: dict[str, str]


def check_data(
    platform: Installation, found: ConfigSet, only: Collection[Path] = ()
) -> DataFindings:
    """Compare each model with the batches that its training would take now.

    A database or store that does not answer is no problem of a YAML: it is said for each model.

    Args:
        platform: The installation; its `include` holds the configs.
        found: These configs.
        only: YAMLs of models and datasets; all when it is empty.
    """
    problems = list(_of_stores(platform, found, only))
    checked: list[str] = []
    unchecked: dict[str, str] = {}
    silent = ""
    for name, model in sorted(found.models.items()):
        one = _ModelCheck(platform, found, model)
        if only and one.path not in only:
            continue
        if why := silent or one.excuse():  # what did not answer once is not waited for again
            unchecked[name] = why
            continue
        try:
            problems += one.problems()
        except (TenureError, SQLAlchemyError) as error:
            unchecked[name] = _reason(error)
            silent = unchecked[name] if isinstance(error, ServiceUnreachable) else ""
            continue
        checked += [name] if one.is_read else []
        unchecked |= {name: one.waits} if one.waits else {}
    return DataFindings(tuple(problems), tuple(checked), unchecked)


def _of_stores(
    platform: Installation, found: ConfigSet, only: Collection[Path]
) -> Iterator[Problem]:
    """Restricted datasets that this installation's store would keep in the clear."""
    for name, dataset in sorted(found.datasets.items()):
        path = platform.settings.configs / "datasets" / f"{name}.yaml"
        if only and path not in only:
            continue
        try:
            require_safe_store(platform.store, dataset)
        except ConfigInvalid as error:
            yield Problem(path, found.line(path, ("sensitivity",)), error.what)
        except TenureError:  # it does not answer: who reads a snapshot says so
            continue


class _ModelCheck:
    """One model and its data. `waits` says why not all of it could be judged yet."""

    def __init__(self, platform: Installation, found: ConfigSet, model: ModelConfig) -> None:
        self._platform, self._found, self._model = platform, found, model
        self._today = platform.clock.now().date()
        self.path = platform.settings.configs / "models" / f"{model.name}.yaml"
        self.waits = ""
        self.is_read = False

    def excuse(self) -> str:
        """Why the rows need not be looked at: the YAMLs rule a training out by themselves."""
        dataset = self._found.datasets.get(self._model.dataset)
        if dataset is None:
            return f"dataset {self._model.dataset} has no valid YAML"
        faults = split_faults(self._model, dataset)
        return next((said for _, said in faults), "")

    def problems(self) -> list[Problem]:
        """Raises TenureError, KeyError or SQLAlchemyError when something cannot be read."""
        dataset = self._found.datasets[self._model.dataset]
        batches = self._newest(dataset.name)
        outcomes = [*self._of_task(), *self._of_outcomes()]
        if not batches:
            self.waits = "nothing is published yet"
            return outcomes
        needed = self._model.training.window_batches
        newest = batches[-needed:]
        if len(newest) < needed:
            self.waits = f"{len(newest)} of the {needed} batches that training needs are published"
        where = f"batch{'es' * (len(newest) > 1)} {', '.join(s.batch for s in newest)}"
        said = {
            fault: f"{fault.said} ({where} of {dataset.name})"
            for fault in self._faults(dataset, newest)
        }
        return [self._problem(fault.about, text) for fault, text in said.items()] + outcomes

    def _of_task(self) -> Iterator[Problem]:
        with self._platform.database.begin() as connection:
            fault = task_fault(connection, self._model)
        if fault:
            yield self._problem(("task",), f"{fault}. Give the new task a model of its own.")

    def _newest(self, dataset: str) -> tuple[PublishedSnapshot, ...]:
        with self._platform.database.begin() as connection:
            return in_force(training.published(connection, dataset))

    def _faults(
        self, dataset: DatasetConfig, newest: Sequence[PublishedSnapshot]
    ) -> Iterator[RowFault]:
        """In the order in which a run would meet them; a column's first fault alone."""
        with self._platform.database.begin() as connection:
            found = of_snapshots(connection, self._platform, self._model, dataset, newest)
        shapes = [RowFault(str(one), one.column) for one in found]
        named = {one.column for one in column_faults(self._model, dataset, self._today)}
        for fault in (*shapes, *self._of_rows(dataset, newest)):
            if fault.about not in named:
                yield fault
            if isinstance(fault.about, str):
                named.add(fault.about)

    def _of_rows(
        self, dataset: DatasetConfig, newest: Sequence[PublishedSnapshot]
    ) -> Iterator[RowFault]:
        from tenure.adapters.training_rows import examine_rows

        paths = [self._open(dataset.name, snapshot.digest) for snapshot in newest]
        wanted = wanted_columns(self._model, dataset, of_a_part=bool(self.waits), checked=True)
        found = examine_rows(paths, wanted)
        self.is_read = True
        yield from found.faults
        if found.rows is not None:
            yield from self._of_split(found.rows)

    def _of_split(self, rows: "TrainingRows") -> Iterator[RowFault]:
        from tenure.adapters.single_columns import scan

        policy, label = self._model.training, self._model.label.column
        if self.waits:  # more rows will come before anything is split
            yield from valueless(rows.values(), f"the {len(rows.labels):,} rows so far")
            return
        try:
            parts = split_rows(self._model, rows)
            learned = learned_rows(self._model, parts.train)
        except GateInconclusive as error:
            key = "group_column" if policy.group_column else "gap_hours"
            yield RowFault(error.what.rstrip("."), ("training", key))
            return
        old, new = parts.train, parts.holdout
        try:
            row_weights(policy.class_weight, old.labels, old.meanings, old.weights)
        except ConfigInvalid as error:
            yield RowFault(error.what.rstrip("."), ("training", "class_weight"))
        squared = old.magnitudes() if policy.estimator in SQUARING else {}
        yield from declared_class_faults(self._model.declared_classes, learned.labels)
        yield from learning_faults(learned.labels, learned.values(), label=label, squared=squared)
        if said := calibration_fault(self._model, old):
            yield RowFault(said, ("evaluation", "calibration"))
        evaluation, bias = self._model.evaluation, self._model.bias
        yield from gate_faults(evaluation, bias, new.labels, new.protected, today=self._today)
        if evaluation.enforces(self._today):
            at = parts.at
            found = scan(
                rows.features,
                rows.labels,
                rows.times,
                before=at.train,
                holdout=at.holdout,
                dates=self._model.features.dates,
            )
            yield from leak_faults(evaluation, found)

    def _of_outcomes(self) -> Iterator[Problem]:
        """What keeps the newest outcomes that landed from being taken."""
        from tenure.adapters.landed_outcomes import read

        config = self._model.outcomes
        dataset = None if config is None else self._found.datasets.get(config.dataset)
        if dataset is None or list(outcome_faults(self._model, dataset)):
            return
        batches = self._newest(dataset.name)
        if not batches:
            return
        path = self._open(dataset.name, batches[-1].digest)
        now, rule = self._platform.clock.now(), self._model.outcome_rule
        try:
            read(path, digest=batches[-1].digest, received_at=now, rule=rule)
        except ConfigInvalid as error:
            said = error.what
        except (KeyError, ValueError) as error:
            said = f"{error.args[0]}."
        else:
            return
        text = f"outcomes: {said} Newest batch of {dataset.name}: {batches[-1].batch}."
        yield self._problem(("outcomes", "dataset"), text)

    def _open(self, dataset: str, digest: str) -> Path:
        run = as_command("check")
        model = self._model.name
        return open_snapshot(self._platform, dataset, digest, purpose="check", run=run, model=model)

    def _problem(self, about: str | tuple[str, ...], said: str) -> Problem:
        at = place_of(self._model, about) if isinstance(about, str) else about
        return Problem(self.path, self._found.line(self.path, at), said)


def _reason(error: Exception) -> str:
    if isinstance(error, TenureError):
        return error.what.rstrip(".")
    return f"a snapshot cannot be read ({str(error).splitlines()[0]})"
