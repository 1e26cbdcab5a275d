"""Searches for the parameters of a training, and keeps the choice for whoever trains it again."""

import json
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from tenure.config import ModelConfig
from tenure.errors import ObjectMissing
from tenure.layout import search_key
from tenure.lifecycle.model_version import Parameter, SearchFacts, SearchTrial
from tenure.lifecycle.training.search import candidates, search
from tenure.lifecycle.training.split import folds
from tenure.lifecycle.training.weights import row_weights
from tenure.ports import ObjectStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tenure.adapters.training_rows import TrainingRows

_log = logging.getLogger("tenure.training")
_FACTS = TypeAdapter(SearchFacts)


def kept_choice(store: ObjectStore, training_key: str) -> SearchFacts | None:
    """What an earlier try of the same training chose: a budget of time is not spent twice."""
    try:
        return _FACTS.validate_json(store.get(search_key(training_key)))
    except ObjectMissing:
        return None


def keep_choice(store: ObjectStore, training_key: str, found: SearchFacts) -> None:
    """For the next try, should this one be killed."""
    store.put(search_key(training_key), _FACTS.dump_json(found))


def as_json(found: SearchFacts | None) -> Any:
    """As JSON values; `from_json` reads them."""
    return None if found is None else json.loads(_FACTS.dump_json(found))


def from_json(stated: Any) -> SearchFacts | None:
    """What `as_json` wrote."""
    return None if stated is None else _FACTS.validate_json(json.dumps(stated))


def choose(config: ModelConfig, rows: "TrainingRows") -> SearchFacts | None:
    """Search among the rows that are learned from; None where the YAML asks for none.

    Raises:
        GateInconclusive: The rows are too few for even one fold.
        ConfigInvalid: No candidate can learn from them.
    """
    policy = config.training.search
    if policy is None:
        return None
    found = folds(
        config.training,
        policy.folds,
        horizon_hours=config.label.horizon_hours,
        labels=rows.labels,
        times=rows.times,
        groups=rows.groups,
    )

    def loss(
        parameters: Mapping[str, Parameter], train: "NDArray[np.intp]", judge: "NDArray[np.intp]"
    ) -> float:
        return _loss(config, rows, parameters, (train, judge))

    return search(
        candidates(config.training.parameters, policy, seed=config.training.seed),
        found,
        loss,
        budget_seconds=policy.budget_seconds,
        monotonic=time.monotonic,
        tell=_tell,
    )


def _loss(
    config: ModelConfig,
    rows: "TrainingRows",
    parameters: Mapping[str, Parameter],
    fold: "tuple[NDArray[np.intp], NDArray[np.intp]]",
) -> float:
    """Log loss of the fold; of a regression the mean absolute error.

    A class that occurs in no row learned from has the smallest likelihood that there is: it costs
    every candidate of a round the same.
    """
    from sklearn.metrics import log_loss, mean_absolute_error

    from tenure.adapters.sklearn_trainer import build, fit, score
    from tenure.adapters.training_rows import pick

    policy, columns = config.training, config.features
    train, judge = pick(rows, fold[0]), pick(rows, fold[1])
    unfitted = build(
        policy.estimator,
        parameters,
        numeric=columns.numeric,
        categorical=columns.categorical,
        dates=columns.dates,
        seed=policy.seed,
        task=config.task,
    )
    weights = row_weights(policy.class_weight, train.labels, train.meanings, train.weights)
    label, task = config.label.column, config.task
    fitted = fit(
        unfitted,
        train.features,
        train.labels,
        label=label,
        task=task,
        weights=weights,
        of_a_part=True,
    )
    if task == "multiclass":
        return _loss_of_classes(fitted, judge)
    scores = score(fitted, judge.features)
    if task == "regression":
        return float(mean_absolute_error(judge.labels, scores))
    return float(log_loss(judge.labels, scores, labels=[False, True]))


def _loss_of_classes(fitted: Any, judge: "TrainingRows") -> float:
    import numpy as np

    from tenure.adapters.sklearn_trainer import score_classes
    from tenure.lifecycle.training.evaluation.classes import class_scores

    scored = class_scores(*score_classes(fitted, judge.features), judge.labels)
    return float(-np.log(scored.likelihood).mean())


def _tell(trial: SearchTrial) -> None:
    stated = " ".join(f"{name}={value}" for name, value in trial.parameters.items())
    _log.info("search round=%d rows=%d loss=%.5f %s", trial.round, trial.rows, trial.loss, stated)
