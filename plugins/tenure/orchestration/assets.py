"""Names of the assets through which one DAG wakes another.

An event only wakes: what there is to do, a DAG reads from the lifecycle database.
"""

from __future__ import annotations

from airflow.sdk import Asset, AssetAlias


def snapshot(dataset: str) -> Asset:
    """A batch of the dataset was published."""
    return _asset("snapshot", dataset)


def monitoring(model: str) -> Asset:
    """A window of the model's live decisions was judged."""
    return _asset("monitoring", model)


def retrain_request(model: str) -> Asset:
    """The controller chose the model for retraining."""
    return _asset("retrain_request", model)


def validated(model: str) -> Asset:
    """A version of the model passed its gates and may be promoted."""
    return _asset("validated", model)


def retrain_requests() -> AssetAlias:
    """The controller's one outlet: it adds `retrain_request` of the models it chose."""
    return AssetAlias(name="tenure_retrain_requests")


def _asset(kind: str, name: str) -> Asset:
    return Asset(name=f"{kind}/{name}", uri=f"tenure://{kind}/{name}")
