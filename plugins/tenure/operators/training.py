"""Tasks of `train_model`: plan, train, evaluate, register; each finds its version by its run."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef


class PlanTrainingOperator(TenureOperator):
    """Takes the open retrain request and drafts the version that answers it; else skips."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Ids of the version and of the request."""
        from tenure.usecases.training.planning import plan

        params: Any = context.get("params") or {}
        planned = plan(
            platform,
            str(self.model),
            run,
            by_hand=_is_by_hand(context),
            reason=str(params.get("reason") or ""),
        )
        if planned is None:
            raise AirflowSkipException(f"Nothing to train: {self.model} has no retrain request.")
        return asdict(planned)


class TrainOperator(TenureOperator):
    """Fits, scores the holdout, stores and signs; the version becomes `trained`."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Ids and the artifact's digest."""
        from tenure.usecases.training.training import train

        return train(platform, str(self.model), run)


class EvaluateOperator(TenureOperator):
    """Judges the holdout's metrics; a version that fails is rejected."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Verdict and the report's digest."""
        from tenure.usecases.evaluation.gates import evaluate

        return evaluate(platform, str(self.model), run)


class RegisterOperator(TenureOperator):
    """Mirrors the version in MLflow, moves it to `validated` and says so through its outlets."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Ids and the artifact's digest; the same go to the asset event, for people."""
        from tenure.usecases.evaluation.gates import register

        answer = register(platform, str(self.model), run)
        for asset in self.outlets:
            context["outlet_events"][asset].extra = answer
        return answer


def _is_by_hand(context: Context) -> bool:
    run_type = getattr(context.get("dag_run"), "run_type", "manual")
    return str(getattr(run_type, "value", run_type)) == "manual"
