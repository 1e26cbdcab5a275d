"""Load by wrk, and what the loaded processes spend meanwhile."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

CONNECTIONS = 16

_SCRIPT = """
local bodies = {}
local at = 0
init = function(args)
  for line in io.lines(%(file)s) do bodies[#bodies + 1] = wrk.format("POST", nil, nil, line) end
end
request = function()
  at = at %% #bodies + 1
  return bodies[at]
end
local shown = 0
response = function(status, headers, body)
  if status ~= 200 and shown < 3 then
    shown = shown + 1
    io.stderr:write(status .. " " .. body .. "\\n")
  end
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\\n{"requests": %%d, "microseconds": %%d, "p50": %%d, "p99": %%d, "errors": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""
_SILENT = _SCRIPT.replace("response = function", "local unused = function")
"""Looking at each answer costs wrk time; it is done in the warm-up only."""


class Load:
    """One server's requests.

    Args:
        folder: For the files that wrk reads.
        url: Where they go.
        headers: Of each request.
        bodies: Sent in turn.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        url: str,
        headers: Mapping[str, str],
        bodies: Sequence[Mapping[str, Any]],
    ) -> None:
        self.url = url
        lines = folder / f"{name}.jsonl"
        lines.write_text("".join(json.dumps(body) + "\n" for body in bodies))
        fields = {"Content-Type": "application/json", **headers}
        heads = "".join(
            f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in fields.items()
        )
        self.loud, self.silent = folder / f"{name}-loud.lua", folder / f"{name}.lua"
        for path, script in ((self.loud, _SCRIPT), (self.silent, _SILENT)):
            path.write_text(heads + script % {"file": json.dumps(str(lines))})

    def run(self, seconds: int, *, loud: bool = False) -> dict[str, float]:
        """What wrk saw: requests a second, p50 and p99 in milliseconds. Raises on any error."""
        script = str(self.loud if loud else self.silent)
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s"]
        done = subprocess.run(
            [*command, script, self.url], capture_output=True, text=True, check=True
        )
        seen = json.loads(done.stdout.strip().splitlines()[-1])
        if seen["errors"]:
            raise RuntimeError(f"{self.url}: {seen['errors']} errors. {done.stderr[:600]}")
        return {
            "requests": seen["requests"],
            "rate": seen["requests"] / seen["microseconds"] * 1e6,
            "p50": seen["p50"] / 1000,
            "p99": seen["p99"] / 1000,
        }


def measured(load: Load, pid: int, seconds: int) -> dict[str, float]:
    """A round: what wrk saw, CPU milliseconds a request, memory of the process tree in MB."""
    before = cpu_seconds(pid)
    seen = load.run(seconds)
    spent = cpu_seconds(pid) - before
    rss, pss = memory(pid)
    return seen | {"cpu_ms": spent / seen["requests"] * 1000, "rss": rss, "pss": pss}


def tree(pid: int) -> list[psutil.Process]:
    """The process and all below it."""
    top = psutil.Process(pid)
    return [top, *top.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """Of the whole tree, user and system."""
    times = [one.cpu_times() for one in tree(pid)]
    return sum(one.user + one.system for one in times)


def memory(pid: int) -> tuple[float, float]:
    """RSS, which counts shared pages once a process, and PSS, which shares them out; MB."""
    full = [one.memory_full_info() for one in tree(pid)]
    return sum(one.rss for one in full) / 2**20, sum(one.pss for one in full) / 2**20


def has_wrk() -> bool:
    """Whether the load generator is there; Debian's package is `wrk`."""
    return shutil.which("wrk") is not None
