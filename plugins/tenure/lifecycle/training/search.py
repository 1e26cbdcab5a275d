"""Which parameters a training takes: successive halving over candidates, within a budget of time.

Many candidates learn from few rows; the better third learns from three times as many, and so on.
What a budget of time allows is not the same twice, so the choice is a fact of the version: who
trains it again takes the choice and does not search.

Source: Jamieson and Talwalkar, Non-stochastic Best Arm Identification (AISTATS 2016).
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tenure.lifecycle.model_version import Parameter, SearchFacts, SearchTrial
from tenure.lifecycle.policy import Policy

KEEP = 3
"""One candidate in so many goes on, with so many times the rows."""
FEWEST_ROWS = 200
"""Rows below which a candidate is not tried."""
_LARGEST_GRID = 100_000

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Row numbers to learn from, the most useful last, and to judge by."""
Loss = Callable[[Mapping[str, Parameter], NDArray[np.intp], NDArray[np.intp]], float]


class SearchPolicy(Policy):
    """Parameters that are tried before the one training; the holdout has no part in it."""

    parameters: dict[str, tuple[Parameter, ...]] = Field(min_length=1)
    """Values to try, by name of the parameter; `training.parameters` are tried first."""
    budget_seconds: float = Field(default=300.0, gt=0)
    """After this long no further candidate is tried."""
    candidates: int = Field(default=27, ge=2, le=1000)
    """Combinations that are drawn by the seed."""
    folds: int = Field(default=3, ge=1, le=10)
    """Times that a candidate learns and is judged; with time, each later one ends later."""


@dataclass(frozen=True)
class _Judged:
    parameters: Mapping[str, Parameter]
    loss: float


def candidates(
    base: Mapping[str, Parameter], policy: SearchPolicy, *, seed: int
) -> list[dict[str, Parameter]]:
    """The parameters of the YAML, then combinations drawn by the seed, none twice."""
    names, values = list(policy.parameters), list(policy.parameters.values())
    size = math.prod(len(of_one) for of_one in values)
    drawn = np.random.default_rng(seed).permutation(min(size, _LARGEST_GRID))[: policy.candidates]
    grid = set(drawn.tolist())
    found = [dict(base)]
    for number, one in enumerate(itertools.islice(itertools.product(*values), _LARGEST_GRID)):
        if number in grid:
            found.append({**base, **dict(zip(names, one, strict=True))})
    unique = [one for n, one in enumerate(found) if one not in found[:n]]
    return unique[: policy.candidates]


def search(
    tried: Sequence[Mapping[str, Parameter]],
    folds: Sequence[Fold],
    loss: Loss,
    *,
    budget_seconds: float,
    monotonic: Callable[[], float],
    tell: Callable[[SearchTrial], None],
) -> SearchFacts:
    """Halve the candidates until one is left, or the time is spent.

    Args:
        tried: Candidates; of two that are equally good the earlier one stays.
        folds: At least one; a candidate's loss is the mean over them.
        loss: Of parameters that learned from rows and were judged by others; lower is better.
        budget_seconds: Asked before each candidate; the first is tried in any case.
        monotonic: Seconds.
        tell: Gets each trial when it is done.

    Returns:
        What was chosen: the best of the last round in which all were tried. Before the end of the
        first, in which candidates learn from few rows, that is the first candidate: the YAML's.
    """
    began, trials = monotonic(), list[SearchTrial]()
    alive, best, ended = list(tried), tried[0], "halving"
    for number, share in enumerate(_shares(len(tried), min(len(train) for train, _ in folds))):
        judged: list[_Judged] = []
        for parameters in alive:
            if trials and monotonic() - began >= budget_seconds:
                ended = "budget"
                break
            rows, value = _loss(parameters, folds, share, loss)
            trial = SearchTrial(number + 1, dict(parameters), rows, value)
            trials.append(trial)
            tell(trial)
            judged.append(_Judged(parameters, value))
        if ended == "halving":
            judged.sort(key=lambda one: one.loss)  # stable: the earlier of equals
            best = judged[0].parameters
            alive = [one.parameters for one in judged[: max(1, len(judged) // KEEP)]]
        if ended == "budget":
            break
    return SearchFacts(dict(best), _ended(ended), tuple(trials))


def _ended(how: str) -> Literal["halving", "budget"]:
    return "budget" if how == "budget" else "halving"


def _shares(count: int, rows: int) -> Iterator[float]:
    """Of the rows of a fold, by round; the last round has all of them."""
    rounds = 1 + max(0, math.ceil(math.log(max(count, 1), KEEP)))
    possible = 1 + max(0, math.floor(math.log(max(rows / FEWEST_ROWS, 1), KEEP)))
    for left in range(min(rounds, possible) - 1, -1, -1):
        yield KEEP**-left


def _loss(
    parameters: Mapping[str, Parameter], folds: Sequence[Fold], share: float, loss: Loss
) -> tuple[int, float]:
    """Rows of the largest fold, and the mean loss."""
    sizes = [math.ceil(len(train) * share) for train, _ in folds]
    values = [
        loss(parameters, train[len(train) - size :], judge)
        for (train, judge), size in zip(folds, sizes, strict=True)
    ]
    return max(sizes), float(np.mean(values))
