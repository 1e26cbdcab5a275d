"""Ten files in one run of Airflow: ten mapped tasks; one that fails stops none of the others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("run_dag.py")
GOOD = [f"2026-{number:02d}" for number in range(10) if number != 4]


@pytest.mark.fault
@pytest.mark.airflow
def test_ten_batches(tmp_path: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "TENURE"))}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        env=clean | {"PYTHONPATH": str(SCRIPT.parents[4] / "plugins")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    assert found["tasks"] == [["discover", -1, "success"]] + [
        ["ingest", number, "failed" if number == 4 else "success"] for number in range(10)
    ]
    assert found["events"] == GOOD
    assert found["snapshots"] == GOOD
    said = [line for line in done.stdout.splitlines() if "tenure.task" in line]
    assert "DataRejected" in said[0] or "tiny batch 2026-04: 1 of 1 expectations" in said[0]
