"""Airflow's own parser in a process of its own: a clean environment, and one import of Airflow."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flight_configs import flight_configs

from tenure.settings import REPOSITORY

SCRIPT = Path(__file__).with_name("parse_dags.py")
Parse = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Parse:
    """Parse the DAG files as the dag processor does, or as a task of one DAG does."""

    def run(
        *, home: Path | None = None, include: Path | None = None, dag_id: str = "", file: str = ""
    ) -> dict[str, Any]:
        home = home or tmp_path_factory.mktemp("home")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "TENURE"))}
        clean |= {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # Parsing opens no connection; an address where nobody listens proves it.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1:9/none",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "TENURE_HOME": str(home),
            "TENURE_INCLUDE": str(include or flight_configs(home / "include")),
            "PYTHONPATH": str(REPOSITORY / "plugins"),
        }
        target = REPOSITORY / "dags" / file if file else REPOSITORY / "dags"
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(target), dag_id],
            env=clean,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        parsed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return parsed

    return run


@pytest.fixture(scope="session")
def parsed(parse: Parse) -> dict[str, Any]:
    """All DAG files over the configs of one dataset and one model."""
    return parse()
