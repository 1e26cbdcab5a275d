"""The card of any error: kind, words, and where it is found again."""

import pytest

from tenure import errors
from tenure.adapters.sql import incident_members, incident_timeline, incidents
from tenure.config.problems import BrokenFile
from tenure.errors import CanaryRolledBack, GateFailed, GateInconclusive, TenureError
from tenure.installation import Installation
from tenure.lifecycle.incidents import failure_card
from tenure.lifecycle.incidents.failure_card import FailureCard, describe
from tenure.usecases.incidents import failure_cards
from tenure.verdicts import Check, Report, Verdict
from tenure.views.tasks import evidence_links
from tenure.vocabulary import RunRef

RUN = RunRef("flight_late__train_model", "manual__1", "evaluate")
KINDS = sorted(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, TenureError) and kind is not TenureError
)


def gate_failed() -> GateFailed:
    return GateFailed(
        "AUC 0.58, at least 0.60.", still_safe="The champion.", next_step="Look.", evidence="d" * 64
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_a_headline(kind: str) -> None:
    error = getattr(errors, kind)("what", still_safe="safe", next_step="next")
    assert describe(error).title not in {failure_card.BUG, ""}


def test_headlines_of_kinds_that_do_not_exist_are_none() -> None:
    assert set(failure_card.TITLES) == {*KINDS, "Killed"}


def test_a_subclass_counts_as_the_kind_that_the_document_has() -> None:
    assert describe(BrokenFile([])).kind == "ConfigInvalid"


def test_the_lines_are_cause_safe_next_evidence() -> None:
    assert describe(gate_failed()).lines() == [
        "GateFailed: AUC 0.58, at least 0.60.",
        "Still safe: The champion.",
        "Next step: Look.",
        f"Evidence: {'d' * 64}",
    ]


def test_a_bug_says_that_it_is_one() -> None:
    card = describe(KeyError("absent"), owner="ada", try_number=2, tries=3)
    assert card.title == "Bug or unexpected error"
    assert card.what == "Bug or unexpected error: KeyError: 'absent'"
    assert "Clear the task once" in card.next_step
    assert (card.owner, card.try_number, card.tries) == ("ada", 2, 3)


@pytest.mark.parametrize(
    ("length", "shortened"), [(599, False), (600, False), (601, True)], ids=["below", "at", "above"]
)
def test_a_bug_of_many_words_is_shortened(length: int, *, shortened: bool) -> None:
    text = ("x" * 9 + " ") * 70
    what = describe(ValueError(text[: length - 1].strip().ljust(length, "y"))).what
    assert what.endswith("…") is shortened


def test_an_ended_task_is_not_called_a_bug() -> None:
    class AirflowTaskTimeout(BaseException):
        pass

    card = describe(AirflowTaskTimeout("after 60 s"))
    assert card.kind == "Killed"
    assert card.what == "The task ran out of its time and was stopped. (after 60 s)"


def test_a_rollback_begins_with_what_is_safe() -> None:
    error = CanaryRolledBack(
        "Safe: champion serves 100%; nothing is urgent. m@2 did harm.",
        still_safe="m@1 serves 100%.",
        next_step="In working hours, look at the report.",
    )
    card = describe(error)
    assert card.calm == "Safe: champion serves 100%; nothing is urgent."
    assert card.cause == "m@2 did harm."
    assert describe(gate_failed()).calm == ""
    assert describe(gate_failed()).cause == "AUC 0.58, at least 0.60."


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (gate_failed(), Verdict.FAILED),
        (GateInconclusive("12 rows", still_safe="s", next_step="n"), Verdict.INCONCLUSIVE),
        (ZeroDivisionError(), Verdict.FAILED),
    ],
    ids=["failed", "inconclusive", "bug"],
)
def test_the_card_is_a_report_row(error: Exception, verdict: Verdict) -> None:
    card = describe(error, model="flight_late")
    report = card.report(RUN)
    assert (report.stage, report.verdict) == ("failure", verdict)
    assert FailureCard.from_facts(report.facts | {"of_a_newer_release": 1}) == card


def test_a_card_is_stored_once_and_needs_no_object_store(platform: Installation) -> None:
    from tenure.adapters.sql import reports

    card = describe(gate_failed(), model="flight_late")
    assert failure_cards.save(platform, card, RUN) == failure_cards.save(platform, card, RUN)
    with platform.database.begin() as connection:
        rows = reports.of_run(connection, RUN.dag_id, RUN.run_id)
    assert [FailureCard.from_facts(row.report.facts) for row in rows] == [card]
    assert list(platform.store.list("reports/")) == []


def test_links_lead_to_the_newest_verdict_and_to_mlflow(platform: Installation) -> None:
    assert evidence_links(platform, RUN) == ("", "")
    failure_cards.save(platform, describe(gate_failed()), RUN)
    assert evidence_links(platform, RUN) == ("", "")
    report = Report(
        "evaluation",
        "flight_late@1",
        Verdict.PASSED,
        "fine",
        (Check("roc_auc", Verdict.PASSED, "0.7", "at least 0.6"),),
        {"mlflow_run_id": "abc"},
        enforced=True,
    )
    digest = platform.reports.save(report, model="flight_late", dataset=None, run=RUN)
    url, mlflow = evidence_links(platform, RUN)
    assert url == f"{platform.settings.airflow_url}/tenure/report/{digest}"
    assert mlflow == f"{platform.settings.mlflow_url}/#/runs/abc"
    other = RunRef(RUN.dag_id, RUN.run_id, "register")
    assert evidence_links(platform, other) == ("", mlflow)


@pytest.mark.service
def test_only_a_mapped_task_has_its_index_in_the_timeline(platform: Installation) -> None:
    runs = [RUN, RunRef("flight_late__train_model", "manual__2", "evaluate", 0)]
    for run in runs:
        failure_cards.save(platform, describe(gate_failed(), model="flight_late"), run)
    with platform.database.begin() as connection:
        (one,) = incidents.unclosed(connection)
        events = incident_timeline.of_incident(connection, one.id)
        members = incident_members.of_incident(connection, one.id)
        assert [incident_members.of_run(connection, run) is None for run in runs] == [False, False]
    names = [
        "flight_late__train_model manual__1 evaluate",
        "flight_late__train_model manual__2 evaluate[0]",
    ]
    assert [event.note for event in events if event.kind == "joined"] == names
    assert [member.name for member in members] == names
