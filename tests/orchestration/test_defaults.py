"""Cron with seconds, docs, tags: what DAG files take for granted."""

from datetime import UTC, datetime

import pytest

pytestmark = pytest.mark.airflow


@pytest.mark.parametrize(
    ("cron", "after", "then"),
    [
        ("* * * * * */20", datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC), "2026-01-01T00:00:20"),
        ("0 6 * * *", datetime(2026, 1, 1, 7, tzinfo=UTC), "2026-01-02T06:00:00"),
    ],
)
def test_five_and_six_fields_are_scheduled(cron: str, after: datetime, then: str) -> None:
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction

    from tenure.orchestration.defaults import START, schedule

    timetable = coerce_to_core_timetable(schedule(cron))
    timetable.validate()
    following = timetable.next_dagrun_info(
        last_automated_data_interval=DataInterval.exact(pendulum.instance(after)),
        restriction=TimeRestriction(earliest=START, latest=None, catchup=True),
    )
    assert following.run_after.isoformat().startswith(then)


@pytest.mark.parametrize(
    ("doc", "tail"),
    [
        ("What it does.", "one heading for each kind of error."),
        ("Does.\n\n**If this fails**\n\nAsk.", "Does.\n\n**If this fails**\n\nAsk."),
    ],
)
def test_docs_end_with_one_section_about_failing(doc: str, tail: str) -> None:
    from tenure.orchestration.defaults import doc_md

    text = doc_md(doc)
    assert text.endswith(tail)
    assert text.count("**If this fails**") == 1
