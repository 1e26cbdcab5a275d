"""What a person sees: Tenure's pages in Chromium, inside a real Airflow with a real scheduler.

Skips only where no Chromium is installed (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import pytest

from tenure.installation import Installation
from tenure.layout import drawn_key
from tenure.settings import REPOSITORY
from tenure.stack.embedded import Stack
from tenure.stack.endpoints import StackEndpoints

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FrameLocator, Page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
DAG = "flight_late__probe_model"
WAITING = ("01a201ae-88a8-7176-9ed4-1de6ea785a39", "01a201ae-3b41-7b1a-b779-53745e492b64")
DRAWN = b"""<p id=x></p><script>
let said = 'script ran, ';
try { parent.document.title = 'owned'; said += 'parent reached'; } catch (e) { said += e.name; }
try { document.cookie; said += ', cookie read'; } catch (e) { said += ', ' + e.name; }
document.getElementById('x').textContent = said;</script>"""


@dataclass(frozen=True)
class Site:
    """A running Airflow with rows to look at."""

    url: str
    token: str
    run_id: str
    drawn: str

    def task(self, task_id: str) -> str:
        """A task's page in Airflow, with the Tenure tab open."""
        return f"{self.url}/dags/{DAG}/runs/{quote(self.run_id)}/tasks/{task_id}/plugin/card"

    def card(self, task_id: str) -> str:
        """The same card by itself."""
        return f"{self.url}/tenure/card?dag={DAG}&run={quote(self.run_id)}&task={task_id}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with one DAG file of the tests' own."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("plugins", "include", "Procfile"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "dags").mkdir()
    shutil.copy(Path(__file__).with_name("probe_dag.py"), folder / "dags" / "probe.py")
    return folder


@pytest.fixture(scope="module")
def stack(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    found = Stack(tmp_path_factory.mktemp("stack"), StackEndpoints.free(), project=project)
    try:
        found.start()
        found.wait_healthy()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def site(stack: Stack, request: pytest.FixtureRequest) -> Site:
    """Seeded rows, and one run of the probe whose tasks have ended."""
    platform = Installation(stack.settings)
    life = request.getfixturevalue("make_life")(platform).whole()
    from tenure.verdicts import Verdict

    drawn = life.report("monitoring", Verdict.FAILED, "3 of 14 features drifted")
    platform.store.put(drawn_key(drawn), DRAWN)
    _queue(platform, life.now)
    platform.database.dispose()
    passwords = json.loads(stack.layout.passwords.read_text(encoding="utf-8"))
    with httpx.Client(base_url=stack.settings.airflow_url, timeout=60) as http:
        login = {"username": "olga", "password": passwords["olga"]}
        token = http.post("/auth/token", json=login).json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        run_id = _run_probe(http)
    return Site(stack.settings.airflow_url, token, run_id, drawn)


@pytest.fixture(scope="module")
def browser(site: Site) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """Open a signed-in page of some width; a refused script or style fails the test."""
    contexts: list[Any] = []
    refused: list[str] = []

    def open_page(width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        context.add_cookies([{"name": "_token", "value": site.token, "url": site.url}])
        contexts.append(context)
        found = context.new_page()
        found.set_default_timeout(30_000)
        found.on("console", lambda m: refused.append(m.text) if "Refused to" in m.text else None)
        return found

    yield open_page
    for context in contexts:
        context.close()
    assert refused == []


def frame(found: Page) -> FrameLocator:
    return found.frame_locator("iframe")


def test_without_a_login_there_is_nothing_to_see(site: Site) -> None:
    for path in (
        "/",
        f"/card?dag={DAG}&run=r&task=t",
        "/model/flight_late",
        f"/report/{site.drawn}",
    ):
        assert httpx.get(f"{site.url}/tenure{path}").status_code == 401
        forged = {"Authorization": "Bearer forged"}
        assert httpx.get(f"{site.url}/tenure{path}", headers=forged).status_code == 403


def test_a_red_task_has_a_tab_with_its_card(page: Callable[..., Page], site: Site) -> None:
    found = page()
    found.goto(site.task("fails").removesuffix("/plugin/card"))
    found.get_by_role("link", name="Tenure", exact=True).last.click()
    card = frame(found)
    card.get_by_role("heading", name="A gate said no").wait_for()
    assert card.get_by_text("temp has 3,121 of 28,834 nulls (limit 2%)").is_visible()
    assert card.get_by_text("Training keeps the snapshot of 2013-02.").is_visible()
    assert card.locator("code", has_text="tenure suite lint").is_visible()
    card.get_by_role("link", name="Open the report").click()
    card.get_by_text("10.8% nulls").wait_for()


def test_a_link_that_leaves_the_card_moves_the_whole_page(
    page: Callable[..., Page], site: Site
) -> None:
    found = page()
    found.goto(site.task("fails"))
    frame(found).get_by_role("link", name="Open the log").click()
    found.wait_for_url(lambda url: "/tasks/fails" in url and "plugin" not in url)


def test_a_green_task_shows_its_verdict(page: Callable[..., Page], site: Site) -> None:
    found = page()
    found.goto(site.task("passes"))
    frame(found).get_by_role("heading", name="AUC 0.712").wait_for()
    assert frame(found).get_by_text("0.7 to 0.72").is_visible()


def test_a_killed_task_says_that_it_was_killed(page: Callable[..., Page], site: Site) -> None:
    found = page()
    found.goto(site.task("dies"))
    frame(found).get_by_role("heading", name="Killed before it could say anything").wait_for()
    assert frame(found).get_by_text("clear this task").is_visible()


def test_the_navigation_leads_to_the_models(page: Callable[..., Page], site: Site) -> None:
    found = page()
    found.goto(site.url)
    found.get_by_role("link", name="Tenure", exact=True).click()
    frame(found).get_by_role("link", name="flight_late", exact=True).click()
    frame(found).get_by_role("heading", name="Timeline").wait_for()
    assert frame(found).locator("svg.plot").count() == 2
    assert "owned" not in found.title()


def test_a_waiting_decision_is_claimed_and_answered_inside_airflow(
    page: Callable[..., Page], site: Site
) -> None:
    found = page()
    found.goto(f"{site.url}/plugin/tenure")
    frame(found).get_by_role("link", name="review queue").click()
    row = frame(found).locator("tr", has_text=WAITING[0])
    row.get_by_role("button", name="Claim").click()
    row.get_by_placeholder("Why").fill("The carrier confirmed it.")
    row.get_by_role("button", name="Yes").click()
    row.wait_for(state="detached")
    assert frame(found).locator("tr", has_text=WAITING[1]).is_visible()


def test_a_refused_claim_says_why(page: Callable[..., Page], site: Site, stack: Stack) -> None:
    found = page()
    found.goto(f"{site.url}/tenure/reviews")
    platform = Installation(stack.settings)
    row = found.locator("tr", has_text=WAITING[1])
    with platform.database.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE review SET state = 'claimed', claimed_by = 'otto', "
            "claim_until = now() + interval '1 hour' WHERE decision_id = %s",
            (WAITING[1],),
        )
    platform.database.dispose()
    row.get_by_role("button", name="Claim").click()
    row.get_by_role("alert").get_by_text(f"{WAITING[1]} is held by otto").wait_for()


def test_a_window_of_monitoring_opens_by_a_click_and_by_the_keyboard(
    page: Callable[..., Page], site: Site
) -> None:
    found = page()
    found.goto(f"{site.url}/tenure/model/flight_late")
    found.get_by_role("link", name="Every window on one time axis").click()
    found.locator("svg.multiple a").last.click()
    opened = found.locator("#window h2")
    opened.wait_for()
    clicked = opened.text_content()
    found.get_by_role("link", name="Close this window").click()
    opened.wait_for(state="detached")
    found.locator("figure .numbers a").last.press("Enter")
    found.locator("figure table a").first.press("Enter")
    opened.wait_for()
    assert opened.text_content() == clicked


def test_a_drawn_report_runs_in_a_sandbox(page: Callable[..., Page], site: Site) -> None:
    found = page()
    found.goto(f"{site.url}/tenure/report/{site.drawn}")
    found.get_by_text("Show it here").click()
    drawn = found.frame_locator("iframe.drawn").locator("#x")
    drawn.wait_for()
    assert drawn.text_content() == "script ran, SecurityError, SecurityError"
    # Alone in a window it is its own parent, and still has neither origin nor cookie.
    found.goto(f"{site.url}/tenure/report/{site.drawn}/drawn")
    assert found.locator("#x").text_content() == "script ran, parent reached, SecurityError"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_pages_fit_their_window(
    page: Callable[..., Page], site: Site, width: int, scheme: str
) -> None:
    found = page(width, scheme)
    for url in (
        f"{site.url}/tenure/",
        f"{site.url}/tenure/reviews",
        f"{site.url}/tenure/model/flight_late",
        f"{site.url}/tenure/model/flight_late/monitoring",
        f"{site.url}/tenure/report/{site.drawn}",
        site.card("fails"),
        site.card("passes"),
        site.card("dies"),
    ):
        found.goto(url)
        assert found.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, url
        background = found.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") is (scheme == "light")
        assert "owned" not in found.title()


def test_the_pages_follow_the_theme_of_airflow(page: Callable[..., Page], site: Site) -> None:
    found = page(scheme="light")
    found.goto(f"{site.url}/plugin/tenure")
    frame(found).get_by_role("heading", name="Models").wait_for()
    found.evaluate("document.documentElement.classList.add('dark')")
    themed = frame(found).locator("html[data-theme=dark]")
    themed.wait_for()
    color = themed.evaluate("e => getComputedStyle(e.ownerDocument.body).backgroundColor")
    assert color != "rgb(255, 255, 255)"


def _queue(platform: Installation, now: datetime) -> None:
    """Decisions that wait for a person."""
    from tenure.adapters.sql import reviews

    same = {"model": "flight_late", "version": 2, "subject": "f" * 32, "decision": True}
    same |= {"received_at": now, "expires_at": now + timedelta(hours=40)}
    unsure = {"score": 0.512, "confidence": 0.512, "fallback_level": "model"}
    unanswered = {"score": 0.0, "confidence": 0.0, "fallback_level": "review"}
    rows = [
        same | unsure | {"decision_id": WAITING[0], "reason": "low confidence"},
        same | unanswered | {"decision_id": WAITING[1], "reason": "champion: circuit open"},
    ]
    with platform.database.begin() as connection:
        reviews.add(connection, rows)


def _run_probe(http: httpx.Client) -> str:
    deadline = time.monotonic() + 240
    while True:
        answer = http.post(f"/api/v2/dags/{DAG}/dagRuns", json={"logical_date": None})
        if answer.is_success:
            break
        assert time.monotonic() < deadline, answer.text
        time.sleep(1)
    run_id = str(answer.json()["dag_run_id"])
    place = f"/api/v2/dags/{DAG}/dagRuns/{quote(run_id)}/taskInstances"
    while True:
        states = {t["task_id"]: t["state"] for t in http.get(place).json()["task_instances"]}
        if states == {"fails": "failed", "passes": "success", "dies": "failed"}:
            return run_id
        assert time.monotonic() < deadline, states
        time.sleep(1)
