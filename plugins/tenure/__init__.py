"""Tenure keeps machine-learning models employed responsibly, on Apache Airflow."""

__version__ = "0.1.0"
