"""The demo's client against a real HTTP server that is busy, cuts the line, or refuses."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tenure.demo import client as module
from tenure.demo.client import Flight, Replay

CUT = 0


@dataclass
class Gateway:
    """Answers each path with its next status; 200 when none is left; 0 cuts the connection."""

    url: str = ""
    coming: dict[str, list[int]] = field(default_factory=dict)
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    monkeypatch.setattr(module, "_PAUSES_SECONDS", (0.0, 0.01, 0.02))
    found = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path = self.path.rsplit("/", 1)[1]
            status = found.coming[path].pop(0) if found.coming.get(path) else 200
            if status == CUT:
                self.close_connection = True
                return
            found.got.append((path, body))
            facts = {"arm": "champion", "decision_ids": ["d"]}
            answer = json.dumps({"id": body.get("id"), "parameters": facts}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(gateway: Gateway, tmp_path: Path) -> Replay:
    return Replay(gateway.url, "key", "m", ("x",), tmp_path / "answers.jsonl")


def flights(days: int) -> list[Flight]:
    first = datetime(2013, 7, 1, tzinfo=UTC)
    return [
        {"flight_id": f"f{n}", "scheduled_at": first + timedelta(days=n), "x": 1.0, "late": n % 2}
        for n in range(days)
    ]


@pytest.mark.parametrize("path", ["infer", "outcomes"])
@pytest.mark.parametrize("first", [503, CUT])
def test_a_busy_gateway_is_asked_again(
    gateway: Gateway, client: Replay, path: str, first: int
) -> None:
    gateway.coming[path] = [first]
    client.run(flights(2))
    assert (client.answered, client.refused, client.outcomes) == (2, 0, 2)
    assert len(client.log.read_text().splitlines()) == 2


def test_a_refused_request_is_counted_and_refused_outcomes_end_the_client(
    gateway: Gateway, client: Replay
) -> None:
    gateway.coming = {"infer": [400, 503, 503, 503], "outcomes": [200, 200, 409]}
    with pytest.raises(aiohttp.ClientError, match="1 outcomes were answered 409"):
        client.run(flights(3))
    assert (client.answered, client.refused) == (1, 2)


def test_no_day_begins_while_it_is_held(gateway: Gateway, client: Replay) -> None:
    looked: list[int] = []

    def hold() -> bool:
        looked.append(client.answered)
        return len(looked) == 2

    client.run(flights(2), hold=hold)
    assert looked == [0, 1, 1]
    assert client.answered == 2
    client.run(flights(2), until=lambda: True, hold=lambda: True)
    assert client.answered == 2
