"""Airflow's plugin scan finds one file; the package beside it keeps its own name (FACTS)."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tenure.settings import REPOSITORY

pytestmark = pytest.mark.airflow
PLUGINS = REPOSITORY / "plugins"
SCAN = """
import json, sys
from airflow import plugins_manager
before = set(sys.modules)
plugins, errors = plugins_manager._get_plugins()
views, _ = plugins_manager._get_ui_plugins()
apps, _ = plugins_manager.get_fastapi_plugins()
ours = [p for p in plugins if p.name == "tenure"]
print(json.dumps({
    "ours": len(ours),
    "errors": errors,
    "views": [[v["name"], v["href"], v["destination"], v["url_route"]] for v in views],
    "apps": [app["url_prefix"] for app in apps],
    "loaded": sorted(set(sys.modules) - before),
}))
"""


def scan(plugins: Path, home: Path) -> dict[str, Any]:
    """What the real plugin manager makes of a folder, in a process of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "PYTHONPATH"))}
    clean |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1:9/none",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCAN],
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return scan(PLUGINS, tmp_path_factory.mktemp("airflow"))


def test_the_scan_reads_one_file_and_imports_no_page(found: dict[str, Any]) -> None:
    assert found["errors"] == {}
    assert found["ours"] == 1
    assert found["apps"] == ["/tenure"]
    stems = {path.stem for path in (PLUGINS / "tenure").rglob("*.py")}
    assert stems & {"errors", "settings", "ports", "canary", "evidence"}
    assert stems & set(found["loaded"]) == set()
    assert [name for name in found["loaded"] if name.startswith("tenure.")] == []
    assert "tenure_plugin" in found["loaded"]


def test_the_views_are_a_page_and_a_tab_on_every_task(found: dict[str, Any]) -> None:
    views = found["views"]
    card = "tenure/card?dag={DAG_ID}&run={RUN_ID}&task={TASK_ID}&map_index={MAP_INDEX}"
    assert ["Tenure", "tenure/", "nav", "tenure"] in views
    assert ["Tenure", card, "task_instance", "card"] in views


@pytest.mark.parametrize("guarded", [True, False], ids=["with .airflowignore", "without"])
def test_the_ignore_file_is_what_keeps_bare_stems_away(tmp_path: Path, *, guarded: bool) -> None:
    """Without it a module of ours would stand in for a library of the same name."""
    folder = tmp_path / "plugins"
    (folder / "tenure" / "links").mkdir(parents=True)
    (folder / "tenure" / "links" / "nntplib.py").write_text("STANDS_IN = True\n")
    if guarded:
        shutil.copy(PLUGINS / ".airflowignore", folder)
    assert ("nntplib" in scan(folder, tmp_path)["loaded"]) is not guarded
