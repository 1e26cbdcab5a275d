"""What DAG files share: assets, the catalog of models and datasets, defaults."""
