"""Which card a task shows, from its rows and from what Airflow knows."""

from datetime import UTC, datetime

import pytest

from tenure.adapters.sql.reports import ReportRow
from tenure.errors import GateFailed
from tenure.lifecycle.incidents.failure_card import describe, killed_card
from tenure.verdicts import Report, Verdict
from tenure.views.tasks import TaskStatus, decide
from tenure.vocabulary import RunRef

RUN = RunRef("flight_late__train_model", "manual__1", "evaluate", 3)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def row(report: Report, number: int = 1) -> ReportRow:
    return ReportRow(
        digest=f"{report.stage}-{number}",
        stage=report.stage,
        subject=report.subject,
        verdict=report.verdict,
        summary=report.summary,
        report=report,
        model="flight_late",
        dataset=None,
        dag_id=RUN.dag_id,
        run_id=RUN.run_id,
        task_id=RUN.task_id,
        map_index=RUN.map_index,
        created_at=NOW,
    )


def failure(try_number: int) -> ReportRow:
    error = GateFailed(f"try {try_number}", still_safe="s", next_step="n")
    return row(describe(error, try_number=try_number, tries=3).report(RUN), try_number)


VERDICT = row(Report("evaluation", "flight_late@1", Verdict.PASSED, "fine", enforced=True))


@pytest.mark.parametrize(
    ("rows", "seen", "mood"),
    [
        ([failure(1)], TaskStatus("failed", 1), "failed"),
        ([failure(2), failure(1)], TaskStatus("up_for_retry", 2), "retrying"),
        ([failure(1)], TaskStatus("failed", 2), "killed"),
        ([], TaskStatus("failed", 1), "killed"),
        ([VERDICT], TaskStatus("failed", 1), "killed"),
        ([VERDICT, failure(1)], TaskStatus("success", 2), "verdict"),
        ([failure(1)], TaskStatus("success", 2), "nothing"),
        ([], TaskStatus("success", 1), "nothing"),
        ([failure(1)], TaskStatus("running", 2), "running"),
        ([], TaskStatus(None, 0), "running"),
        ([], TaskStatus("upstream_failed"), "upstream"),
        ([], TaskStatus("awaiting_input"), "waiting"),
        ([], TaskStatus("skipped"), "skipped"),
        ([], TaskStatus("failed", 1, is_ours=False), "nothing"),
        ([failure(1)], None, "failed"),
        ([VERDICT], None, "verdict"),
        ([], None, "nothing"),
    ],
)
def test_the_mood_of_a_task(rows: list[ReportRow], seen: TaskStatus | None, mood: str) -> None:
    assert decide(rows, RUN, seen).mood == mood


def test_a_failed_task_shows_its_newest_card_and_keeps_the_earlier_ones() -> None:
    page = decide([failure(2), VERDICT, failure(1)], RUN, TaskStatus("failed", 2, max_tries=2))
    assert page.card is not None
    assert (page.card.what, page.card_digest) == ("try 2", "failure-2")
    assert [one.digest for one in page.earlier] == ["failure-1"]
    assert [one.digest for one in page.reports] == ["evaluation-1"]


def test_a_killed_task_gets_a_card_that_says_so_beside_the_cards_of_earlier_tries() -> None:
    page = decide([failure(1)], RUN, TaskStatus("failed", 2, max_tries=2))
    assert page.card == killed_card(RUN, try_number=2, tries=3)
    assert page.card is not None
    assert page.card.title == "Killed before it could say anything"
    assert page.card.what.startswith("Try 2 of 3 of evaluate[3] ended without a word")
    assert page.card_digest is None
    assert [one.digest for one in page.earlier] == ["failure-1"]


def test_a_green_task_hides_the_card_of_the_try_before() -> None:
    page = decide([VERDICT, failure(1)], RUN, TaskStatus("success", 2))
    assert page.card is None
    assert [one.digest for one in page.earlier] == ["failure-1"]


@pytest.mark.parametrize(
    ("dag_id", "model", "dataset"),
    [
        ("flight_late__train_model", "flight_late", None),
        ("flights__ingest_data", None, "flights"),
        ("maintain_platform", None, None),
    ],
)
def test_the_subject_is_known_without_any_row(
    dag_id: str, model: str | None, dataset: str | None
) -> None:
    page = decide([], RunRef(dag_id, "r", "t"), None)
    assert (page.model, page.dataset) == (model, dataset)


def test_of_several_verdicts_the_worst_is_the_card() -> None:
    """Monitoring judges four kinds in one task; what was judged again counts as it is now."""

    def judged(kind: str, verdict: Verdict, number: int) -> ReportRow:
        facts = {"kind": kind}
        said = f"{kind} {verdict} {number}"
        report = Report("monitoring", "m@1", verdict, said, facts=facts, enforced=False)
        return row(report, number)

    rows = [
        judged("fairness", Verdict.PASSED, 5),
        judged("performance", Verdict.INCONCLUSIVE, 4),
        judged("quality", Verdict.FAILED, 3),
        judged("drift", Verdict.PASSED, 2),
        judged("drift", Verdict.FAILED, 1),
    ]
    page = decide(rows, RUN, TaskStatus("success", 1))
    assert [one.summary for one in page.reports] == [
        "quality failed 3",
        "performance inconclusive 4",
        "fairness passed 5",
        "drift passed 2",
        "drift failed 1",
    ]
