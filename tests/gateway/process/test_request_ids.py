"""The HTTP corpus, 107 and 112: request ids that come again, and those of another caller."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from asking import MODEL, Asking, settle
from waiting import wait_for

from tenure.installation import Installation
from tenure.usecases.decisions.replay import show
from tenure.usecases.serving.api_keys import create_key

pytestmark = [pytest.mark.service, pytest.mark.fault, pytest.mark.quick]
URL = f"/v2/models/{MODEL}"


@pytest.fixture
def caller(
    platform: Installation, life: Any, process: Any
) -> Iterator[Callable[[str], httpx.Client]]:
    """Clients of one gateway by the names of their keys, once it knows these."""
    life.champion()
    process.start()
    with ExitStack() as open_:

        def connect(name: str) -> httpx.Client:
            key = create_key(platform, name, ["score", "outcome"])
            headers = {"Authorization": f"Bearer {key}"}
            made = open_.enter_context(
                httpx.Client(base_url=process.url, headers=headers, timeout=15)
            )
            wait_for(lambda: made.get(URL).status_code == 200)
            return made

        yield connect


def decided(asking: Asking, answer: httpx.Response) -> str:
    """The decision of an answer, which is remembered."""
    assert answer.status_code == 200, answer.text
    told = answer.json()["parameters"]
    (one,) = told["decision_ids"]
    asking.answered.append((one, told["arm"]))
    return str(one)


def test_request_ids(
    platform: Installation, life: Any, process: Any, caller: Callable[[str], httpx.Client]
) -> None:
    """107, 112: same request, same decision; another one is refused; other callers do not meet."""
    asking = Asking(process.url, life, {})
    shop, bank = caller("shop"), caller("bank")
    body = {**life.example(1), "id": "order-1"}
    first = shop.post(f"{URL}/infer", json=body)
    again = shop.post(f"{URL}/infer", json=body)
    assert (again.content, again.headers["X-Tenure-Replayed"]) == (first.content, "true")
    others = life.example(2)
    for part in ("inputs", "parameters"):
        refused = shop.post(f"{URL}/infer", json={**body, part: others[part]})
        assert (refused.status_code, refused.json()["code"]) == (409, "request_id_reused")
    its, theirs = decided(asking, first), decided(asking, bank.post(f"{URL}/infer", json=body))
    assert its != theirs
    truth = {"outcomes": [{"request_id": "order-1", "label": True}]}
    assert shop.post(f"{URL}/outcomes", json=truth).status_code == 200
    assert process.stop() in {0, -15}
    labels = [found.outcome for one in (its, theirs) if (found := show(platform, one))]
    assert [label and label.label for label in labels] == [True, None]
    settle(platform, asking, unanswered=0)
