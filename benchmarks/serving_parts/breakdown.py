"""Where a gateway's processor time goes: by process and thread, and within the event loop."""

import re
import subprocess
import threading
from collections import Counter
from pathlib import Path

from serving_parts.load import Load, tree
from serving_parts.peers import installed

_RATE = 250
STAGES: dict[str, str] = {
    "answer": r"gateway/(answers|endpoints)\.py",
    "log": r"gateway/(log|wal|records|sealing)\.py",
    "model": r"gateway/scoring\.py|model_process/",
    "parse": r"gateway/(bodies|rows)\.py",
    "route, key, ids": r"gateway/(keys|reception|front|decisions|calls)\.py|lifecycle/serving/",
    "metrics": r"gateway/metrics\.py|prometheus_client/",
}
"""Files of each stage; a sample counts for the innermost frame that one of them claims."""
_SERVER = re.compile(r"(uvicorn|httptools_impl|gateway/server\.py)")
THREADS = {
    "MainThread": "event loop",
    "log-decisions": "log: write and fsync",
    "ship-decisions": "ship: Parquet to the store",
}


def of_threads(load: Load, pid: int, names: dict[int, str], seconds: int) -> dict[str, float]:
    """CPU milliseconds a request, by thread of the gateway, and of the model's process."""
    before = _times(pid, names)
    requests = load.run(seconds)["requests"]
    after = _times(pid, names)
    return {name: (after[name] - before.get(name, 0.0)) / requests * 1000 for name in after}


def _times(pid: int, names: dict[int, str]) -> dict[str, float]:
    spent: Counter[str] = Counter()
    top, *below = tree(pid)
    for thread in top.threads():
        spent[names.get(thread.id, "other threads")] += thread.user_time + thread.system_time
    for one in below:
        times = one.cpu_times()
        spent["model's process"] += times.user + times.system
    return dict(spent)


def thread_names(pid: int, venvs: Path) -> dict[int, str]:
    """Names of the gateway's threads by their number in the kernel, by py-spy."""
    command = [*_py_spy(venvs), "dump", "--pid", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.findall(r'^Thread (\d+) \([^)]*\): "([^"]+)"', done.stdout, re.MULTILINE)
    return {int(number): THREADS.get(name, "other threads") for number, name in found}


def of_the_loop(load: Load, pid: int, venvs: Path, folder: Path, seconds: int) -> dict[str, float]:
    """Shares of the event loop's busy samples, by stage."""
    out = folder / "samples"
    command = [*_py_spy(venvs), "record", "-d", str(seconds), "-r", str(_RATE), "-t", "-f", "raw"]
    loading = threading.Thread(target=load.run, args=(seconds + 2,))
    loading.start()
    subprocess.run(
        [*command, "-o", str(out), "--pid", str(pid)], capture_output=True, text=True, check=True
    )
    loading.join()
    counted: Counter[str] = Counter()
    for line in out.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        if "MainThread" in stack:
            counted[_stage(stack.split(";"))] += int(count)
    total = sum(counted.values())
    return {stage: count / total for stage, count in counted.most_common()}


def _stage(stack: list[str]) -> str:
    for frame in reversed(stack):
        for stage, pattern in STAGES.items():
            if re.search(pattern, frame):
                return stage
        if _SERVER.search(frame):
            return "HTTP server and loop"
    return "HTTP server and loop"


def _py_spy(venvs: Path) -> list[str]:
    python = installed("py-spy", venvs / "py-spy")
    return [str(python.parent / "py-spy")]
