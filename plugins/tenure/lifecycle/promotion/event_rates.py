"""Rates of events in two arms, compared as a ratio by a test that may be looked at any time.

In a split where the challenger has the share pi of the subjects, an event is the challenger's with
probability q(r) = pi r / (pi r + 1 - pi) when its rate is r times the champion's. For a grid of
alternatives r and a null r0, the mean over the grid of

    E(r) = product over shares of [q(r)/q(r0)]^x [(1-q(r))/(1-q(r0))]^y

(x events of the challenger, y of the champion) is an e-process: under r0 it exceeds 1/alpha ever,
at any number of analyses and along any ramp, with probability at most alpha. Where all of the grid
is above r0, that holds for every ratio below r0 as well.

Source: Howard, Ramdas et al., "Time-uniform, nonparametric, nonasymptotic confidence sequences"
(2021); Lindon and Malek, "Anytime-valid inference for multinomial count data" (2022).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tenure.vocabulary import BASIS_POINTS

Event = Literal["error", "wrong_label", "absolute_error"]

HARM_GRID = np.geomspace(1.15, 8.0, 24)
"""Ratios that count as harm; the null is 1, an equal challenger."""
SAFE_FACTORS = np.linspace(0.25, 0.9, 16)
"""Ratios that count as safe, as fractions of the margin; the null is the margin itself."""
_THOUSAND = 1_000
"""From here on three digits would need an exponent."""


@dataclass(frozen=True)
class ShareCounts:
    """What was counted for one kind of event at one share of the canary.

    `*_subjects` are distinct subjects of that arm at that share; `*_events` are those whose first
    event happened there. For `wrong_label` only subjects with a mature outcome count.
    """

    event: Event
    share_bp: int
    canary_subjects: int
    canary_events: int
    champion_subjects: int
    champion_events: int


def log_e_value(counts: Sequence[ShareCounts], *, null: float, grid: NDArray[np.float64]) -> float:
    """Natural logarithm of the e-value against `null`, mixed over the grid of ratios.

    Shares of 0 or 10000 basis points compare nothing and are left out. Without events it is 0.
    """
    total = np.zeros(len(grid))
    for row in counts:
        if not 0 < row.share_bp < BASIS_POINTS:
            continue
        pi = row.share_bp / BASIS_POINTS
        # ln of [q(r)/q(r0)] and of [(1-q(r))/(1-q(r0))], with the common denominator apart
        shrink = np.log(pi * null + 1 - pi) - np.log(pi * grid + 1 - pi)
        total += row.canary_events * (np.log(grid / null) + shrink)
        total += row.champion_events * shrink
    largest = total.max()  # taken off before exp, which would overflow
    return float(largest + np.log(np.mean(np.exp(total - largest))))


def rate_ratio(counts: Sequence[ShareCounts]) -> float | None:
    """Rate of the challenger over the champion's, each share a stratum; None without events.

    Source: Mantel & Haenszel (1959), the relative-risk form of Nurminen (1981).

    >>> same = ShareCounts("wrong_label", 500, 100, 20, 1000, 200)
    >>> later = ShareCounts("wrong_label", 5000, 1000, 400, 1000, 400)
    >>> rate_ratio([same, later])
    1.0
    """
    above = below = 0.0
    for row in counts:
        total = row.canary_subjects + row.champion_subjects
        if total:
            above += row.canary_events * row.champion_subjects / total
            below += row.champion_events * row.canary_subjects / total
    return above / below if below else None


def reaches(log_value: float, threshold: float) -> bool:
    """Whether an e-value, by its natural logarithm, counts from the threshold on."""
    return log_value >= math.log(threshold)


def e_words(log_value: float) -> str:
    """An e-value for people; it may overflow, so big ones are written as a power of ten."""
    if log_value > math.log(1e6):
        return f"10^{log_value / math.log(10):.0f}"
    value = math.exp(log_value)
    return f"{value:,.0f}" if value >= _THOUSAND else f"{value:.3g}"
