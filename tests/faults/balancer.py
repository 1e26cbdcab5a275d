"""HAProxy before several gateways, as docs/operating.md configures it."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from asking import soon
from served import free_port

from tenure.settings import REPOSITORY

MISSING = (
    "HAProxy is not installed, so nothing was tested: `apt-get install haproxy` on Debian, "
    "`dnf install haproxy` on Fedora, `brew install haproxy` on macOS."
)


def documented() -> str:
    """The part of the configuration that the document gives to everybody."""
    text = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    found = re.search(r"```haproxy\n(.+?)```", text, flags=re.DOTALL)
    assert found is not None, "docs/operating.md has no configuration for HAProxy"
    return found.group(1)


@contextmanager
def balancing(folder: Path, ports: Sequence[int]) -> Iterator[str]:
    """The URL of a balancer that hands requests to gateways on these ports of loopback.

    Raises:
        AssertionError: HAProxy is not installed, or does not take the configuration.
    """
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    assert program is not None, MISSING
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(_on_loopback(documented(), port, ports), encoding="utf-8")
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", str(config)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        soon(lambda: answers(url, process), 10)
        yield url
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
