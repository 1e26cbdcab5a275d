"""The steward's workbench: what it shows, whom it lets act, and the whole task by clicks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_reader import CHROMIUM, FakeGuard, served, with_airflow
from rides import commit, drop, drop_some, git, ingest_all, installed, rules
from sqlalchemy import text

from tenure.installation import Installation
from tenure.installation.suite_in_force import suite_in_force
from tenure.settings import Settings
from tenure.usecases.data.snapshots import open_snapshot
from tenure.views.quarantine import quarantine_of
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.airflow, pytest.mark.service]

HERE = "/dataset/rides/workbench"


@dataclass
class Bench:
    """The workbench behind a real server, and who is logged in."""

    platform: Installation
    url: str
    guard: type[FakeGuard]

    def post(self, path: str, user: str, **body: Any) -> Any:
        import httpx

        self.guard.user = user
        return httpx.post(f"{self.url}{HERE}{path}", json=body, timeout=120)

    def text(self, user: str = "sam") -> str:
        import httpx

        self.guard.user = user
        answer = httpx.get(f"{self.url}{HERE}", timeout=30)
        assert answer.status_code == 200
        return answer.text

    @property
    def seen(self) -> str:
        return suite_in_force(self.platform, "rides", []).suite.digest

    def nulls(self, percent: float) -> list[dict[str, Any]]:
        return [{"rule": 0, "argument": "mostly", "value": percent}]


@pytest.fixture
def empty(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Rules of rides, and no batch yet."""
    from tenure.web import app

    platform = installed(settings, tmp_path / "rides")
    monkeypatch.setattr(app, "platform", lambda: platform)
    with_airflow(monkeypatch)
    guard = type("Reader", (FakeGuard,), {})
    with served(app.build(), guard) as url:
        yield Bench(platform, url, guard)
    platform.database.dispose()


@pytest.fixture
def bench(empty: Bench) -> Bench:
    """The same with five batches, of which three were refused."""
    drop_some(empty.platform, "b1", "b2", "b3", "b4", "b5")
    return empty


@pytest.mark.exhaustive
def test_the_preview_names_what_would_be_refused_and_what_stops(bench: Bench) -> None:
    loose = bench.post("/preview", "sam", changes=bench.nulls(5), seen=bench.seen)
    assert loose.status_code == 200
    assert loose.json()["sentence"] == (
        "Would have refused 1 of the last 5 batches: rides b5. The rules in force refuse 3 of them."
    )
    assert loose.json()["lines"] == [
        "rides b3: refused → published; rows set aside 5 → 0 of 200. temp has 5 of 200 nulls "
        "(2.5%), allowed at most 2%; the edited suite allows at most 5%.",
        "rides b4: refused → published; rows set aside 10 → 0 of 200. temp has 10 of 200 nulls "
        "(5.0%), allowed at most 2%; the edited suite allows at most 5%.",
        "ride_late of ada would learn from b3, b4 too.",
        "Once it is accepted, the next run judges the 5 files that lie in landing/rides/ again by "
        "it, and then every new one; what is published stays published.",
    ]
    tight = bench.post("/preview", "sam", changes=bench.nulls(1), seen=bench.seen).json()
    assert tight["sentence"].startswith("Would have refused 4 of the last 5 batches: rides b2,")
    assert "Stops ride_late of ada: it would not have got b2." in tight["lines"]


@pytest.mark.parametrize(
    ("user", "body", "status", "said"),
    [
        ("olga", {}, 403, "olga may not propose a change of the suite rides"),
        ("sam", {"reason": ""}, 422, "reason"),
        ("sam", {"seen": "f" * 64}, 409, "was changed since you opened the page"),
        ("sam", {"changes": []}, 422, "changes"),
        ("sam", {"changes": [{"rule": 0, "argument": "mostly", "value": 2}]}, 422, "no limit"),
        ("sam", {"changes": [{"rule": 9, "argument": "mostly", "value": 2}]}, 422, "has 3 rules"),
        ("sam", {"changes": [{"rule": 0, "argument": "column", "value": 2}]}, 422, "argument"),
    ],
)
def test_what_is_not_proposed(
    empty: Bench, user: str, body: dict[str, Any], status: int, said: str
) -> None:
    whole = {"changes": empty.nulls(5), "seen": empty.seen, "reason": "Repaired."}
    answer = empty.post("/propose", user, **whole | body)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    assert "waits for a second person" not in empty.text()


def test_a_foreign_form_or_a_hidden_dataset_reaches_nothing(empty: Bench) -> None:
    import httpx

    form = httpx.post(f"{empty.url}{HERE}/propose", data={"reason": "x"})
    assert form.status_code in {415, 422}
    empty.guard.hidden = frozenset({"rides__ingest_data"})
    assert empty.post("/preview", "sam", changes=empty.nulls(5), seen="x").status_code == 403
    for path, status in (("rides", 403), ("unknown", 404), ("..", 404)):
        assert httpx.get(f"{empty.url}/dataset/{path}/workbench").status_code == status


def test_files_that_were_refused_and_repaired_stand_in_the_matrix(bench: Bench) -> None:
    drop = bench.platform.settings.home / "store/landing/rides"
    shutil.copy(drop / "b1.parquet", drop / "b5.parquet")
    ingest_all(bench.platform)
    shown = bench.text()
    assert "Verdict: 6 files, broken in 3: b3, b4, b5" in shown
    assert '<td data-label="Broken in">3 of 6</td>' in shown


def test_the_overview_says_that_a_second_person_is_asked(empty: Bench) -> None:
    import httpx

    words = "1 proposed change of the rules of rides waits for a second person"
    assert words not in httpx.get(f"{empty.url}/").text
    empty.post("/propose", "sam", changes=empty.nulls(5), seen=empty.seen, reason="Why.")
    assert words in httpx.get(f"{empty.url}/").text
    empty.post("/proposal/1/decline", "grace", reason="No.")
    assert words not in httpx.get(f"{empty.url}/").text


def test_a_proposal_that_does_not_fit_any_more_says_so(empty: Bench) -> None:
    for percent in (5, 10):
        made = empty.post(
            "/propose", "sam", changes=empty.nulls(percent), seen=empty.seen, reason="Why."
        )
    assert empty.post("/proposal/1/accept", "grace", reason="Yes.").status_code == 200
    assert "the rules changed since" in empty.text()
    late = empty.post(f"/proposal/{made.json()['proposal']}/accept", "grace", reason="Yes.")
    assert (late.status_code, "was made from another suite" in late.json()["error"]) == (409, True)


def test_the_branch_of_git_is_named(empty: Bench) -> None:
    commit(empty.platform)
    empty.post("/propose", "sam", changes=empty.nulls(5), seen=empty.seen, reason="Why.")
    empty.post("/proposal/1/accept", "grace", reason="Yes.")
    made = git(empty.platform, "rev-parse", "tenure/rides-1")[:12]
    assert f"commit <code>{made}</code> on branch <code>tenure/rides-1</code>" in empty.text()


@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_steward_loosens_a_bound_and_a_second_person_accepts(
    bench: Bench, page: Callable[..., Page]
) -> None:
    bench.guard.user = "sam"
    found = page()
    found.goto(f"{bench.url}/dataset/rides")
    found.get_by_role("link", name="workbench").click()
    rule = found.locator("tr", has_text="temp may be missing in at most 2% of the rows")
    rule.get_by_text("Limit", exact=True).click()
    rule.get_by_text("3 of 5 files break this rule: b3, b4, b5.").wait_for()
    rule.get_by_label("Rows that may break it, at most", exact=True).fill("5")
    rule.get_by_text("1 of 5 files break this rule: b5.").wait_for()
    change = found.locator("#change")
    change.get_by_role("button", name="Judge the last 5 files by it").click()
    change.get_by_text("Would have refused 1 of the last 5 batches: rides b5.").wait_for(
        timeout=120_000
    )
    change.get_by_label("Why the limit should change").fill("The station was repaired.")
    change.get_by_role("button", name="Propose").click()
    proposal = found.locator("#proposals li", has_text="Proposal 1")
    proposal.get_by_text("waits for a second person").wait_for()
    assert proposal.get_by_role("button", name="Accept").count() == 0  # it is her own

    bench.guard.user = "grace"
    found.goto(f"{bench.url}{HERE}")
    proposal.get_by_text("loosened: temp, nulls: at most 2% → at most 5%").wait_for()
    proposal.get_by_role("button", name="Judge the last 5 files by it").click()
    proposal.get_by_text("Would have refused 1 of the last 5 batches").wait_for(timeout=120_000)
    proposal.get_by_label("Your reason").fill("Agreed: b3 and b4 are sound.")
    proposal.get_by_role("button", name="Accept").click()
    proposal.get_by_text("accepted", exact=True).wait_for()
    found.get_by_text("temp may be missing in at most 5% of the rows").first.wait_for()

    drop_some(bench.platform, "b4", "b6")  # the next batch has 4% of nulls
    found.goto(f"{bench.url}/dataset/rides")
    row = found.locator("tr", has_text="b6")
    assert "passed" in row.first.inner_text()
    assert (bench.platform.settings.suites / "rides.json").read_text() == rules()


def quarantined(bench: Bench) -> str:
    """Where the rows of b7 with an unknown city are acted on."""
    with bench.platform.database.begin() as connection:
        (batch,) = [b for b in quarantine_of(connection, "rides").batches if b.row.batch == "b7"]
    return f"/quarantine/{batch.row.id}/{batch.causes[0].reason.id}"


def test_quarantined_rows_are_reached_by_who_may(empty: Bench) -> None:
    import httpx

    assert "No row of any batch is set aside." in empty.text()
    drop_some(empty.platform, "b7")
    rows = f"{empty.url}{HERE}{quarantined(empty)}"
    assert "Download these rows" in empty.text()
    assert "10 rows: city is one of x, y" in empty.text()
    assert "Download these rows" not in empty.text("olga")
    assert httpx.get(f"{rows}/rows.csv").status_code == 403  # olga
    empty.guard.user = "sam"
    taken = httpx.get(f"{rows}/rows.csv")
    assert (taken.status_code, len(taken.text.splitlines())) == (200, 11)
    assert taken.headers["content-disposition"].startswith('attachment; filename="rides-b7-')
    assert "quarantined rows of 1 batch" in empty.text("ada")
    empty.guard.hidden = frozenset({"rides__ingest_data"})
    assert httpx.get(f"{rows}/rows.csv").status_code == 403
    assert empty.post(f"{quarantined(empty)}/plan/release", "sam").status_code == 403
    empty.guard.hidden = frozenset()
    assert httpx.get(f"{empty.url}{HERE}/quarantine/1/{'f' * 16}/rows.csv").status_code == 409
    asked = f"{quarantined(empty)}/plan/release"
    seen = empty.post(asked, "sam").json()["seen"]
    words = "1 proposed release of quarantined rows of rides waits for a second person"
    assert words not in httpx.get(f"{empty.url}/").text
    made = empty.post(f"{quarantined(empty)}/do/release", "sam", note="Known.", seen=seen)
    assert (made.status_code, words in httpx.get(f"{empty.url}/").text) == (200, True)
    stale = empty.post(f"{quarantined(empty)}/do/discard", "sam", note="Why.", seen="stale")
    assert stale.status_code == 409
    blank = empty.post(f"{quarantined(empty)}/do/discard", "sam", note=" ", seen="stale")
    assert blank.status_code == 422


def test_who_read_the_data_is_named_to_who_may_see_the_model(empty: Bench) -> None:
    drop_some(empty.platform, "b7")
    with empty.platform.database.begin() as connection:
        digest = connection.execute(text("SELECT digest FROM snapshot")).scalar_one()
    run = RunRef("ride_late__train_model", "r1", "train", user="trudy")
    open_snapshot(empty.platform, "rides", digest, purpose="training", run=run, model="ride_late")
    section = empty.text().partition('id="readers"')[2]
    assert "trudy" in section
    assert "1 snapshot" in section
    empty.guard.hidden = frozenset({"ride_late__train_model"})
    section = empty.text().partition('id="readers"')[2]
    assert "trudy" not in section
    assert "1 that you may not see" in section


@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_steward_takes_rows_along_releases_some_and_discards_others(
    empty: Bench, page: Callable[..., Page]
) -> None:
    drop_some(empty.platform, "b7", "b6")
    drop(empty.platform, "b9", 0, "xz")
    ingest_all(empty.platform)
    empty.guard.user = "sam"
    found = page()
    found.goto(f"{empty.url}{HERE}")
    batch = found.locator("#quarantine details", has_text="b7: 10 rows in quarantine")
    batch.locator("summary").click()
    with found.expect_download() as loading:
        batch.get_by_role("link", name="Download these rows").click()
    assert loading.value.suggested_filename.startswith("rides-b7-quarantine-")
    assert len(Path(loading.value.path()).read_text().splitlines()) == 11
    batch.get_by_role("button", name="Release …").click()
    batch.get_by_text("Would publish 10 of the 10 rows").wait_for()
    batch.get_by_label("Why: release").fill("z is a new district.")
    batch.get_by_role("button", name="Propose the release").click()
    proposal = found.locator("#quarantine li", has_text="Release 1")
    proposal.get_by_text("waits for a second person").wait_for()
    assert proposal.get_by_role("button", name="Accept").count() == 0  # it is her own

    other = found.locator("#quarantine details", has_text="b9: 10 rows in quarantine")
    other.locator("summary").click()
    other.get_by_role("button", name="Discard …").click()
    other.get_by_text("Would discard 10 rows of rides b9").wait_for()
    other.get_by_role("button", name="Discard them").click()
    other.get_by_text("is blank").or_(other.get_by_text("characters")).first.wait_for()
    other.get_by_role("button", name="Discard …").click()
    other.get_by_label("Why: discard").fill("A test of the source.")
    other.get_by_role("button", name="Discard them").click()
    found.get_by_text("b9: 0 rows in quarantine, 10 discarded").wait_for()

    empty.guard.user = "grace"
    found.goto(f"{empty.url}{HERE}")
    proposal.get_by_label("Your reason for release 1").fill("The city council confirmed it.")
    proposal.get_by_role("button", name="Accept and publish").click()
    found.get_by_text("b7: 0 rows in quarantine, 10 released").wait_for()
    found.get_by_text("b7: 0 rows in quarantine").click()
    found.get_by_text("200 rows in = 190 published + 10 released + 0 in quarantine").wait_for()

    notes = found.locator("#notes")
    notes.get_by_label("Your note").fill("District z exists since May.")
    notes.get_by_role("button", name="Write").click()
    notes.get_by_text("District z exists since May.").wait_for()
    notes.get_by_role("button", name="Subscribe").click()
    notes.get_by_text("Alerts about rides name grace.").wait_for()
    notes.get_by_role("button", name="Unsubscribe").click()
    notes.get_by_text("Nobody subscribed.").wait_for()


@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_the_line_of_a_limit_is_dragged(bench: Bench, page: Callable[..., Page]) -> None:
    bench.guard.user = "sam"
    found = page()
    found.goto(f"{bench.url}{HERE}")
    rule = found.locator("details.rule").first
    rule.locator("summary").click()
    rule.locator("svg.limits").scroll_into_view_if_needed()
    line = rule.locator("line.grip").bounding_box()
    assert line is not None
    found.mouse.move(line["x"] + 300, line["y"] + line["height"] / 2)
    found.mouse.down()
    found.mouse.move(line["x"] + 300, line["y"] - 45, steps=5)
    found.mouse.up()
    field = rule.get_by_label("Rows that may break it, at most", exact=True)
    assert float(field.input_value()) > 2
    assert "3 of 5" not in str(rule.locator(".would").text_content())
    assert found.locator("#change li").count() == 1
