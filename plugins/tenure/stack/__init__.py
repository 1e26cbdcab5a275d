"""The embedded stack: PostgreSQL, Airflow, MLflow and the gateway as processes of this machine."""
