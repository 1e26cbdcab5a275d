import socket
from typing import Any

import pytest

from tenure.adapters.webhook import Webhook
from tenure.errors import NotPermitted, ServiceUnreachable

HOSTS = ("127.0.0.1", "hooks.example.org")


def test_a_message_arrives_with_its_id(receiver: Any) -> None:
    Webhook(HOSTS).post(receiver.url, {"version": 1, "reason": "old"}, message_id="m1")
    assert receiver.bodies == [{"version": 1, "reason": "old"}]
    assert receiver.ids == ["m1"]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_only_2xx_is_delivered_and_no_redirect_is_followed(receiver: Any, status: int) -> None:
    receiver.answers.append(status)
    with pytest.raises(ServiceUnreachable, match=f"answered {status}"):
        Webhook(HOSTS).post(receiver.url, {}, message_id="m1")
    assert len(receiver.ids) == 1


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(ServiceUnreachable, match="gave no answer"):
            Webhook(HOSTS, timeout_seconds=1).post(url, {}, message_id="m1")


def test_a_receiver_that_never_answers_costs_its_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(ServiceUnreachable, match="ReadTimeout"):
            Webhook(HOSTS, timeout_seconds=0.2).post(url, {}, message_id="m1")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://169.254.169.254/latest", "not in webhook_hosts"),
        ("http://localhost/", "not in webhook_hosts"),
        ("http://[::1]/", "not in webhook_hosts"),
        ("http://2130706433/", "not in webhook_hosts"),
        ("http://127.0.0.1.example.org/", "not in webhook_hosts"),
        ("https://hooks.example.org@evil.example/", "not in webhook_hosts"),
        ("https://user:secret@hooks.example.org/", "carries a user name or password"),
        ("http://hooks.example.org/", "only https is allowed"),
        ("ftp://127.0.0.1/", "only https is allowed"),
        ("file:///etc/passwd", "not in webhook_hosts"),
        ("http://127.0.0.1:99999/", "cannot be read as a URL"),
        ("", "not in webhook_hosts"),
        ("http://127.0.0.1:9/secret\n", "cannot be read as a URL"),
        ("http://127.0.0.1:9/\x00", "cannot be read as a URL"),
    ],
)
def test_no_other_place_is_asked(url: str, why: str) -> None:
    with pytest.raises(NotPermitted, match=why) as caught:
        Webhook(HOSTS).post(url, {}, message_id="m1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254"])
def test_a_listed_name_that_leads_to_a_metadata_service_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(NotPermitted, match=r"leads to 169\.254\.169\.254"):
        Webhook(HOSTS).post("https://hooks.example.org/x", {}, message_id="m1")
