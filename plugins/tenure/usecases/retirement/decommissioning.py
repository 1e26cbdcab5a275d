"""Retires model versions: request, confirm, notify, archive, delete, record."""

from dataclasses import dataclass

from tenure.installation import Installation
from tenure.lifecycle.retirement.decommission import StepAction, is_abandoned, next_step
from tenure.usecases.retirement.archive import verify
from tenure.usecases.retirement.archiving import archive
from tenure.usecases.retirement.disposal import delete, record
from tenure.usecases.retirement.notice import notify
from tenure.usecases.retirement.people import ask, confirm, request
from tenure.usecases.retirement.retirement import Mirror, Retirement, StepResult
from tenure.vocabulary import RunRef

__all__ = ["Decommissioning", "Mirror", "StepResult", "decommissioning", "verify"]


@dataclass(frozen=True)
class Decommissioning:
    """The use case of one model; every method may be called again, from any run."""

    retirement: Retirement

    def request(self, version: int, *, reason: str, successor: str, run: RunRef) -> StepResult:
        """Register the wish of the person who triggered the run."""
        return request(self.retirement, version, reason=reason, successor=successor, run=run)

    def ask(self, version: int) -> tuple[str, list[str]] | None:
        """Markdown of the question and who may answer; None when it is answered."""
        return ask(self.retirement, version)

    def confirm(self, version: int, *, agrees: bool, person: str | None) -> StepResult:
        """Take the second person's answer."""
        return confirm(self.retirement, version, agrees=agrees, person=person)

    def do(self, action: StepAction, version: int, run: RunRef) -> StepResult:
        """One of the steps that need no person."""
        steps = {
            StepAction.NOTIFY: lambda: notify(self.retirement, version),
            StepAction.ARCHIVE: lambda: archive(self.retirement, version, run),
            StepAction.DELETE: lambda: delete(self.retirement, version),
            StepAction.RECORD: lambda: record(self.retirement, version, run),
            StepAction.WITHDRAW: lambda: notify(self.retirement, version),
        }
        return steps[action]()

    def resume(self, version: int, run: RunRef) -> list[StepResult]:
        """Do what has been due for long and nobody works on; for maintenance."""
        clock, policy = self.retirement.platform.clock, self.retirement.config.decommission
        found: list[StepResult] = []
        if not is_abandoned(self.retirement.progress(version), policy, clock.now()):
            return found
        while not (found and found[-1].waiting):
            step = next_step(self.retirement.progress(version), policy)
            if step.action in {StepAction.NOTHING, StepAction.CONFIRM} or not step.is_due(
                clock.now()
            ):
                break
            found.append(self.do(step.action, version, run))
        return found


def decommissioning(
    platform: Installation, model: str, mirror: Mirror | None = None
) -> Decommissioning:
    """The use case of a model; `mirror` is MLflow unless a test brings its own."""
    return Decommissioning(Retirement(platform, model, mirror or platform.mlflow))
