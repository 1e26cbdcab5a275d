"""What the data gate costs: 30 columns from Parquet against 25 expectations, and its peers.

Run: `.venv/bin/python benchmarks/data_gate.py [--rows 1000000] [--large 5000000] [--repeat 3]`

Every measurement is a process of its own on the same file. Seconds are of the processor, all
threads together, so that neighbours on the machine matter less; wall seconds stand beside them.
Pandera and Polars are not of this project: the script installs them into a virtual environment that
it throws away (needs `uv` or pip and a package index), and leaves them out when that fails.
`--no-peers` leaves them out at once.
"""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__)
PARTS = ("read", "contract", "GX", "quarantine", "write", "rest")
NUMBERS, COUNTS, LABELS = 18, 5, 5
CITIES = ["berlin", "lagos", "lima", "oslo", "pune", "quito", "tunis", "turin"]
OURS = {
    "the gate, whole": "gate",
    "GX alone (read, validate)": "gx_alone",
    "DuckDB by hand: one scan, then the failing rows": "duckdb_scan",
}
PEERS = {
    "Pandera on pandas": ("pandera_pandas", "pandera[pandas]", "pandas<3", "pyarrow"),
    "Pandera on Polars": ("pandera_polars", "pandera[polars]", "polars"),
}


def write_rows(path: Path, rows: int) -> None:
    """A file with an id, a time, 18 numbers, 5 counts and 5 labels; 0.5% of the rows are bad."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = np.random.default_rng(7)
    columns: dict[str, Any] = {
        "id": np.arange(rows),
        "at": pa.array(1_700_000_000_000_000 + np.arange(rows) * 1_000, pa.timestamp("us", "UTC")),
    }
    for n in range(NUMBERS):
        columns[f"n{n}"] = pa.array(source.normal(50, 10, rows), mask=source.random(rows) < 0.01)
    for n in range(COUNTS):
        columns[f"c{n}"] = source.integers(0, 100, rows)
    for n in range(LABELS):
        columns[f"s{n}"] = pa.array(np.array(CITIES)[source.integers(0, len(CITIES), rows)])
    bad = source.random(rows)
    columns["c0"][bad < 0.002] = 1_000
    columns["c1"][(bad >= 0.002) & (bad < 0.004)] = -1
    labels = columns["s0"].to_numpy(zero_copy_only=False)
    labels[(bad >= 0.004) & (bad < 0.005)] = "atlantis"
    columns["s0"] = pa.array(labels)
    pq.write_table(pa.table(columns), path)


def expectations() -> list[dict[str, Any]]:
    """25: nine about nulls, eight ranges, two sets, a form, a length, uniqueness, means, rows."""
    found: list[tuple[str, dict[str, Any]]] = [
        ("expect_table_row_count_to_be_between", {"min_value": 1_000}),
        ("expect_column_values_to_be_unique", {"column": "id"}),
    ]
    for n in range(9):
        found.append(("expect_column_values_to_not_be_null", {"column": f"n{n}", "mostly": 0.9}))
    for n in range(5):
        bounds = {"min_value": 0, "max_value": 99}
        found.append(("expect_column_values_to_be_between", {"column": f"c{n}"} | bounds))
    for n in (9, 10, 11):
        bounds = {"min_value": -50, "max_value": 150}
        found.append(("expect_column_values_to_be_between", {"column": f"n{n}"} | bounds))
    for n in range(2):
        found.append(
            ("expect_column_values_to_be_in_set", {"column": f"s{n}", "value_set": CITIES})
        )
    found.append(("expect_column_values_to_match_regex", {"column": "s2", "regex": "^[a-z]+"}))
    lengths = {"min_value": 1, "max_value": 20}
    found.append(("expect_column_value_lengths_to_be_between", {"column": "s3"} | lengths))
    for n in (12, 13):
        means = {"min_value": 40, "max_value": 60}
        found.append(("expect_column_mean_to_be_between", {"column": f"n{n}"} | means))
    return [{"type": kind, "kwargs": kwargs, "severity": "warning"} for kind, kwargs in found]


# One part a process


class Clock:
    """Both kinds of seconds since it was made."""

    def __init__(self) -> None:
        self.began = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        """What went by."""
        cpu, wall = self.began
        return {"seconds": time.process_time() - cpu, "wall": time.perf_counter() - wall}


class Watch:
    """Adds up the processor seconds that wrapped functions take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS, 0.0)

    def wrap(self, place: Any, name: str, part: str, *, without: str = "") -> None:
        """Replace a function by one that is timed; what `without` took meanwhile is taken off."""
        inner = getattr(place, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            began, other = time.process_time(), self.seconds.get(without, 0.0)
            try:
                return inner(*args, **kwargs)
            finally:
                spent = time.process_time() - began
                self.seconds[part] += spent - (self.seconds.get(without, 0.0) - other)

        setattr(place, name, timed)


def gate(path: Path) -> dict[str, Any]:
    """The whole gate on a file, as the judging process runs it."""
    from tenure.adapters import arrow_tables, gx_validator
    from tenure.adapters.arrow_tables import reading
    from tenure.config.loader import parse_dataset
    from tenure.config.suites import parse_suite
    from tenure.usecases.data import judge_file
    from tenure.usecases.data.privacy import DatasetContext

    watch = Watch()
    watch.wrap(reading, "_rows", "read")
    watch.wrap(arrow_tables, "read_batch", "contract", without="read")
    watch.wrap(gx_validator, "validate", "GX")
    watch.wrap(judge_file, "judge", "quarantine")
    watch.wrap(arrow_tables, "write_quarantine", "quarantine")
    watch.wrap(judge_file, "_write_snapshot", "write")
    suite = json.dumps({"name": "wide", "expectations": expectations()}).encode()
    dataset = parse_dataset(_yaml())
    rules = parse_suite(suite, "wide", dataset.contract, Path("wide.json"))
    clock = Clock()
    done = judge_file.judge_file(path, "landing/wide/b.parquet", dataset, rules, DatasetContext())
    took = clock.read()
    watch.seconds["rest"] = took["seconds"] - sum(watch.seconds.values())
    rows = done.report.facts["rows_quarantined"]
    broken = [c for c in done.report.checks if "expect_" in c.name and c.verdict != "passed"]
    return took | {"parts": watch.seconds, "set aside": rows, "broken": len(broken)}


def _yaml() -> str:
    kinds = {"id": "integer", "at": "timestamp"}
    kinds |= {f"n{n}": "number" for n in range(NUMBERS)}
    kinds |= {f"c{n}": "integer" for n in range(COUNTS)}
    kinds |= {f"s{n}": "string" for n in range(LABELS)}
    columns = "".join(f"    {name}: {{type: {kind}}}\n" for name, kind in kinds.items())
    return (
        "name: wide\ndescription: 30 columns\nowner: ada\nsteward: sam\ntime_column: at\n"
        "suite: wide\nsource: {memory_mb: 65536}\n"
        f"contract:\n  key: [id]\n  columns:\n{columns}"
    )


def gx_alone(path: Path) -> dict[str, Any]:
    """Great Expectations as its documentation says: a data frame from Parquet, all failing rows."""
    import great_expectations as gx
    import pandas as pd
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("wide").add_dataframe_asset("wide")
    whole = asset.add_batch_definition_whole_dataframe("whole")
    suite = ExpectationSuite("wide", expectations=expectations())
    clock = Clock()
    batch = whole.get_batch({"dataframe": pd.read_parquet(path)})
    result = batch.validate(suite, result_format="COMPLETE")
    broken = [found.result for found in result.results if not found.success]
    rows = {row for seen in broken for row in seen.get("unexpected_index_list") or ()}
    return clock.read() | {"set aside": len(rows), "broken": len(broken)}


def duckdb_scan(path: Path) -> dict[str, Any]:
    """The same checks by hand in one scan of counts, and one of the failing rows."""
    import duckdb

    rules = []
    measures = ["count(*)", "count(*) - count(DISTINCT id)"]
    for rule in expectations():
        column, kwargs = rule["kwargs"].get("column"), rule["kwargs"]
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        broken = {
            "expect_column_values_to_be_between": f"{column} NOT BETWEEN {low} AND {high}",
            "expect_column_values_to_be_in_set": f"{column} NOT IN {tuple(CITIES)}",
            "expect_column_values_to_match_regex": f"NOT regexp_matches({column}, '^[a-z]+')",
            "expect_column_value_lengths_to_be_between": (
                f"length({column}) NOT BETWEEN {low} AND {high}"
            ),
        }.get(rule["type"])
        if broken:
            rules.append(broken)
            measures.append(f"count(*) FILTER ({broken})")
        elif "null" in rule["type"]:
            measures.append(f"count(*) - count({column})")
        elif "mean" in rule["type"]:
            measures.append(f"avg({column})")
    clock = Clock()
    scan = duckdb.connect()
    (seen,) = scan.execute(f"SELECT {', '.join(measures)} FROM '{path}'").fetchall()
    broken = [n for n, measure in zip(seen, measures, strict=True) if "FILTER" in measure and n]
    bad = f"SELECT file_row_number FROM read_parquet('{path}', file_row_number=true) WHERE "
    rows = scan.execute(bad + " OR ".join(rules)).fetchall()
    return clock.read() | {"set aside": len(rows), "broken": len(broken)}


def pandera_pandas(path: Path) -> dict[str, Any]:
    """The same checks in Pandera on pandas, lazily, so that all failing rows are known."""
    import pandas as pd
    import pandera.pandas as pa

    kept = {
        "null": pa.Check(lambda s: bool(s.notna().mean() >= 0.9), ignore_na=False),
        "mean": pa.Check(lambda s: bool(40 <= s.mean() <= 60)),
    }
    enough = pa.Check(lambda frame: len(frame) >= 1_000)
    schema = pa.DataFrameSchema(_pandera_columns(pa, kept), checks=enough)
    return _pandera(lambda: schema.validate(pd.read_parquet(path), lazy=True), pa.errors)


def pandera_polars(path: Path) -> dict[str, Any]:
    """The same in Pandera on Polars."""
    import pandera.polars as pa
    import polars as pl

    def of(column: Any, test: Any) -> Any:
        return column.lazyframe.select(test)

    kept = {
        "null": pa.Check(lambda c: of(c, pl.col(c.key).is_not_null().mean() >= 0.9)),
        "mean": pa.Check(lambda c: of(c, pl.col(c.key).mean().is_between(40, 60))),
    }
    enough = pa.Check(lambda c: of(c, pl.len() >= 1_000))
    schema = pa.DataFrameSchema(_pandera_columns(pa, kept), checks=enough)
    return _pandera(lambda: schema.validate(pl.read_parquet(path), lazy=True), pa.errors)


def _pandera(check: Callable[[], Any], errors: Any) -> dict[str, Any]:
    clock, rows, broken = Clock(), set(), set()
    try:
        check()
    except errors.SchemaErrors as error:
        found = error.failure_cases
        rows = {row for row in found["index"].to_list() if row is not None}
        broken = {*zip(found["column"].to_list(), found["check"].to_list(), strict=True)}
    return clock.read() | {"set aside": len(rows), "broken": len(broken)}


def _pandera_columns(pa: Any, kept: dict[str, Any]) -> dict[str, Any]:
    columns: dict[str, Any] = {"id": pa.Column(nullable=False, unique=True)}
    for rule in expectations():
        name, kwargs = rule["kwargs"].get("column"), rule["kwargs"]
        if name in {None, "id"}:
            continue
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        check = {
            "expect_column_values_to_be_between": lambda a=low, b=high: pa.Check.in_range(a, b),
            "expect_column_values_to_be_in_set": lambda: pa.Check.isin(CITIES),
            "expect_column_values_to_match_regex": lambda: pa.Check.str_matches("^[a-z]+"),
            "expect_column_value_lengths_to_be_between": lambda a=low, b=high: pa.Check.str_length(
                a, b
            ),
            "expect_column_values_to_not_be_null": lambda: kept["null"],
            "expect_column_mean_to_be_between": lambda: kept["mean"],
        }.get(rule["type"])
        columns[name] = pa.Column(nullable=True, checks=[check()] if check else [])
    return columns


PROCESSES = {f.__name__: f for f in (gate, gx_alone, duckdb_scan, pandera_pandas, pandera_polars)}


def run_part(name: str, path: Path) -> None:
    """What a measured process does: warm the imports, work, print."""
    if name in {"gate", "gx_alone"}:
        import great_expectations  # noqa: F401 -- its import is the same for both
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = PROCESSES[name](path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(found | {"peak_mb": peak / 1024, "imports_mb": before / 1024}))


# The comparison


def measure(name: str, path: Path, python: str = sys.executable) -> dict[str, Any]:
    """Run one part in a process of its own."""
    command = [python, str(HERE), "--part", name, str(path)]
    environment = {"PYTHONPATH": str(HERE.parent.parent / "plugins"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr.strip()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {name}: {found['seconds']:.1f} s, {found['peak_mb']:,.0f} MB", file=sys.stderr)
    return found


def median(runs: list[dict[str, Any]], key: str) -> float:
    """Median of a number over runs."""
    return statistics.median(run[key] for run in runs)


@contextlib.contextmanager
def peers_installed() -> Iterator[dict[str, tuple[str, str]]]:
    """Name of each peer that could be installed, to its part and its Python."""
    found: dict[str, tuple[str, str]] = {}
    uv = Path(sys.executable).with_name("uv")
    with tempfile.TemporaryDirectory(prefix="tenure-peers-") as folder:
        for title, (part, *packages) in PEERS.items():
            home = Path(folder) / part
            venv.create(home, with_pip=not uv.exists())
            python = str(home / "bin/python")
            pip = [str(uv), "pip", "install", "--python", python] if uv.exists() else None
            command = [*(pip or [python, "-m", "pip", "install"]), "-q", *packages]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"  {title} is left out: {done.stderr.strip()[-200:]}", file=sys.stderr)
            else:
                found[title] = (part, python)
        yield found


def report(rows: int, large: int, repeat: int, *, with_peers: bool) -> None:
    """Measure and print the Markdown of RESULTS.md."""
    runs: dict[str, list[dict[str, Any]]] = {part: [] for part in OURS.values()}
    with tempfile.TemporaryDirectory(prefix="tenure-gate-") as folder:
        path = Path(folder) / "b.parquet"
        write_rows(path, rows)
        for _ in range(repeat):
            for part, found in runs.items():
                found.append(measure(part, path))
        table = {title: runs[part] for title, part in OURS.items()}
        if with_peers:
            with peers_installed() as peers:
                for title, (part, python) in peers.items():
                    table[title] = [measure(part, path, python) for _ in range(repeat)]
        once = None
        if large:
            write_rows(path, large)
            once = measure("gate", path)
    _print_parts(runs["gate"], rows)
    _print_budgets(runs, once, large / rows)
    _print_peers(table, rows)


def _print_parts(gates: list[dict[str, Any]], rows: int) -> None:
    total = median(gates, "seconds")
    print(f"| part of the gate, {rows:,} rows | CPU seconds | share |\n|---|---|---|")
    for part in PARTS:
        seconds = statistics.median(run["parts"][part] for run in gates)
        print(f"| {part} | {seconds:.2f} | {seconds / total:.0%} |")
    print(f"| **total** | **{total:.2f}** | |\n")


def _print_budgets(
    runs: dict[str, list[dict[str, Any]]], once: dict[str, Any] | None, times: float
) -> None:
    gates = runs["gate"]
    besides = [run["seconds"] - run["parts"]["GX"] - run["parts"]["write"] for run in gates]
    ratios = [other / run["parts"]["GX"] for other, run in zip(besides, gates, strict=True)]
    memory = median(gates, "peak_mb") / median(runs["gx_alone"], "peak_mb")
    print("| budget | measured | allowed |\n|---|---|---|")
    print(f"| not GX and not the write, over GX | {statistics.median(ratios):.2f} | < 1 |")
    print(f"| peak memory, over that of GX alone | {memory:.2f} | at most 1.3 |")
    if once is not None:
        slower = once["seconds"] / median(gates, "seconds")
        larger = once["peak_mb"] / median(gates, "peak_mb")
        print(
            f"| CPU seconds for {times:g} times the rows | {slower:.1f} times | about {times:g} |"
        )
        print(
            f"| peak memory for {times:g} times the rows | {larger:.1f} times | about {times:g} |"
        )


def _print_peers(table: dict[str, list[dict[str, Any]]], rows: int) -> None:
    total = median(table["the gate, whole"], "seconds")
    heads = (
        "CPU seconds",
        "over the gate",
        "wall seconds",
        "peak MB",
        "checks broken",
        "rows set aside",
    )
    print(f"\n| the same checks, {rows:,} rows | {' | '.join(heads)} |\n|{'---|' * 7}")
    for title, runs in table.items():
        seconds, wall, peak = (median(runs, key) for key in ("seconds", "wall", "peak_mb"))
        cells = (f"{seconds:.2f}", f"{seconds / total:.2f}", f"{wall:.2f}", f"{peak:,.0f}")
        print(f"| {title} | {' | '.join(cells)} | {runs[0]['broken']} | {runs[0]['set aside']:,} |")


def main() -> None:
    """Read the command line."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rows", type=int, default=1_000_000)
    given.add_argument("--large", type=int, default=5_000_000, help="0 leaves it out")
    given.add_argument("--repeat", type=int, default=3)
    given.add_argument("--no-peers", action="store_true")
    given.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    found = given.parse_args()
    if found.part:
        run_part(found.part[0], Path(found.part[1]))
        return
    report(found.rows, found.large, found.repeat, with_peers=not found.no_peers)


if __name__ == "__main__":
    main()
