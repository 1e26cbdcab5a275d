"""What the time machine costs: two suites over N batches, against reading and validating with one.

Run: `.venv/bin/python benchmarks/suite_preview.py [MONTHS] [ROUNDS]`
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tenure.config import load_dataset
from tenure.config.suites import load_suite
from tenure.demo.upstream import write_month
from tenure.files import digest_file
from tenure.installation import Installation
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.quality import judge
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.data import judge_file
from tenure.usecases.suites import suites
from tenure.verdicts import Severity


def main(months: int, rounds: int) -> None:
    """Print the table of benchmarks/RESULTS.md."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        nowhere = "http://127.0.0.1:9"
        include = REPOSITORY / "include"
        store = (home / "store").as_uri()
        platform = Installation(Settings(home, include, "", store, nowhere, nowhere, nowhere))
        dataset, _ = load_dataset(include, "flights")
        suite = load_suite(include, "flights", dataset.contract)
        batches = [_land(home, dataset, month) for month in range(1, months + 1)]
        work: dict[str, Callable[[], Any]] = {
            "read and validate with one suite": lambda: [
                _alone(platform, landed, suite) for landed in batches
            ],
        } | {
            f"preview: {name}": lambda edited=edited: suites.preview(
                platform, suites.Edit(suite, edited, ""), batches, lambda: None
            )
            for name, edited in _edits(suite).items()
        }
        _report(_measure(work, rounds), len(batches))


def _land(home: Path, dataset: Any, month: int) -> suites.LandedBatch:
    path = write_month(home / "store/landing/flights", month)
    key = path.relative_to(home / "store").as_posix()
    return suites.LandedBatch(dataset, path.stem, key, digest_file(path), None, is_replaced=False)


def _alone(platform: Installation, landed: suites.LandedBatch, suite: Suite) -> None:
    path = platform.store.fetch(landed.source_key, landed.source_digest)
    batch = judge_file.read_landed(path, landed.dataset)
    found = judge_file.findings(batch, landed.source_key, landed.dataset, suite)
    judge(batch.rows, found, landed.dataset.quality)


def _edits(suite: Suite) -> dict[str, Suite]:
    def each(change: Callable[[Expectation], Expectation]) -> Suite:
        return replace(suite, digest="edited", expectations=tuple(map(change, suite.expectations)))

    def one_limit(e: Expectation) -> Expectation:
        is_it = e.subject == "temp" and "null" in e.type
        return replace(e, kwargs={**e.kwargs, "mostly": 0.85}) if is_it else e

    def some_limits(e: Expectation) -> Expectation:
        return every_limit(e) if suite.expectations.index(e) % 3 == 0 else e

    def every_limit(e: Expectation) -> Expectation:
        changed = {k: v - 1 for k, v in e.kwargs.items() if k == "min_value"}
        if "count" not in e.type:
            changed["mostly"] = e.mostly - 0.01
        return replace(e, kwargs={**e.kwargs, **changed})

    def severity(e: Expectation) -> Expectation:
        return replace(e, severity=Severity.INFO)

    return {
        "one limit changed": each(one_limit),
        "a third of the limits changed": each(some_limits),
        "every severity changed": each(severity),
        "every limit changed": each(every_limit),
    }


def _measure(work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Processor seconds, all threads, of the best round; the kinds of work take turns."""
    best = dict.fromkeys(work, float("inf"))
    for number in range(rounds + 1):
        for name, do in work.items():
            started = time.process_time()
            do()
            if number:  # the first round imports and warms up
                best[name] = min(best[name], time.process_time() - started)
    return best


def _report(best: dict[str, float], batches: int) -> None:
    alone = next(iter(best.values()))
    print(f"{batches} months of flights, 14 expectations\n")
    print("| work | processor seconds | ratio |\n|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name} | {seconds:.2f} | {seconds / alone:.2f} |")


if __name__ == "__main__":
    main(*(int(n) for n in (*sys.argv[1:], *("12", "3")[len(sys.argv) - 1 :])))
