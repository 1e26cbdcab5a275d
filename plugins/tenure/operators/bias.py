"""The bias audit as a task: in `train_model` it decides, anywhere else it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef


class BiasAuditOperator(TenureOperator):
    """Audits how a version treats the groups of its protected attributes.

    Args:
        model: Name of the model.
        version: Number of the version to audit, moving nothing. Without one, a run of
            `train_model` audits the version it trains, and rejects it when the gate fails; any
            other run audits the newest trained version, moving nothing.

    A gate that fails or is inconclusive fails the task, after its report is stored.
    """

    def __init__(self, *, model: str, version: int | None = None, **kwargs: Any) -> None:
        super().__init__(model=model, **kwargs)
        self.version = version

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Verdict and the report's digest."""
        from tenure.usecases.evaluation.evidence import audit_by_hand
        from tenure.usecases.evaluation.gates import audit_bias
        from tenure.usecases.training.planning import has_plan

        model = str(self.model)
        if self.version is None and has_plan(platform, model, run):
            return audit_bias(platform, model, run)
        return audit_by_hand(platform, model, self.version, run)
