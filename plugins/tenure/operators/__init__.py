"""Thin Airflow operators: each calls one use case of `tenure.usecases`."""
