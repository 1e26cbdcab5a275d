"""HAProxy before several gateways, as docs/operating.md configures it."""

import csv
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from asking import soon
from served import free_port

from tenure.settings import REPOSITORY

MISSING = (
    "HAProxy is not installed, so nothing was tested: `apt-get install haproxy` on Debian, "
    "`dnf install haproxy` on Fedora, `brew install haproxy` on macOS."
)


@dataclass(frozen=True)
class Balancer:
    """A running HAProxy.

    Args:
        url: Where clients ask.
        control: Its stats socket.
    """

    url: str
    control: Path

    def sees(self) -> dict[str, str]:
        """What its own health checks say of each gateway: UP, DOWN, or on the way (`UP 1/2`)."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.control))
            asking.sendall(b"show stat\n")
            table = asking.makefile(encoding="utf-8").read()
        rows = csv.DictReader(table.removeprefix("# ").strip().splitlines())
        servers = (row for row in rows if row["svname"] not in {"FRONTEND", "BACKEND"})
        return {row["svname"]: row["status"] for row in servers}

    def sees_all(self) -> bool:
        """Whether it sends requests to every gateway."""
        return set(self.sees().values()) == {"UP"}


def documented() -> str:
    """The part of the configuration that the document gives to everybody."""
    text = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    found = re.search(r"```haproxy\n(.+?)```", text, flags=re.DOTALL)
    assert found is not None, "docs/operating.md has no configuration for HAProxy"
    return found.group(1)


@contextmanager
def balancing(folder: Path, ports: Sequence[int]) -> Iterator[Balancer]:
    """A balancer that hands requests to gateways on these ports of loopback, all of them ready.

    Raises:
        AssertionError: HAProxy is not installed, or does not take the configuration.
    """
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    assert program is not None, MISSING
    port = free_port()
    balancer = Balancer(f"http://127.0.0.1:{port}", folder / "haproxy.sock")
    config = folder / "haproxy.cfg"
    text = _on_loopback(documented(), port, ports)
    text, told = re.subn(r"(stats socket) \S+", rf"\1 {balancer.control}", text)
    assert told == 1, "docs/operating.md names no stats socket"
    config.write_text(text, encoding="utf-8")
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", str(config)], stdout=log, stderr=log)
    try:
        soon(lambda: answers(balancer.url, process) and balancer.sees_all(), 10)
        yield balancer
    finally:
        process.kill()
        process.wait()


def answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    """Whether a gateway behind it is ready."""
    assert process.poll() is None, "HAProxy ended; its words are in haproxy.log"
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def _on_loopback(text: str, port: int, ports: Sequence[int]) -> str:
    text, bound = re.subn(r"^( +bind) .+$", rf"\1 127.0.0.1:{port}", text, flags=re.MULTILINE)
    gateways = iter(ports)
    text, named = re.subn(
        r"^( +server \S+) \S+$",
        lambda found: f"{found[1]} 127.0.0.1:{next(gateways)}",
        text,
        flags=re.MULTILINE,
    )
    assert (bound, named) == (1, len(ports))
    return text
