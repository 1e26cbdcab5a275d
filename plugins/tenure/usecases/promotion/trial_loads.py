"""Whether a version loads: tried by the gateways that would serve it, else here.

Gateways have the libraries in memory and load a version in a fraction of a second, in the very
place where it will serve. Where none answers, loading it here takes two seconds, mostly imports.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tenure.adapters.sql import presence, trials
from tenure.errors import ArtifactRefused
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.promotion.trial_loads import TRIAL_PATIENCE_SECONDS, TrialAnswer, verdict

if TYPE_CHECKING:
    from tenure.usecases.serving.loading import VerifiedLoader

HERE = "here"
_LOOK_SECONDS = 0.02


class TrialResult(NamedTuple):
    """A version that loads.

    Args:
        where: Where it did: `by gateway ID`, or `here`.
        trial: Row id of what gateways were asked; None when there was none to ask.
    """

    where: str
    trial: int | None


class Trials:
    """Tries versions of one model; a context, because what it loads here it ends at the end.

    Args:
        platform: The installation.
        model: Whose versions.
        actor: Who asks.
    """

    def __init__(self, platform: Installation, model: str, *, actor: str) -> None:
        self._platform = platform
        self._actor = actor
        self._ends = ExitStack()
        with platform.database.begin() as connection:
            self._gateways = presence.alive(connection, model)

    def __enter__(self) -> "Trials":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def load(self, row: VersionRecord) -> TrialResult:
        """Load a version on trial.

        Raises:
            ArtifactRefused: It does not load.
            ServiceUnreachable: The database or the store does not answer.
        """
        trial = None
        if self._gateways:
            trial, given = self._asked(row.id)
            if given is None:
                self._gateways = frozenset()  # nobody answers: do not wait for each of the next
            elif given.loads:
                return TrialResult(f"by gateway {given.gateway}", trial)
            else:
                raise _refused(given)
        self._loader.load(row).close()
        return TrialResult(HERE, trial)

    def _asked(self, version_id: int) -> tuple[int, TrialAnswer | None]:
        known = self._gateways
        with self._platform.database.begin() as connection:
            trial = trials.ask(connection, version_id, by=self._actor)
        given = _answers(
            self._platform,
            trial,
            until=lambda so_far: verdict(so_far, known=known, is_over=False) is not None,
        )
        return trial, verdict(given, known=known, is_over=True)

    @cached_property
    def _loader(self) -> "VerifiedLoader":
        """In a folder of its own: two at once must not take each other's copies away."""
        from tenure.usecases.serving.loading import ServingPolicies, VerifiedLoader

        prefix = "tenure-trial-"
        folder = self._ends.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
        loader = VerifiedLoader(
            self._platform, Path(folder), ServingPolicies(self._platform.settings)
        )
        self._ends.callback(loader.close)
        return loader


def refusals(platform: Installation, model: str, trial: int | None) -> tuple[TrialAnswer, ...]:
    """Gateways that cannot load the version of a trial, also where it was enough that another can.

    Waits for those that are alive as long as a trial does: call it where that is no harm.

    Raises:
        ServiceUnreachable: The database does not answer.
    """
    if trial is None:
        return ()
    with platform.database.begin() as connection:
        known = presence.alive(connection, model)
    given = _answers(
        platform, trial, until=lambda so_far: known <= {answer.gateway for answer in so_far}
    )
    return tuple(answer for answer in given if not answer.loads)


def _answers(
    platform: Installation, trial: int, *, until: Callable[[Sequence[TrialAnswer]], bool]
) -> Sequence[TrialAnswer]:
    """Look again and again until it is enough, or the time is over."""
    deadline = time.monotonic() + TRIAL_PATIENCE_SECONDS
    while True:
        is_over = time.monotonic() >= deadline
        with platform.database.begin() as connection:
            given = trials.answers(connection, trial)
        if is_over or until(given):
            return given
        time.sleep(_LOOK_SECONDS)


def _refused(given: TrialAnswer) -> ArtifactRefused:
    return ArtifactRefused(
        given.cause,
        still_safe="Nothing was loaded; gateways keep what they serve.",
        next_step=f"Look at the log of gateway {given.gateway}; take another version.",
    )
