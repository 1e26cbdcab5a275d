"""The base of every policy that a YAML may state: closed, frozen, typed."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Policy(BaseModel):
    """An unknown key is an error; a loaded policy never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class GatePolicy(Policy):
    """A gate is on unless it says why not, and until when."""

    mode: Literal["enforce", "report_only"] = "enforce"
    """`report_only` lets a bad verdict pass, until the excuse ends."""
    reason: str | None = None
    """Why the gate is excused."""
    expires: date | None = None
    """Last day of the excuse."""

    @model_validator(mode="after")
    def _excused(self) -> "GatePolicy":
        if self.mode == "report_only" and not (self.reason and self.expires):
            raise ValueError("mode: report_only needs a reason and an expires date")
        return self

    def enforces(self, today: date) -> bool:
        """Whether a bad verdict stops the version; an excuse ends with its expiry day."""
        return self.mode == "enforce" or self.expires is None or today > self.expires

    @property
    def excused_until(self) -> datetime | None:
        """The first moment after the excuse, in UTC; None of a gate that has none."""
        if self.mode == "enforce" or self.expires is None:
            return None
        return end_of(self.expires)


def end_of(day: date) -> datetime:
    """The first moment after a day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(tzinfo=UTC))


Share = Field(ge=0.0, le=1.0)
"""A fraction of something, 0…1."""
