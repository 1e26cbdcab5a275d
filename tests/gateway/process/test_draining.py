"""SIGTERM to a real gateway, and to all of its processes, as a service manager sends it."""

import signal
from collections.abc import Callable
from typing import Any

import httpx
import psutil
import pytest
from pyarrow.parquet import read_metadata

from tenure.installation import Installation

MODEL = "flight_late"
pytestmark = pytest.mark.service


@pytest.mark.exhaustive  # http/test_draining tries the rest daily
def test_its_models_outlive_the_signal(
    platform: Installation, life: Any, process: Any, keys: dict[str, str], eventually: Any
) -> None:
    life.champion(1)
    process.start()
    headers = {"Authorization": keys["score"]}
    with httpx.Client(base_url=process.url, headers=headers, timeout=10) as held:
        ask = asking(held, life)
        assert "Connection" not in ask(1).headers
        gateway = psutil.Process(process.popen.pid)
        for one in (*gateway.children(recursive=True), gateway):
            one.send_signal(signal.SIGTERM)
        eventually(lambda: process.get("/v2/health/ready") == 503)
        answer = ask(2)
        assert answer.json()["parameters"]["fallback_level"] == "model"
        assert answer.headers["Connection"] == "close"
    gateway.send_signal(signal.SIGTERM)
    assert process.popen.wait(30) == 0
    keys_ = [key for key in platform.store.list("decisions/") if key.endswith(".parquet")]
    rows = [read_metadata(platform.store.fetch(key)).num_rows for key in keys_]
    assert sum(rows) == 2
    assert "ship=failed" not in process.log.read_text()


def asking(client: httpx.Client, life: Any) -> Callable[[int], httpx.Response]:
    def ask(number: int) -> httpx.Response:
        answer = client.post(f"/v2/models/{MODEL}/infer", json=life.example(number))
        assert answer.status_code == 200, answer.text
        return answer

    return ask
