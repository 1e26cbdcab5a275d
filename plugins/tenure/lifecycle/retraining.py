"""One controller that decides for every model whether to retrain, and says why or why not."""

from pydantic import Field

from tenure.lifecycle.policy import Policy


class RetrainingPolicy(Policy):
    """What asks for retraining and what holds it back."""

    on_performance: bool = True
    on_drift: bool = False
    """Drift alone asks for a look (`investigate`), not for retraining, unless this is set."""
    new_batches: int | None = Field(default=None, ge=1)
    """Published batches since the last training that ask for retraining by themselves."""
    max_age_days: int | None = Field(default=None, ge=1)
    cooldown_hours: float = Field(default=24.0, ge=0.0)
    """No second request within this time of the last one (wall clock)."""
    frozen: bool = False
