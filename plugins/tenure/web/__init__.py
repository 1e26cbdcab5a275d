"""The Tenure pages inside the Airflow UI."""
