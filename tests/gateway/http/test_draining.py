"""How a gateway ends: balancers and clients notice first, and nobody is reset."""

import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from http.client import HTTPConnection
from threading import Event
from typing import Any

import httpx
import pytest
from balancer import documented

from tenure.gateway.http import draining as server_end
from tenure.gateway.http import server
from tenure.gateway.log import writer
from tenure.lifecycle.serving import GatewayPolicy

INFER = "/v2/models/flight_late/infer"
READY = "/v2/health/ready"
KEY = {"Authorization": "Bearer score-key"}
TERM, INT = signal.SIGTERM, signal.SIGINT
Run = Callable[..., AbstractContextManager[Any]]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def served(world: Any, run_world: Run) -> Iterator[Any]:
    """A gateway that would drain for longer than any test."""
    with run_world(world, GatewayPolicy(drain_seconds=300)) as served:
        yield served


def draining(served: Any) -> bool:
    return httpx.get(served.url + READY).status_code == 503


def test_it_answers_while_balancers_notice(served: Any, ask: Ask, eventually: Any) -> None:
    with httpx.Client(base_url=served.url, headers=KEY) as held:
        assert held.get(READY).json()["ready"]
        served.told(TERM)
        eventually(lambda: draining(served))
        answer = held.post(INFER, json=ask())
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
        told = held.get(READY).json()
        assert (told["ready"], told["draining"], told["not_loaded"]) == (False, True, [])
        assert held.get("/v2/models/flight_late/ready").status_code == 503
        assert held.get("/v2/health/live").status_code == 200


@pytest.mark.parametrize(
    ("signals", "drain_seconds", "drains"),
    [
        pytest.param([TERM], 300, True, id="told to end"),
        pytest.param([TERM, TERM], 300, False, id="told twice"),
        pytest.param([TERM, INT], 300, False, id="told, then Ctrl-C"),
        pytest.param([INT], 300, False, id="Ctrl-C"),
        pytest.param([TERM], 0, False, id="without a balancer"),
        pytest.param([TERM], 0.2, False, id="the time is over"),
    ],
)
def test_signals(
    world: Any,
    run_world: Run,
    ask: Ask,
    eventually: Any,
    *,
    signals: list[int],
    drain_seconds: float,
    drains: bool,
) -> None:
    with run_world(world, GatewayPolicy(drain_seconds=drain_seconds)) as served:
        assert httpx.post(served.url + INFER, json=ask(), headers=KEY).status_code == 200
        served.told(*signals)
        if drains:
            eventually(lambda: draining(served))
            served.told(TERM)
        assert served.ended()
        assert not served.server.force_exit
        assert len(world.rows()) == 1


def head(body: bytes) -> bytes:
    return (
        b"POST /v2/models/flight_late/infer HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer score-key"
        b"\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    )


def rest(held: socket.socket) -> bytes:
    """Everything until the clean end; raises ConnectionResetError at another one."""
    return b"".join(iter(lambda: held.recv(65536), b""))


def test_idle_connections_end_cleanly_and_keep_nobody_waiting(served: Any, ask: Ask) -> None:
    with (
        closing(HTTPConnection("127.0.0.1", served.port, 8)) as used,
        socket.create_connection(("127.0.0.1", served.port), 8) as silent,
    ):
        used.request("POST", INFER, json.dumps(ask()), {**KEY, "Content-Type": "application/json"})
        answer = used.getresponse()
        assert (answer.status, answer.read()[:1]) == (200, b"{")
        served.told(INT)
        assert (rest(used.sock), rest(silent)) == (b"", b"")
        assert served.ended()


def test_what_crosses_the_goodbye_is_not_reset(
    world: Any, served: Any, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor decided: there is no way to answer it any more."""
    monkeypatch.setattr(server_end, "_GOODBYE_SECONDS", 1.5)
    body = json.dumps(ask()).encode()
    with socket.create_connection(("127.0.0.1", served.port), 8) as held:
        served.told(INT)
        assert rest(held) == b""
        held.sendall(head(body))
        held.sendall(body)
        assert served.ended()
        assert rest(held) == b""
    assert world.rows() == []


@pytest.mark.parametrize("half", ["head", "body"])
def test_half_a_request_is_answered_when_the_rest_comes(
    served: Any, ask: Ask, eventually: Any, half: str
) -> None:
    body = json.dumps(ask()).encode()
    cut = 20 if half == "head" else len(head(body)) + 20
    message = head(body) + body
    with socket.create_connection(("127.0.0.1", served.port), 8) as slow:
        slow.sendall(message[:cut])
        eventually(lambda: any(one.scope for one in served.server.server_state.connections))
        served.told(INT)
        with pytest.raises(OSError, match="refused"):
            eventually(lambda: socket.create_connection(("127.0.0.1", served.port), 8).close())
        slow.sendall(message[cut:])
        answer = rest(slow)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close\r\n" in answer
        assert served.ended()


def test_a_request_that_comes_after_the_log_is_reported_so(
    world: Any, run_world: Run, ask: Ask, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was too slow to be waited for; the store is slow too, so the end takes a while."""
    monkeypatch.setattr(server, "_LAST_ANSWERS_SECONDS", 0.2)
    monkeypatch.setattr(writer, "ROTATE_SECONDS", 60.0)  # so that only the end brings something
    stores, goes_on, put = Event(), Event(), world.store.put

    def slow(key: str, data: Any) -> str:
        stores.set()
        goes_on.wait(8)
        return str(put(key, data))

    body = json.dumps(ask()).encode()
    message = head(body) + body
    with (
        run_world(world) as served,
        socket.create_connection(("127.0.0.1", served.port), 5) as late,
    ):
        late.sendall(message[:20])
        assert httpx.post(served.url + INFER, json=ask(), headers=KEY).status_code == 200
        monkeypatch.setattr(world.store, "put", slow)
        served.told(INT)
        assert stores.wait(8)
        late.sendall(message[20:])
        answer = rest(late)
        goes_on.set()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"No decision can be logged, so none is given (this gateway is ending)." in answer
        assert served.ended()
    assert len(world.rows()) == 1


def test_the_default_is_longer_than_the_documented_balancer_takes_to_notice() -> None:
    found = re.search(r"check inter (\d+)ms fall (\d+)", documented())
    assert found is not None
    every, fall = map(int, found.groups())
    assert GatewayPolicy().drain_seconds >= 2 * every * fall / 1000
