"""Which addresses notices may be posted to."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

FROM_ENVIRONMENT = "env:"
"""Before the name of the variable that holds an address, which may be a secret."""


def address_fault(url: str, hosts: Collection[str]) -> str | None:
    """Why nothing may be posted to the address, or None; only the host is quoted.

    Args:
        url: Full address. Its path may hold a secret.
        hosts: Those that the platform config lists.
    """
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").casefold(), parts.port
    except ValueError:
        return "A webhook address cannot be read as a URL."
    if host not in {name.casefold() for name in hosts}:
        return f"The webhook host {host!r} is not in webhook_hosts of platform.yaml."
    if parts.username or parts.password:
        return f"The webhook address of {host} carries a user name or password."
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        return f"The webhook of {host} uses {parts.scheme!r}; only https is allowed."
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
