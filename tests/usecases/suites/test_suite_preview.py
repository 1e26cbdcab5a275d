"""What a proposed limit would have done to the last batches, in the words that a steward reads."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rides import drop, drop_some, ingest_all, installed, rules
from sqlalchemy import text

from tenure.config.suite_limits import LimitChange
from tenure.errors import ServiceUnreachable, StateConflict
from tenure.installation import Installation
from tenure.installation.suite_in_force import suite_in_force
from tenure.settings import Settings
from tenure.usecases.suites import suite_preview
from tenure.usecases.suites.suite_proposals import LimitEdit, edited
from tenure.usecases.suites.suites import Edit

pytestmark = pytest.mark.service


@pytest.fixture
def rides(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    platform = installed(settings, tmp_path / "include")
    yield platform
    platform.database.dispose()


def nulls(platform: Installation, percent: float) -> Edit:
    seen = suite_in_force(platform, "rides", []).suite.digest
    return edited(platform, "rides", LimitEdit([LimitChange(0, "mostly", percent)], seen))


def test_a_process_of_its_own_says_what_flips_who_learns_and_what_is_judged_again(
    rides: Installation,
) -> None:
    drop_some(rides, "b2", "b3", "b5")
    found = suite_preview.preview_apart(rides, nulls(rides, 5), user="sam")
    assert found.sentence == (
        "Would have refused 1 of the last 3 batches: rides b5. The rules in force refuse 2 of them."
    )
    assert found.lines == (
        "rides b3: refused → published; rows set aside 5 → 0 of 200. temp has 5 of 200 nulls "
        "(2.5%), allowed at most 2%; the edited suite allows at most 5%.",
        "ride_late of ada would learn from b3 too.",
        "Once it is accepted, the next run judges the 3 files that lie in landing/rides/ again by "
        "it, and then every new one; what is published stays published.",
    )
    assert found == suite_preview.preview(rides, nulls(rides, 5), user="sam")


def test_what_would_be_stopped_and_what_cannot_be_judged(rides: Installation) -> None:
    drop_some(rides, "b2", "b5")
    for name in ("b2", "b5"):
        rides.store.delete(f"landing/rides/{name}.parquet")
    (refused,) = rides.store.list("refused/")
    rides.store.delete(refused)
    found = suite_preview.preview(rides, nulls(rides, 1), user="sam")
    assert found.sentence == (
        "Would have refused 1 of the last 1 batches: rides b2. The rules in force refuse 0 of them."
    )
    assert found.lines[1:] == (
        "Stops ride_late of ada: it would not have got b2.",
        "Once it is accepted, the next file in landing/rides/ is judged by it.",
        "The landed file is gone; judged from its snapshot and its quarantined rows: rides b2.",
        "rides b5 could not be judged: its file is gone and it was never published.",
    )
    with rides.database.begin() as connection:
        readers = connection.execute(text("SELECT purpose, reader FROM snapshot_read")).all()
    assert [tuple(one) for one in readers] == [("preview", "sam")]


def test_a_refused_file_is_judged_again_although_it_was_repaired(rides: Installation) -> None:
    drop_some(rides, "b2", "b5")
    drop(rides, "b5", 1, "xy")
    ingest_all(rides)
    found = suite_preview.preview(rides, nulls(rides, 6), user="sam")
    assert found.sentence == (
        "Would have refused 0 of the last 3 files. The rules in force refuse 1 of them."
    )
    assert found.lines[0].startswith(
        "rides b5 (refused file, replaced later): refused → published; rows set aside 11 → 0"
    )
    assert found.lines[1] == "ride_late of ada learns from the same batches as now."


def test_nothing_to_judge_and_nothing_that_differs(rides: Installation) -> None:
    assert (
        suite_preview.preview(rides, nulls(rides, 5), user="sam").sentence
        == "No batch could be judged."
    )
    drop_some(rides, "b1")
    found = suite_preview.preview(rides, nulls(rides, 5), user="sam")
    assert found.lines[:2] == (
        "No batch of them would have been judged otherwise.",
        "ride_late of ada learns from the same batches as now.",
    )


def test_a_process_that_breaks_is_reported(rides: Installation) -> None:
    order = nulls(rides, 5)
    nowhere = replace(rides.settings, database_url="postgresql+psycopg://x@127.0.0.1:9/x")
    with pytest.raises(ServiceUnreachable, match=r"The preview ended with 1: .*127\.0\.0\.1"):
        suite_preview.preview_apart(Installation(nowhere), order, user="sam")


def test_one_preview_at_a_time(rides: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    order = nulls(rides, 5)

    def while_it_runs(_order: bytes) -> bytes:
        with pytest.raises(StateConflict, match="Another preview is being judged here"):
            suite_preview.preview_apart(rides, order, user="sam")
        return b'{"sentence": "done", "lines": []}'

    monkeypatch.setattr(suite_preview, "_ended", while_it_runs)
    assert suite_preview.preview_apart(rides, order, user="sam").sentence == "done"
    assert suite_preview.preview_apart(rides, order, user="sam").sentence == "done"


def test_a_tighter_rule_for_the_files_that_still_lie_there(rides: Installation) -> None:
    """What the preview says of them is what the next run finds."""
    drop_some(rides, "b2")
    (rides.settings.suites / "rides.json").write_text(rules(mostly=0.99))
    ingest_all(rides)
    found = suite_preview.preview(rides, nulls(rides, 2), user="sam")
    assert found.lines[0].startswith("rides b2: refused → published")
