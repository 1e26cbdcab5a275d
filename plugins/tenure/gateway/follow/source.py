"""The lifecycle database, as a gateway needs it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from tenure.lifecycle.promotion.trial_loads import Trial
from tenure.lifecycle.serving import CanaryStop, Catalog, TrafficPlan


class LifecycleSource(Protocol):
    """The lifecycle database as the follower uses it. Every method may raise TenureError."""

    def read(self, known_versions: frozenset[int]) -> Catalog:
        """Plans, states, keys and models now, with the rows of named versions not yet known."""
        ...

    def acknowledge(self, plan: TrafficPlan) -> None:
        """This gateway serves by the plan."""
        ...

    def renew(self) -> dict[str, int]:
        """This gateway is there; returns the generations that are written of it, by model."""
        ...

    def leave(self) -> None:
        """It ends."""
        ...

    def report_failure(self, model: str, version: int, kind: str, cause: str) -> None:
        """A version that a plan names was refused, or its process died: open an incident."""
        ...

    def report_load(self, model: str, version: int, *, began: datetime, note: str) -> None:
        """A version is loaded, as its YAML asks when there is no note: close incidents."""
        ...

    def report_stops(self, *, is_corrupt: bool) -> None:
        """The file of the stops cannot be read, or a person has looked: an incident for it."""
        ...

    def report_aside(self, items: Mapping[str, str]) -> None:
        """What this gateway set aside for now, each with its cause, and nothing else any more."""
        ...

    def stop_canary(self, stop: CanaryStop) -> None:
        """A person stopped a canary here: open an incident, by which it is rolled back."""
        ...

    def trials(self) -> list[Trial]:
        """Versions that somebody asks about just now, and this gateway has not answered for."""
        ...

    def answer_trial(self, trial_id: int, refusal: str) -> None:
        """What this gateway found; no refusal means that it loads."""
        ...

    def wait(self, seconds: float) -> None:
        """Sleep, at most so long; less when a plan was published or a trial asked for."""
        ...
