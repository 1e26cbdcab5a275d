"""Where the demo's minutes go: wall seconds of each stage, CPU seconds of each service.

Run: `.venv/bin/python benchmarks/demo_life.py`; it lives the whole life in a temporary folder and
prints the Markdown that stands in RESULTS.md.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psutil
from rich.console import Console

from tenure.demo import show
from tenure.demo.receiver import receiving
from tenure.stack import state
from tenure.stack.embedded import Stack
from tenure.stack.endpoints import StackEndpoints


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds of each service with its living and its ended children."""
    found: dict[str, float] = {}
    for name, pid in pids.items():
        leader = psutil.Process(pid)
        family = [leader, *leader.children(recursive=True)]
        times = [process.cpu_times() for process in family]
        found[name] = sum(t.user + t.system + t.children_user + t.children_system for t in times)
    return found


def main() -> None:
    """Live, measure, print."""
    console = Console(stderr=True, width=140)
    with tempfile.TemporaryDirectory(prefix="tenure-") as name:
        home = Path(name) / "home"
        with receiving(Path(name) / "notices.jsonl") as url:
            stack = Stack(home, StackEndpoints.free(), extra=show.people_around(url))
            began = time.monotonic()
            try:
                stack.start()
                stack.wait_healthy()
                healthy = time.monotonic() - began
                with closing(show.prepare(stack.settings, home / "demo", console.print)) as story:
                    story.tell()
                    summary = show.conclude(story, began)
                found = state.read(home)
                assert found
                cpu = cpu_seconds(found.pids)
                own = psutil.Process().cpu_times()
            finally:
                stack.stop()
    print("| stage | wall seconds | share |\n|---|---|---|")
    total = float(summary["seconds_total"])
    for stage, seconds in [("start the stack", healthy)] + [
        (stage["name"], stage["seconds"]) for stage in summary["stages"]
    ]:
        print(f"| {stage} | {seconds:.1f} | {seconds / total:.0%} |")
    print(f"| **total** | **{total:.0f}** | |\n")
    print("| process | CPU seconds |\n|---|---|")
    for service, seconds in sorted(cpu.items(), key=lambda item: -item[1]):
        print(f"| {service} | {seconds:.0f} |")
    print(f"| the demo's client and people | {own.user + own.system:.0f} |")
    print(f"| available | {total * (psutil.cpu_count() or 1):.0f} |")


if __name__ == "__main__":
    main()
