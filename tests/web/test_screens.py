"""Every page on a filled database in Chromium: pictures, axe-core, and what a person clicks.

`make screenshots` runs it and says where the pictures lie. Skips only where no Chromium is
installed (Debian: `apt-get install chromium`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filled_site import LOGGED, WAITING, FilledSite, window
from page_reader import CHROMIUM, FakeGuard, served, with_airflow
from shop import Shop

from tenure.installation import Installation
from tenure.vocabulary import digest_bytes

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.airflow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
PICTURES = os.environ.get("TENURE_SCREENSHOTS")
"""Folder of the pictures; without one none are kept."""
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
AXE = Path(__file__).with_name("axe") / "axe.min.js"


@dataclass
class ServedSite:
    """The pages behind a real server, and whose login they see."""

    url: str
    paths: dict[str, str]
    platform: Installation
    guard: type[FakeGuard]


@pytest.fixture
def site(
    life: Any, platform: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServedSite]:
    from tenure.web import app

    filled = FilledSite(life, Shop(platform, tmp_path))
    paths = filled.fill() | filled.fill_more()
    monkeypatch.setattr(app, "platform", lambda: platform)
    with_airflow(monkeypatch)
    monkeypatch.setattr(app, "open_windows", lambda *_: [window(life.now)])
    monkeypatch.setattr(app, "task_status", filled.tasks)
    guard = type("Reader", (FakeGuard,), {})
    with served(app.build(), guard) as url:
        yield ServedSite(url, paths, platform, guard)


def test_every_page_fits_and_is_pictured(site: ServedSite, page: Callable[..., Page]) -> None:
    for width in (1280, 400):
        for scheme in ("light", "dark"):
            found = page(width, scheme)
            for name, path in sorted(site.paths.items()):
                answer = found.goto(site.url + path)
                assert answer is not None
                assert answer.status == (404 if name == "absent" else 200), name
                wide = found.evaluate("document.documentElement.scrollWidth - innerWidth")
                if PICTURES:
                    folder = Path(PICTURES)
                    folder.mkdir(parents=True, exist_ok=True)
                    found.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                assert wide <= 0, (name, width)
            found.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
def test_axe_finds_nothing_serious(
    site: ServedSite, page: Callable[..., Page], width: int, scheme: str
) -> None:
    """Injected by the DevTools protocol, which the pages' Content-Security-Policy lets through."""
    found, wrong = page(width, scheme), []
    axe = AXE.read_text(encoding="utf-8")
    assert digest_bytes(axe.encode()) == AXE_SHA256
    for name, path in sorted(site.paths.items()):
        found.goto(site.url + path)
        found.evaluate(axe)
        result = found.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert result["passes"], name
        wrong += [
            f"{name}: {one['id']} ({one['impact']}) {node['html'][:150]} {node['any'][:1]}"
            for one in result["violations"]
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"][:3]
        ]
    assert not wrong, "\n".join(wrong)


def test_an_incident_is_taken_snoozed_and_closed_by_clicks(
    site: ServedSite, page: Callable[..., Page]
) -> None:
    found = page()
    found.goto(site.url + "/")
    found.get_by_role("link", name="A gate said no").click()
    found.get_by_role("heading", name="A gate said no: flight_late: evaluate").wait_for()
    found.get_by_role("button", name="Acknowledge").click()
    found.get_by_text("acknowledged").wait_for()
    assert found.get_by_role("button", name="Acknowledge").count() == 0
    found.get_by_label("For how long").select_option("4")
    found.get_by_role("button", name="Snooze").click()
    found.locator(".timeline", has_text="snoozed").wait_for()
    found.get_by_role("button", name="Close").click()  # without a reason
    found.get_by_role("alert").filter(has_text="reason").wait_for()
    found.get_by_label("Why it is over").fill("The source repaired the file.")
    found.get_by_role("button", name="Close").click()
    found.get_by_text("The source repaired the file.").first.wait_for()
    assert found.get_by_role("button").count() == 0
    found.goto(site.url + "/")
    assert found.get_by_role("link", name="A gate said no").count() == 0


def test_who_has_no_role_sees_an_incident_without_buttons(
    site: ServedSite, page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.guard, "user", "mallory", raising=False)
    found = page()
    found.goto(site.url + site.paths["incident-GateFailed"])
    found.get_by_role("heading", name="A gate said no").wait_for()
    assert found.get_by_role("button").count() == 0


def test_a_decision_is_claimed_and_answered_with_the_keyboard(
    site: ServedSite, page: Callable[..., Page]
) -> None:
    found = page(400)
    found.goto(site.url + "/reviews")
    row = found.locator("tr", has_text=WAITING[0])
    row.get_by_role("button", name="Claim").focus()
    found.keyboard.press("Enter")
    why = row.get_by_label("Why")
    why.wait_for()
    why.focus()
    found.keyboard.type("The carrier confirmed it.")
    found.keyboard.press("Tab")
    found.keyboard.press("Enter")
    row.wait_for(state="detached")
    assert found.locator("tr", has_text=WAITING[1]).is_visible()


def test_the_auditor_opens_every_evidence_of_version_2(
    site: ServedSite, page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the overview by clicks: each link of the page answers, and shows what it is."""
    monkeypatch.setattr(site.guard, "user", "vera", raising=False)
    found = page()
    found.goto(site.url + "/")
    found.get_by_role("link", name="version 2", exact=True).first.click()
    found.get_by_role("heading", name="flight_late version 2").wait_for()
    found.get_by_text("49 earlier reports").or_(found.get_by_text("earlier reports")).first.click()
    links = found.locator("a[href*='/report/']")
    digests = [str(one.get_attribute("href")) for one in links.all()]
    assert len(set(digests)) > 50
    own = found.locator("#evidence a")
    assert own.count() >= 2
    for position in range(own.count()):
        digest = own.nth(position).inner_text()
        with found.expect_navigation() as opened:
            own.nth(position).click()
        assert opened.value is not None
        assert opened.value.status == 200
        assert found.get_by_text(f"Report {digest}").is_visible()
        assert found.locator("h2", has_text="Checks").is_visible()
        found.go_back()
    for link in sorted(set(digests)):
        answer = found.request.get(site.url.removesuffix("/tenure") + link)
        assert answer.status == 200, link
        assert re.search(r"Report [0-9a-f]{64}", answer.text()), link
    with found.expect_download() as taken:
        found.get_by_role("link", name="Download the evidence").click()
    assert taken.value.suggested_filename == "flight_late-2-evidence.json"


def test_an_approver_comes_from_the_model_to_the_window(
    site: ServedSite, page: Callable[..., Page]
) -> None:
    found = page()
    found.goto(site.url + site.paths["model"])
    found.get_by_role("link", name="approval page").click()
    found.get_by_role("heading", name="May flight_late@5 serve?").wait_for()
    place = str(found.get_by_role("link", name="Answer in Airflow").get_attribute("href"))
    assert place.endswith("/tasks/review/mapped/0/required_actions")


def test_an_operator_gives_feedback_by_clicks(site: ServedSite, page: Callable[..., Page]) -> None:
    found = page(400)
    found.goto(site.url + site.paths["feedback"])
    found.get_by_label("Decision", exact=True).fill(LOGGED)
    found.get_by_label("Verdict").select_option("wrong")
    found.get_by_role("button", name="Send").click()  # without a reason
    found.get_by_role("alert").filter(has_text="reason has 0 characters").wait_for()
    found.get_by_label("Reason").fill("The flight was cancelled.")
    found.get_by_role("button", name="Send").click()
    row = found.locator("tr", has_text="The flight was cancelled.")
    row.wait_for()
    assert row.get_by_text("user:olga").is_visible()
    assert found.get_by_label("Decision", exact=True).input_value() == ""
