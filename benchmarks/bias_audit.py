"""What a bias audit costs, from file to verdict: two attributes and both crossed, 1,000 draws.

Run: `.venv/bin/python benchmarks/bias_audit.py [ROWS] [--peers PYTHON]`. Each tool is a process of
its own that starts, imports, reads the Parquet file and gives its numbers. Fairlearn is in the
development environment; for the others make one: `python3 -m venv peers; peers/bin/pip install
aequitas==1.0.0 aif360==0.6.1 pyarrow`, and give `--peers peers/bin/python`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

FAIRLEARN = """
import sys, pandas as pd
from fairlearn.metrics import (MetricFrame, false_negative_rate, false_positive_rate,
    selection_rate, true_positive_rate)
from sklearn.metrics import accuracy_score, precision_score
rows = pd.read_parquet(sys.argv[1])
for names in (["race"], ["sex"], ["race", "sex"]):
    frame = MetricFrame(metrics={"selection_rate": selection_rate, "tpr": true_positive_rate,
        "fpr": false_positive_rate, "fnr": false_negative_rate, "accuracy": accuracy_score,
        "ppv": precision_score}, y_true=rows.label, y_pred=rows.prediction,
        sensitive_features=rows[names])
    frame.by_group, frame.difference(), frame.ratio()
"""
AEQUITAS = """
import sys, pandas as pd
from aequitas.group import Group
from aequitas.bias import Bias
rows = pd.read_parquet(sys.argv[1]).rename(columns={"prediction": "score", "label": "label_value"})
rows["both"] = rows.race + " " + rows.sex
names = ["race", "sex", "both"]
rows[names] = rows[names].astype(object)
cells, _ = Group().get_crosstabs(rows[["score", "label_value", *names]], attr_cols=names)
Bias().get_disparity_major_group(cells, original_df=rows, mask_significance=False)
"""
AIF360 = """
import sys, warnings; warnings.simplefilter("ignore")
import pandas as pd
from aif360.datasets import BinaryLabelDataset
from aif360.metrics import ClassificationMetric
rows = pd.read_parquet(sys.argv[1])
rows["both"] = rows.race + " " + rows.sex
for name in ("race", "sex", "both"):
    codes, values = pd.factorize(rows[name])
    frame = pd.DataFrame({"g": codes.astype(float), "label": rows.label.astype(float)})
    truth = BinaryLabelDataset(df=frame, label_names=["label"], protected_attribute_names=["g"])
    said = truth.copy()
    said.labels = rows.prediction.to_numpy(dtype=float).reshape(-1, 1)
    for code in range(1, len(values)):
        found = ClassificationMetric(truth, said, unprivileged_groups=[{"g": float(code)}],
            privileged_groups=[{"g": 0.0}])
        for privileged in (True, False):
            found.selection_rate(privileged), found.true_positive_rate(privileged)
            found.false_positive_rate(privileged), found.accuracy(privileged)
        found.disparate_impact(), found.statistical_parity_difference()
"""
_ROUNDS = 3


def main(rows: int, peers: str | None) -> None:
    """Print the table of benchmarks/RESULTS.md."""
    tenure = str(Path(sys.executable).parent / "tenure")
    with tempfile.TemporaryDirectory() as folder:
        path = _written(Path(folder), rows)
        columns = ("--label", "label", "--prediction", "prediction", "--protected", "race,sex")
        ours = [tenure, "bias-audit", str(path), *columns]
        tools: dict[str, Sequence[str]] = {
            "`tenure bias-audit`, with intervals": ours,
            "Fairlearn MetricFrame": [sys.executable, "-c", FAIRLEARN, str(path)],
        }
        if peers:
            tools["Aequitas"] = [peers, "-c", AEQUITAS, str(path)]
            tools["AIF360"] = [peers, "-c", AIF360, str(path)]
        measured = {name: _measured(command) for name, command in tools.items()}
    base = measured["`tenure bias-audit`, with intervals"][0]
    print(f"| {rows:,} rows | CPU seconds | ratio | wall seconds | peak MB |")
    print("|---|---|---|---|---|")
    for name, (processor, wall, peak) in measured.items():
        print(f"| {name} | {processor:.2f} | {processor / base:.1f} | {wall:.2f} | {peak:.0f} |")


def _written(folder: Path, rows: int) -> Path:
    import duckdb

    path = folder / "scored.parquet"
    duckdb.execute("SELECT setseed(0.5)")
    duckdb.execute(
        f"""COPY (SELECT ['a', 'b', 'c', 'd', 'e'][1 + (random() * 4.999)::INT % 5] AS race,
        ['f', 'm'][1 + (random() < 0.5)::INT] AS sex, (random() < 0.4)::INT AS label,
        (random() < 0.5)::INT AS prediction FROM range({rows})) TO '{path}'"""
    )
    return path


def _measured(command: Sequence[str]) -> tuple[float, float, float]:
    """Best CPU seconds of some rounds, with the wall seconds and the peak memory of that round."""
    return min(_once(command) for _ in range(_ROUNDS if "tenure" in command[0] else 1))


def _once(command: Sequence[str]) -> tuple[float, float, float]:
    environment: Mapping[str, str] = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{command[:3]} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--peers")
    given = parser.parse_args()
    main(given.rows, given.peers)
