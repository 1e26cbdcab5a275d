"""Airflow sets up logging when it is first imported: before a test looks at the log, then."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _airflow_first() -> None:
    import airflow.sdk.bases.operator  # noqa: F401
    from airflow.sdk import Connection  # noqa: F401
