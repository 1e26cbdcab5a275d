"""Posts notices to hosts that the platform config lists, and to no other."""

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from tenure.errors import NotPermitted, ServiceUnreachable
from tenure.lifecycle.incidents.webhook import address_fault
from tenure.vocabulary import canonical_json

MESSAGE_ID = "X-Tenure-Message-Id"
"""The same message carries the same id each time it is sent: the receiver drops repetitions."""
_SAFE = "The notice stays in the outbox; `maintain_platform` sends it again."


class Webhook:
    """Sends JSON by POST: no redirect is followed, no proxy is asked, the answer is not read.

    Args:
        hosts: Host names or addresses that may be posted to.
        timeout_seconds: For each of connecting, sending and waiting for the status.
    """

    def __init__(self, hosts: tuple[str, ...], *, timeout_seconds: float = 5.0) -> None:
        self._hosts = frozenset(host.casefold() for host in hosts)
        self._timeout = timeout_seconds

    def post(self, url: str, body: Mapping[str, object], *, message_id: str) -> None:
        """Deliver one message.

        Raises:
            NotPermitted: The address is not one that notices may go to.
            ServiceUnreachable: No answer in time, or one other than 2xx.
        """
        place = self._permitted(url)
        headers = {"Content-Type": "application/json", MESSAGE_ID: message_id}
        try:
            with (
                httpx.Client(
                    timeout=self._timeout, follow_redirects=False, trust_env=False
                ) as client,
                client.stream(
                    "POST", url, content=canonical_json(body), headers=headers
                ) as response,
            ):
                status = response.status_code
        except httpx.HTTPError as error:
            raise _unreachable(f"{place} gave no answer: {type(error).__name__}.") from error
        if not 200 <= status < 300:
            raise _unreachable(f"{place} answered {status}.")

    def _permitted(self, url: str) -> str:
        """Host and port for messages; the path may hold a secret and is never shown."""
        if fault := address_fault(url, self._hosts):
            raise _refused(fault)
        try:
            httpx.URL(url)  # what one parser forgives the other may refuse
        except httpx.InvalidURL as error:
            raise _refused("A webhook address cannot be read as a URL.") from error
        parts = urlsplit(url)
        host, port = (parts.hostname or "").casefold(), parts.port
        _refuse_special(host, port or 443)
        return f"{host}:{port}" if port else host


def _refuse_special(host: str, port: int) -> None:
    """A listed name must not lead to a cloud's metadata service or to everybody."""
    try:
        found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise _unreachable(f"The webhook host {host} has no address.") from error
    for *_, address in found:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
            raise _refused(f"The webhook host {host} leads to {ip}, which is never a receiver.")


def _refused(what: str) -> NotPermitted:
    return NotPermitted(
        what,
        still_safe=_SAFE,
        next_step="Correct the webhook in the model's YAML (or the variable it names), or add the "
        "host to webhook_hosts in platform.yaml.",
    )


def _unreachable(what: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        what,
        still_safe=_SAFE,
        next_step="Nothing at first. If it lasts, ask the owner of the receiver.",
    )
