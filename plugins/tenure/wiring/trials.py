"""Whether a version loads: tried by the gateways that would serve it, else here.

Gateways have the libraries in memory and load a version in a fraction of a second, in the very
place where it will serve. Where none answers, loading it here takes two seconds, mostly imports.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.adapters.sql import trials
from tenure.errors import ArtifactRefused
from tenure.lifecycle.serving.trial import TRIAL_PATIENCE_SECONDS, TrialAnswer, verdict
from tenure.wiring.base import Platform

if TYPE_CHECKING:
    from tenure.wiring.serving_models import VerifiedLoader

HERE = "here"
_LOOK_SECONDS = 0.02

Row = Mapping[str, Any]


class Trials:
    """Tries versions of one model; a context, because what it loads here it ends at the end.

    Args:
        platform: The installation.
        model: Whose versions.
        actor: Who asks.
    """

    def __init__(self, platform: Platform, model: str, *, actor: str) -> None:
        self._platform = platform
        self._actor = actor
        self._ends = ExitStack()
        with platform.database.begin() as connection:
            self._gateways = trials.gateways(connection, model)

    def __enter__(self) -> "Trials":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def load(self, row: Row) -> str:
        """Load a version on trial; returns where: `by gateway ID`, or `here`.

        Raises:
            ArtifactRefused: It does not load.
            ServiceUnreachable: The database or the store does not answer.
        """
        if self._gateways:
            given = self._asked(int(row["id"]))
            if given is None:
                self._gateways = set()  # nobody answers: do not wait for each of the next ones
            elif given.loads:
                return f"by gateway {given.gateway}"
            else:
                raise _refused(given)
        self._loader.load(row).close()
        return HERE

    def _asked(self, version_id: int) -> TrialAnswer | None:
        database = self._platform.database
        with database.begin() as connection:
            trial = trials.ask(connection, version_id, by=self._actor)
        deadline = time.monotonic() + TRIAL_PATIENCE_SECONDS
        while True:
            is_over = time.monotonic() >= deadline
            with database.begin() as connection:
                given = trials.answers(connection, trial)
            found = verdict(given, known=self._gateways, is_over=is_over)
            if found is not None or is_over:
                return found
            time.sleep(_LOOK_SECONDS)

    @cached_property
    def _loader(self) -> "VerifiedLoader":
        """In a folder of its own: two at once must not take each other's copies away."""
        from tenure.wiring.serving_models import ServingPolicies, VerifiedLoader

        prefix = "tenure-trial-"
        folder = self._ends.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
        loader = VerifiedLoader(
            self._platform, Path(folder), ServingPolicies(self._platform.settings)
        )
        self._ends.callback(loader.close)
        return loader


def _refused(given: TrialAnswer) -> ArtifactRefused:
    return ArtifactRefused(
        given.cause,
        still_safe="Nothing was loaded; gateways keep what they serve.",
        next_step=f"Look at the log of gateway {given.gateway}; take another version.",
    )
