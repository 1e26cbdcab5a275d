"""Decides for every model whether to retrain, and wakes the training of those it chose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Asset, AssetAlias, Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef


class RetrainingOperator(TenureOperator):
    """Files retrain requests, and adds an event for each model that waits for its training.

    Args:
        alias: The one outlet.
        requests: Asset of each model; only those of chosen models get an event.
    """

    def __init__(self, *, alias: AssetAlias, requests: Mapping[str, Asset], **kwargs: Any) -> None:
        super().__init__(outlets=[alias], **kwargs)
        self.alias = alias
        self.requests = dict(requests)

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Decide, file, wake; says in the log why or why not, a line a model."""
        from tenure.usecases.monitoring.retraining import decide_all

        decided = decide_all(platform, run)
        for one in decided.chosen:
            if one.model in self.requests:
                context["outlet_events"][self.alias].add(
                    self.requests[one.model],
                    extra={"request_id": one.request_id, "reason_code": one.reason_code},
                )
        return {"chosen": [one.model for one in decided.chosen]}
