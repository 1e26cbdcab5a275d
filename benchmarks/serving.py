"""What serving a model costs: the gateway beside other model servers, its log, its replicas.

Run: `.venv/bin/python benchmarks/serving.py [--peers] [--rounds 3] [--seconds 6] [--changes 30]`

Needs `wrk`. One fitted model for all, one row a request, 16 connections. All servers are up at once
and are loaded in turn, round after round, so that a busy neighbour disturbs each alike; medians
of the rounds. `--peers` installs BentoML, LitServe, MLServer and py-spy into virtual environments
that are thrown away (needs a package index). `--write` replaces the section in RESULTS.md.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from serving_parts import breakdown, load, peers, replicas
from serving_parts.installation import MODEL, Served, Variant, bodies, installation

from tenure.usecases.serving.api_keys import create_key

HERE = Path(__file__)
HEADING = "## Serving: a row a request, 16 connections"
FSYNC, WRITE, NONE = "gateway", "gateway, write only", "gateway, no log"
INVOCATIONS = "gateway, /invocations"
ONNX = "gateway, ONNX"
MLFLOW = "mlflow, OMP_NUM_THREADS=1"
REPLICAS = 4
ROLLBACKS = 7
_CORES = 2
"""Gateways that load a version on trial at the same moment: not more than there are cores."""
_EXAMPLES = 512

Rounds = Mapping[str, Sequence[Mapping[str, float]]]


class Bench:
    """The servers that are up.

    Args:
        served: The installation.
        folder: For wrk's files.
    """

    def __init__(self, served: Served, folder: Path) -> None:
        self.served, self.folder = served, folder
        self.bodies = bodies(served, _EXAMPLES)
        key = create_key(served.platform, "benchmark", ["score"])
        self.headers = {"Authorization": f"Bearer {key}"}
        self.loads: dict[str, tuple[load.Load, int]] = {}
        self.missing: dict[str, str] = {}

    @contextmanager
    def gateway(
        self, name: str, durability: str = "fsync", *, onnx: bool = False
    ) -> Iterator[Variant]:
        """A gateway for the length of a `with` block."""
        plain = name.lower().replace(", ", "-").replace(" ", "-")
        one = Variant(self.served, plain, durability=durability, onnx=onnx)
        try:
            one.start()
            self.add(name, f"{one.url}/v2/models/{MODEL}/infer", one.pid, "oip", self.headers)
            yield one
            one.stop()
        finally:
            one.close()

    def start(self, peer: peers.Peer, ended: ExitStack) -> None:
        """Start a peer; one that does not answer is named in the table."""
        ended.callback(peer.close)
        try:
            peer.start(self.bodies[peer.protocol][0])
            self.add(peer.name, peer.url, peer.pid, peer.protocol, {})
        except RuntimeError as error:
            self.missing[peer.name] = str(error)
            print(f"{peer.name}: did not answer. {error}", file=sys.stderr)

    def add(self, name: str, url: str, pid: int, protocol: str, headers: Mapping[str, str]) -> None:
        """Warm it up; raises when it answers anything but 200."""
        plain = "".join(c for c in name if c.isalnum())
        one = load.Load(self.folder, plain, url, headers, self.bodies[protocol])
        one.run(2, loud=True)
        self.loads[name] = one, pid

    def rounds(self, names: Sequence[str], rounds: int, seconds: int) -> Rounds:
        """Every server in turn, so many times."""
        seen: dict[str, list[Mapping[str, float]]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names:
                one, pid = self.loads[name]
                seen[name].append(load.measured(one, pid, seconds))
                print(f"round {number + 1} {name}: {_short(seen[name][-1])}", file=sys.stderr)
        return seen


def _short(seen: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.3g}" for name, value in seen.items())


def median(seen: Rounds, name: str, what: str) -> float:
    """Of the rounds."""
    return statistics.median(one[what] for one in seen[name])


def compare(bench: Bench, arguments: argparse.Namespace, venvs: Path) -> list[str]:
    """The gateway beside the others; then where its time goes."""
    with ExitStack() as ended:
        ours = ended.enter_context(bench.gateway(FSYNC, "fsync"))
        url = f"{ours.url}/invocations"
        bench.add(INVOCATIONS, url, ours.pid, "split", bench.headers)
        others = peers.of_the_lock(bench.served)
        if arguments.peers:
            others += peers.from_outside(bench.served, venvs)
        for peer in others:
            bench.start(peer, ended)
        seen = bench.rounds(list(bench.loads), arguments.rounds, arguments.seconds)
        lines = _comparison(seen, bench.missing)
        if arguments.peers:
            lines += _breakdown(bench, ours.pid, venvs, median(seen, "empty Starlette", "cpu_ms"))
    return lines


def _comparison(seen: Rounds, missing: Mapping[str, str]) -> list[str]:
    base = {what: median(seen, MLFLOW, what) for what in ("rate", "cpu_ms")}
    lines = [
        "| server | requests/s | over mlflow | p50 ms | p99 ms | CPU ms a request | over mlflow "
        "| RSS MB | PSS MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in seen:
        value = {what: median(seen, name, what) for what in seen[name][0]}
        lines.append(
            f"| {name} | {value['rate']:,.0f} | {value['rate'] / base['rate']:.1f} "
            f"| {value['p50']:.1f} | {value['p99']:.0f} | {value['cpu_ms']:.3f} "
            f"| 1/{base['cpu_ms'] / value['cpu_ms']:.1f} "
            f"| {value['rss']:.0f} | {value['pss']:.0f} |"
        )
    lines += [f"| {name} | could not be started | | | | | | | |" for name in missing]
    return [*lines, ""]


def _breakdown(bench: Bench, pid: int, venvs: Path, empty: float) -> list[str]:
    one, _ = bench.loads[FSYNC]
    names = breakdown.thread_names(pid, venvs)
    threads = breakdown.of_threads(one, pid, names, 10)
    shares = breakdown.of_the_loop(one, pid, venvs, bench.folder, 12)
    loop = threads["event loop"]
    lines = ["| where a request's CPU time goes | ms |", "|---|---|"]
    lines += [f"| event loop: {stage} | {share * loop:.3f} |" for stage, share in shares.items()]
    lines += [f"| {name} | {ms:.3f} |" for name, ms in threads.items() if name != "event loop"]
    lines += [f"| **all** | **{sum(threads.values()):.3f}** |"]
    return [*lines, f"| an empty Starlette, for comparison | {empty:.3f} |", ""]


def by_onnx(bench: Bench, arguments: argparse.Namespace) -> list[str]:
    """The same version for a model whose YAML asks for ONNX, beside the gateway and MLflow."""
    mlflow = next(p for p in peers.of_the_lock(bench.served) if p.name == MLFLOW)
    with ExitStack() as ended:
        ended.enter_context(bench.gateway(FSYNC, "fsync"))
        ended.enter_context(bench.gateway(ONNX, onnx=True))
        bench.start(mlflow, ended)
        seen = bench.rounds([MLFLOW, FSYNC, ONNX], arguments.rounds, arguments.seconds)
    return [*_comparison(seen, {}), f"{bench.served.parity}.", ""]


def durability(bench: Bench, arguments: argparse.Namespace) -> list[str]:
    """The same gateway with and without waiting for the disk."""
    chosen = {NONE: "none", WRITE: "write", FSYNC: "fsync"}
    with ExitStack() as ended:
        for name, how in chosen.items():
            ended.enter_context(bench.gateway(name, how))
        seen = bench.rounds(list(chosen), arguments.rounds + 2, arguments.seconds)
    base = {what: median(seen, NONE, what) for what in ("rate", "cpu_ms")}
    lines = ["| log | requests/s | ratio | p50 ms | p99 ms | CPU ms a request | ratio |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for name, shown in zip(chosen, ("none", "write", "write and fsync"), strict=True):
        value = {what: median(seen, name, what) for what in ("rate", "p50", "p99", "cpu_ms")}
        lines.append(
            f"| {shown} | {value['rate']:,.0f} | {value['rate'] / base['rate']:.2f} "
            f"| {value['p50']:.1f} | {value['p99']:.0f} | {value['cpu_ms']:.3f} "
            f"| {value['cpu_ms'] / base['cpu_ms']:.2f} |"
        )
    return [*lines, ""]


def changes(bench: Bench, arguments: argparse.Namespace) -> list[str]:
    """Four gateways and one PostgreSQL: from the commit to the last one's answer; rollbacks."""
    with ExitStack() as ended:
        gateways = [
            ended.enter_context(bench.gateway(f"replica-{n}", "fsync")) for n in range(REPLICAS)
        ]
        urls = [f"{one.url}/v2/models/{MODEL}/infer" for one in gateways]
        example = bench.bodies["oip"][0]
        took = replicas.weight_changes(
            bench.served, urls, bench.headers, example, arguments.changes
        )
        for one in gateways[_CORES:]:
            one.stop()
        rolled_back = replicas.rollbacks(bench.served, ROLLBACKS)
    shown = {
        f"{len(took)} weight changes to {REPLICAS} gateways": took,
        f"{len(rolled_back)} times `tenure rollback` of a champion, the whole process, "
        f"{_CORES} gateways": rolled_back,
    }
    return [
        "| a plan by hand | median ms | maximum ms | allowed |",
        "|---|---|---|---|",
        *(f"| {n} | {statistics.median(t):.0f} | {max(t):.0f} | 1,000 |" for n, t in shown.items()),
        "",
    ]


def write(lines: Sequence[str]) -> None:
    """Replace the tables of the section in RESULTS.md; what is said below them stays."""
    path = HERE.parent / "RESULTS.md"
    text = path.read_text()
    before, found, rest = text.partition(HEADING)
    said = "\n" + rest.partition(_END)[2].lstrip("\n") if found else "\n"
    section = "\n".join([HEADING, "", *lines, _END])
    path.write_text(f"{before.rstrip()}\n\n{section}\n{said}")


_END = "<!-- the tables above are written by serving.py -->"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if not load.has_wrk():
        parser.error("wrk is not installed (Debian: apt-get install wrk)")
    parts: Sequence[Callable[[Bench], list[str]]] = (
        lambda bench: compare(bench, arguments, venvs),
        lambda bench: by_onnx(bench, arguments),
        lambda bench: durability(bench, arguments),
        lambda bench: changes(bench, arguments),
    )
    lines = [_command(), ""]
    with tempfile.TemporaryDirectory(prefix="tb-") as name:
        folder = Path(name)
        venvs = folder / "venvs"
        with installation(folder / "home") as served:
            bench = Bench(served, folder)
            for part in parts:
                lines += part(bench)
    print("\n".join(lines))
    if arguments.write:
        write(lines)


def _command() -> str:
    given = " ".join(["benchmarks/serving.py", *sys.argv[1:]])
    return f"`.venv/bin/python {given}`"


if __name__ == "__main__":
    main()
