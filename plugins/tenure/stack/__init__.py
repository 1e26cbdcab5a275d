"""The embedded stack: PostgreSQL, Airflow, MLflow and the gateway as processes of this machine."""

from tenure.stack.embedded import Stack
from tenure.stack.endpoints import StackEndpoints

__all__ = ["Stack", "StackEndpoints"]
