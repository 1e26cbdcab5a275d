"""Whether the traffic was split as the plan says: else nothing can be concluded from either arm.

Which arm a subject gets is a coin of its own, the canary's with the probability pi of the share. Of
x subjects of the canary and y of the champion at one share,

    E = B(a + x, b + y) / (B(a, b) * pi^x * (1 - pi)^y),  a = K * pi, b = K * (1 - pi)

is an e-process: with the split that was meant it exceeds 1/alpha ever with probability at most
alpha, whenever somebody looks. A subject that comes back at a larger share is no new coin, so the
shares are judged apart and divide alpha among themselves. The bound is for subjects that keep their
pseudonym: one that gets another while the canary runs is counted as two, with the same coin.

Source: Lindon and Malek, "Anytime-valid inference for multinomial count data" (2022), who propose
it as a sequential test of the sample ratio.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaln

from tenure.vocabulary import BASIS_POINTS

ALPHA = 0.001
"""Bound on ever finding a right split wrong, over all shares of a canary."""
PRIOR_SUBJECTS = 100.0
"""K: how closely the alternatives lie around the share that was meant."""


@dataclass(frozen=True)
class ArmSplit:
    """Subjects by the arm that they were assigned at one share, and the evidence against it.

    `log_e` is the natural logarithm of the e-value; wrong from that of `threshold` on.
    """

    share_bp: int
    canary_subjects: int
    champion_subjects: int
    log_e: float
    threshold: float

    @property
    def wrong(self) -> bool:
        """Whether the evidence is enough."""
        return self.log_e >= math.log(self.threshold)

    def describe(self) -> str:
        """The numbers in one clause."""
        subjects = self.canary_subjects + self.champion_subjects
        return (
            f"{self.canary_subjects} of {subjects} subjects were the canary's "
            f"({self.canary_subjects / subjects:.1%}) at a share of {self.share_bp / 100:g}%"
        )


def judge_split(subjects: Sequence[tuple[int, int, int]], *, shares: int) -> ArmSplit | None:
    """The share whose split is most in doubt; None where nobody was counted.

    Args:
        subjects: Of each share, in basis points between 0 and 10000: the share, subjects of the
            canary, subjects of the champion.
        shares: At how many shares the canary is observed altogether.

    >>> judge_split([(500, 50, 950), (5000, 400, 600)], shares=2).describe()
    "400 of 1000 subjects were the canary's (40.0%) at a share of 50%"
    """
    found = [
        ArmSplit(
            share_bp, canary, champion, log_e_value(share_bp, canary, champion), shares / ALPHA
        )
        for share_bp, canary, champion in subjects
        if canary + champion
    ]
    return max(found, key=lambda split: split.log_e, default=None)


def log_e_value(share_bp: int, canary: int, champion: int) -> float:
    """Natural logarithm of the e-value against the split that was meant; 0 without subjects."""
    pi = share_bp / BASIS_POINTS
    a, b = PRIOR_SUBJECTS * pi, PRIOR_SUBJECTS * (1 - pi)
    meant = canary * math.log(pi) + champion * math.log1p(-pi)
    return float(betaln(a + canary, b + champion) - betaln(a, b)) - meant
