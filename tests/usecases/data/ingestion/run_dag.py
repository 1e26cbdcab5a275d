"""Runs `tiny__ingest_data` over ten landed files in Airflow; prints what became of them as JSON.

Usage: run_dag.py HOME. A process of its own: Airflow reads its settings once.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from tenure.installation import Installation
from tenure.migrations import upgrade
from tenure.settings import Settings
from tenure.stack import postgres

REPOSITORY = Path(__file__).parents[4]


def main(home: Path) -> None:
    """Ten files through a PostgreSQL and an Airflow of their own."""
    gate_module = _gate_module()
    include = home / "include"
    for folder in ("configs/datasets", "configs/models", "expectations"):
        (include / folder).mkdir(parents=True)
    (include / "configs/datasets/tiny.yaml").write_text(gate_module.YAML)
    platform_yaml = (REPOSITORY / "include/configs/platform.yaml").read_text()
    (include / "configs/platform.yaml").write_text(platform_yaml)

    with postgres.running(home / "pg") as server:
        for name in ("ten_lifecycle", "ten_airflow"):
            with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
        upgrade(server.url("ten_lifecycle"))
        os.environ |= {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": server.url("ten_airflow").replace(
                "+psycopg:", "+psycopg2:"
            ),
            "PYTHONPATH": str(REPOSITORY / "plugins"),
            "TENURE_DATABASE_URL": server.url("ten_lifecycle"),
            "TENURE_HOME": str(home / "home"),
            "TENURE_INCLUDE": str(include),
            "TENURE_STORE_URL": (home / "home/store").as_uri(),
        }
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        subprocess.run(migrate, check=True, capture_output=True)
        gate = gate_module.Gate(Installation(Settings.from_environment()))
        gate.expect()
        for number in range(10):
            gate.drop([99.0 if number == 4 else float(number)], f"2026-{number:02d}.parquet")

        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(REPOSITORY / "dags/ingest_data.py"))
        run = bag.dags["tiny__ingest_data"].test()
        with psycopg.connect(server.conninfo("ten_airflow")) as connection:
            events = connection.execute(
                "SELECT extra->>'batch' FROM asset_event ORDER BY 1"
            ).fetchall()
        found = {
            "tasks": sorted(
                [t.task_id, t.map_index, str(t.state)] for t in run.get_task_instances()
            ),
            "events": [batch for (batch,) in events],
            "snapshots": [
                row["batch"] for row in gate.rows("SELECT batch FROM snapshot ORDER BY 1")
            ],
        }
        gate.platform.database.dispose()
    sys.stdout.write(f"{json.dumps(found)}\n")


def _gate_module() -> Any:
    """The tests' conftest, whose ways through the gate this script shares."""
    spec = importlib.util.spec_from_file_location("gate", Path(__file__).with_name("conftest.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(Path(sys.argv[1]))
