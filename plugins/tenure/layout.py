"""Every object key and every DAG id: built and parsed in one place."""
