"""Builds use cases from settings, config and adapters: the only place that knows them all.

One module a stage; each imports its adapters inside its functions, because every Airflow task
is a fresh process and pays for what it imports.
"""
