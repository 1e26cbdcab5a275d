"""`tenure bias-audit FILE --metric mean_error`: predicted numbers, told by groups."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure import cli

JUDGED = ("--label", "minutes", "--prediction", "said", "--metric", "mean_error")
LIMIT = (*JUDGED, "--max-difference", "2")


def run(path: Path, *words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli.app, ["bias-audit", str(path), *words])
    error = done.exception
    if isinstance(error, cli.TenureError):
        return cli.exit_code(error), done.stdout, "\n".join([error.what, *error.lines()])
    assert error is None or isinstance(error, SystemExit), error
    return done.exit_code, done.stdout, done.stderr


def rows(n: int = 600) -> dict[str, list[Any]]:
    """UA is told four minutes too many; every tenth carrier and three labels are missing."""
    rng = np.random.default_rng(3)
    carrier = [None if i % 10 == 0 else ("UA", "AA")[i % 2] for i in range(n)]
    minutes = rng.normal(20, 40, n).round(3)
    said = minutes + rng.normal(0, 3, n).round(3) + [4.0 * (c == "UA") for c in carrier]
    ages = rng.integers(18, 80, n).tolist()
    labels = [None if i in (7, 8, 9) else float(m) for i, m in enumerate(minutes)]
    return {"carrier": carrier, "age": ages, "minutes": labels, "said": said.tolist()}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_means_are_those_of_numpy_and_the_gap_is_named(tmp_path: Path, suffix: str) -> None:
    held = rows()
    path = tmp_path / f"rows.{suffix}"
    write = pacsv.write_csv if suffix == "csv" else pq.write_table
    write(pa.table(held), path)
    words = (*LIMIT, "--protected", "carrier,age", "--edges", "age=30,50", "--reference")
    code, printed, error = run(path, *words, "carrier=AA", "--json")
    assert code == 1, error
    found = json.loads(printed)
    assert (found["verdict"], found["rows"]) == ("failed", 597)
    assert "left out: 3 rows whose label (minutes) is missing" in found["summary"]
    errors = np.array(held["said"]) - np.array(held["minutes"], dtype=float)
    known = ~np.isnan(errors)
    assert found["overall"]["mean_error"] == pytest.approx(errors[known].mean(), abs=1e-9)
    by_carrier = {g["value"][0]: g for g in found["groups"] if g["by"] == ["carrier"]}
    assert set(by_carrier) == {"AA", "UA", None}
    for name, group in by_carrier.items():
        mine = known & np.array([one == name for one in held["carrier"]])
        assert group["n"] == mine.sum()
        assert group["mean_error"] == pytest.approx(errors[mine].mean(), abs=1e-9)
        size = np.abs(errors[mine]).mean()
        assert group["mean_absolute_error"] == pytest.approx(size, abs=1e-9)
        assert group["tpr"] is None
    bands = [g["value"][0] for g in found["groups"] if g["by"] == ["age"]]
    assert bands == ["under 30", "30 to under 50", "50 and over"]
    judged = [c for c in found["comparisons"] if c["by"] == ["carrier"]]
    assert [(c["metric"], c["worst"], c["best"], c["verdict"]) for c in judged] == [
        ("mean_error", ["UA"], ["AA"], "failed"),
        ("mean_absolute_error", ["UA"], ["AA"], None),
    ]
    code, printed, _ = run(path, *words, "carrier=AA")
    assert "carrier=UA" in printed
    assert "Student's" in printed


def test_the_order_of_rows_makes_no_difference(tmp_path: Path) -> None:
    table = pa.table(rows())
    order = np.random.default_rng(1).permutation(table.num_rows)
    found = []
    for n, part in enumerate((table, table.take(pa.array(order)))):
        pq.write_table(part, tmp_path / f"{n}.parquet")
        words = (*LIMIT, "--protected", "carrier", "--json")
        found.append(json.loads(run(tmp_path / f"{n}.parquet", *words)[1]))
        found[-1].pop("subject")
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (JUDGED, "mean_error needs --max-difference"),
        ((*LIMIT, "--positive", "1"), "--positive is of classes"),
        ((*LIMIT, "--min-ratio", "0.8"), "--min-ratio is of classes"),
        ((*LIMIT[:2], *LIMIT[4:]), "mean_error needs --prediction"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    pq.write_table(pa.table(rows()), tmp_path / "rows.parquet")
    code, _, error = run(tmp_path / "rows.parquet", *words, "--protected", "carrier")
    assert code == 2
    assert says in " ".join(error.replace("│", " ").split())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("late", "minutes is 'late' in row 2 (the first of 1), which is no finite number"),
        ("inf", "minutes is 'inf' in row 2"),
    ],
)
def test_what_is_no_number_is_refused(tmp_path: Path, value: str, says: str) -> None:
    held = rows(40)
    held["minutes"] = ["" if one is None else str(one) for one in held["minutes"]]
    held["minutes"][1] = value
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(held)
        writer.writerows(zip(*held.values(), strict=True))
    code, _, error = run(tmp_path / "rows.csv", *LIMIT, "--protected", "carrier")
    assert code == 2
    assert says in error


def test_nan_of_pandas_is_missing_and_booleans_are_refused(tmp_path: Path) -> None:
    table = pa.table({"g": ["a", "b"] * 40, "minutes": [math.nan, *[1.0] * 79], "said": [2.0] * 80})
    pq.write_table(table, tmp_path / "rows.parquet")
    words = (*LIMIT, "--protected", "g", "--json")
    found = json.loads(run(tmp_path / "rows.parquet", *words)[1])
    assert (found["rows"], found["overall"]["mean_error"]) == (79, 1.0)
    classes = pa.table(
        {"g": ["a", "b"] * 40, "minutes": [math.nan, 1.0, 0.0, 0.0] * 20, "said": [1.0, 0.0] * 40}
    )
    pq.write_table(classes, tmp_path / "classes.parquet")
    found = json.loads(run(tmp_path / "classes.parquet", *JUDGED[:4], *words[-3:])[1])
    assert found["policy"]["left_out"] == {"label (minutes) is missing": 20}
    scores = pa.table({"g": ["a", "b"] * 40, "minutes": [1.0, 0.0] * 40})
    scores = scores.append_column("said", pa.array([0.1, math.nan, 0.9, 0.4] * 20))
    pq.write_table(scores, tmp_path / "scores.parquet")
    scored = ("--label", "minutes", "--score", "said", "--threshold", "0.5", *words[-3:])
    assert (
        "said is 'nan' in row 2 (the first of 20)" in run(tmp_path / "scores.parquet", *scored)[2]
    )
    flags = table.set_column(1, "minutes", pa.array([True, False] * 40))
    pq.write_table(flags, tmp_path / "flags.parquet")
    code, _, error = run(tmp_path / "flags.parquet", *words)
    assert code == 2
    assert "minutes is true or false" in error
