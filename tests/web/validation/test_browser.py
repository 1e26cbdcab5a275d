"""The report of a validation in Chromium: nothing of strangers runs, and it fits its window.

Skips only where no Chromium is installed (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tenure.layout import drawn_key

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.airflow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
NASTY = '<script>document.title="owned"</script>'
LIVE = b"<p>page</p><script>document.title='owned'; parent.document.title='owned'</script>"
"""What Data Docs would be if nothing were escaped."""


@dataclass(frozen=True)
class Site:
    """Pages of a shop with some history, behind a real server."""

    url: str
    report: str
    unescaped: str


@pytest.fixture
def site(pages: Any, shop: Any) -> Iterator[Site]:
    import uvicorn
    from fastapi import FastAPI

    for number in range(1, 30):
        shop.batch(f"b{number:02d}", no_price=number % 7, bad_email=number % 2)
    unescaped, report = shop.batch("b30"), shop.batch("b31", no_price=9, bad_email=2, strange=3)
    shop.platform.store.put(drawn_key(unescaped), LIVE)
    shop.platform.store.put(drawn_key(report), _docs())
    outer = FastAPI()
    outer.mount("/tenure", pages)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(outer, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        port = listening.getsockname()[1]
        yield Site(f"http://127.0.0.1:{port}/tenure", report, unescaped)
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


def test_nothing_of_strangers_runs_and_every_page_fits(site: Site, chromium: Browser) -> None:
    paths = (f"report/{site.report}", f"report/{site.report}/drawn", "dataset/orders", "")
    for width in (400, 1280):
        for scheme in ("light", "dark"):
            context = chromium.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme
            )
            page = context.new_page()
            for path in paths:
                page.goto(f"{site.url}/{path}")
                assert page.title() != "owned"
                wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert wide <= 0, (path, width)
                if "report" in path:  # there, and as text
                    assert page.get_by_text(NASTY).first.is_visible()
            context.close()


def test_the_report_can_be_read_and_followed(site: Site, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(site.url + "/")
    page.get_by_role("link", name="orders", exact=True).click()
    page.get_by_role("heading", name="Contract").wait_for()
    page.get_by_role("link", name="b31", exact=True).click()
    page.get_by_role("heading", name="Validation of orders b31").wait_for()
    page.get_by_text("price may be missing in at most 10% of the rows").first.wait_for()
    drawings = page.locator("svg.history")
    assert drawings.count() == 7
    assert drawings.first.locator("circle").count() == 30
    assert drawings.first.locator("polyline").is_visible()
    color = "e => getComputedStyle(e).fill"
    last, first = (page.locator("svg.history circle").nth(n).evaluate(color) for n in (29, 0))
    assert last != first  # broken is red, held is green
    assert page.locator("td.blamed", has_text="••••").count() == 2


def test_data_docs_are_shown_and_cannot_run_even_unescaped(site: Site, chromium: Browser) -> None:
    page = chromium.new_page()
    page.goto(f"{site.url}/report/{site.report}")
    page.get_by_text("Show it here").click()
    page.frame_locator("iframe.drawn").get_by_text("Drawn by Great Expectations").wait_for()
    page.goto(f"{site.url}/report/{site.unescaped}")
    page.get_by_text("Show it here").click()
    page.frame_locator("iframe.drawn").get_by_text("page").wait_for()
    assert page.title() != "owned"
    page.goto(f"{site.url}/report/{site.unescaped}/drawn")  # alone in a window
    page.get_by_text("page").wait_for()
    assert page.title() != "owned"


def _docs() -> bytes:
    from tenure.adapters.gx_docs import draw

    kwargs = {"column": NASTY, "value_set": ["a", NASTY]}
    seen = {
        "element_count": 40,
        "unexpected_count": 1,
        "unexpected_percent": 2.5,
        "unexpected_percent_total": 2.5,
        "partial_unexpected_list": [f"{NASTY}!"],
    }
    config = {"type": "expect_column_values_to_be_in_set", "kwargs": kwargs, "notes": NASTY}
    return draw("orders", f"b31 {NASTY}", [{"success": False, "expectation_config": config, "result": seen}])  # fmt: skip # noqa: E501
