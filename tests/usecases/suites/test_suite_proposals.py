"""A steward proposes, a second person accepts, and the next ingestion judges by it: for real."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rides import commit, drop_some, git, ingest_all, installed, rules
from sqlalchemy import insert, text

from tenure.adapters.sql import tables as t
from tenure.adapters.sql.suite_proposals import SuiteProposal
from tenure.config.suite_limits import LimitChange
from tenure.errors import ConfigInvalid, NotPermitted, StateConflict, TextRefused
from tenure.installation import Installation
from tenure.installation.suite_in_force import suite_in_force
from tenure.settings import Settings
from tenure.usecases.suites import suite_proposals, suites
from tenure.usecases.suites.suite_proposals import LimitEdit, answer, propose
from tenure.views.datasets import dataset_page
from tenure.views.suite_history import history
from tenure.vocabulary import digest_bytes

pytestmark = pytest.mark.service

WHY = "The station was repaired in March."


@pytest.fixture
def rides(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    platform = installed(settings, tmp_path / "include")
    yield platform
    platform.database.dispose()


def in_force(platform: Installation) -> Any:
    return suite_in_force(platform, "rides", [])


def nulls(platform: Installation, percent: float) -> LimitEdit:
    """Another share of rows that may lack `temp`."""
    return LimitEdit([LimitChange(0, "mostly", percent)], in_force(platform).suite.digest)


def proposal(platform: Installation, percent: float = 5, user: str = "sam") -> SuiteProposal:
    return propose(platform, "rides", nulls(platform, percent), user=user, reason=WHY)


def verdicts(platform: Installation) -> dict[str, str]:
    with platform.database.begin() as connection:
        query = "SELECT DISTINCT ON (batch) batch, verdict FROM validation ORDER BY batch, id DESC"
        return {row.batch: row.verdict for row in connection.execute(text(query))}


def mostly(platform: Installation) -> float:
    return float(in_force(platform).suite.expectations[0].mostly)


def test_the_next_ingestion_judges_by_what_a_second_person_accepted(rides: Installation) -> None:
    drop_some(rides, "b2", "b4", "b5")
    assert verdicts(rides) == {"b2": "passed", "b4": "failed", "b5": "failed"}

    made = proposal(rides)
    ingest_all(rides)  # nobody answered: nothing changes
    assert verdicts(rides)["b4"] == "failed"
    assert (made.changes, made.is_open) == (
        ("loosened: temp, nulls: at most 2% → at most 5%",),
        True,
    )

    done = answer(rides, made.id, of="rides", accept=True, user="grace", reason="Agreed.")
    ingest_all(rides)

    assert verdicts(rides) == {"b2": "passed", "b4": "passed", "b5": "failed"}
    assert (done.answer, done.answered_by, done.answer_reason) == ("accept", "grace", "Agreed.")
    found = in_force(rides)
    assert (found.suite.digest, found.proposal.id) == (made.digest, made.id)
    page = dataset_page(rides, "rides")
    assert page is not None
    assert ("temp may be missing in at most 5% of the rows", "critical") in page.rules
    with rides.database.begin() as connection:
        query = "SELECT subject, actor, body FROM ledger_event WHERE subject LIKE 'suite:%'"
        events = [tuple(row) for row in connection.execute(text(f"{query} ORDER BY seq"))]
    shared = {"proposal": made.id, "digest": made.digest, "changes": list(made.changes)}
    assert events == [
        (
            "suite:rides",
            "sam",
            shared | {"before": digest_bytes(rules().encode()), "reason": WHY},
        ),
        (
            "suite:rides",
            "grace",
            shared | {"answer": "accept", "proposed_by": "sam", "reason": "Agreed."},
        ),
    ]


class TestTheFileEditedAfterwards:
    def test_it_has_the_last_word(self, rides: Installation) -> None:
        answer(rides, proposal(rides).id, of="rides", accept=True, user="grace", reason="Agreed.")
        path = rides.settings.suites / "rides.json"

        path.write_text(rules(mostly=0.9))
        assert (mostly(rides), in_force(rides).proposal) == (0.9, None)

        path.write_text(rules())  # as it was when the proposal was accepted
        assert mostly(rides) == 0.95

    def test_a_file_that_becomes_the_accepted_text_changes_nothing(
        self, rides: Installation
    ) -> None:
        made = proposal(rides)
        answer(rides, made.id, of="rides", accept=True, user="grace", reason="Agreed.")
        (rides.settings.suites / "rides.json").write_text(made.body)
        found = in_force(rides)
        assert (found.suite.digest, found.proposal) == (made.digest, None)

    def test_a_broken_file_is_not_covered_up(self, rides: Installation) -> None:
        answer(rides, proposal(rides).id, of="rides", accept=True, user="grace", reason="Agreed.")
        (rides.settings.suites / "rides.json").write_text("{")
        with pytest.raises(ConfigInvalid, match=r"rides\.json:1: is not JSON"):
            in_force(rides)

    def test_a_contract_that_the_accepted_text_does_not_fit_is_reported(
        self, rides: Installation
    ) -> None:
        made = proposal(rides)
        answer(rides, made.id, of="rides", accept=True, user="grace", reason="Agreed.")
        config = rides.settings.configs / "datasets/rides.yaml"
        config.write_text(config.read_text().replace("temp: {", "warmth: {"))
        with pytest.raises(ConfigInvalid, match=rf"\(accepted proposal {made.id}\):\d+: column"):
            ingest_all(rides)


def test_one_acceptance_after_the_other_and_back_again(rides: Installation) -> None:
    for percent, share in ((5, 0.95), (10, 0.9), (2, 0.98)):
        made = proposal(rides, percent)
        answer(rides, made.id, of="rides", accept=True, user="heidi", reason="Agreed.")
        assert mostly(rides) == share
    assert in_force(rides).suite.digest == digest_bytes(rules().encode())
    assert in_force(rides).proposal.id == made.id


def test_of_two_proposals_from_the_same_suite_one_is_accepted(rides: Installation) -> None:
    first, second = proposal(rides, 5), proposal(rides, 10)
    answer(rides, first.id, of="rides", accept=True, user="grace", reason="Agreed.")
    for judge in (
        lambda: answer(rides, second.id, of="rides", accept=True, user="grace", reason="Agreed."),
        lambda: suite_proposals.proposed(rides, second.id, of="rides"),
    ):
        with pytest.raises(
            StateConflict, match=f"Proposal {second.id} was made from another suite"
        ):
            judge()
    assert mostly(rides) == 0.95
    declined = answer(rides, second.id, of="rides", accept=False, user="sam", reason="Too much.")
    assert declined.answer == "decline"
    assert mostly(rides) == 0.95


class TestWho:
    def test_nobody_but_a_steward_proposes(self, rides: Installation) -> None:
        with pytest.raises(NotPermitted, match="olga may not propose"):
            proposal(rides, user="olga")

    @pytest.mark.parametrize("user", ["sam", "SAM"])
    def test_who_proposes_does_not_accept_but_takes_back(
        self, rides: Installation, user: str
    ) -> None:
        made = proposal(rides)
        with pytest.raises(NotPermitted, match="a second person accepts it"):
            answer(rides, made.id, of="rides", accept=True, user=user, reason="Agreed.")
        assert mostly(rides) == 0.98
        assert (
            answer(rides, made.id, of="rides", accept=False, user=user, reason="No.").answer
            == "decline"
        )

    def test_who_is_neither_steward_nor_approver_answers_nothing(self, rides: Installation) -> None:
        made = proposal(rides)
        with pytest.raises(NotPermitted, match="olga may not answer proposals"):
            answer(rides, made.id, of="rides", accept=True, user="olga", reason="Agreed.")

    def test_the_database_refuses_it_as_well(self, rides: Installation) -> None:
        made = proposal(rides)
        row = {"proposal_id": made.id, "answer": "accept", "answered_by": "Sam", "reason": "x"}
        with (
            pytest.raises(StateConflict, match="Sam proposed change"),
            rides.database.begin() as connection,
        ):
            connection.execute(insert(t.suite_answer).values(row))

    def test_an_answer_is_given_once(self, rides: Installation) -> None:
        made = proposal(rides)
        answer(rides, made.id, of="rides", accept=False, user="grace", reason="No.")
        with pytest.raises(
            StateConflict, match=f"Proposal {made.id} was declined by grace already"
        ):
            answer(rides, made.id, of="rides", accept=True, user="heidi", reason="Agreed.")
        with pytest.raises(StateConflict, match="There is no proposal 4711 for the suite rides"):
            answer(rides, 4711, of="rides", accept=True, user="heidi", reason="Agreed.")


class TestWhatIsNoProposal:
    def test_a_page_that_is_out_of_date(self, rides: Installation) -> None:
        edit = nulls(rides, 5)
        (rides.settings.suites / "rides.json").write_text(rules(mostly=0.9))
        with pytest.raises(StateConflict, match="was changed since you opened the page"):
            propose(rides, "rides", edit, user="sam", reason=WHY)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (LimitChange(0, "mostly", 2), "no limit differs from the one in force"),
            (LimitChange(0, "mostly", 100), "mostly must be above 0 and at most 1"),
            (LimitChange(0, "mostly", -1), "mostly must be above 0 and at most 1"),
            (LimitChange(0, "min_value", 1), "rule 0 has no number 'min_value'"),
        ],
    )
    def test_a_limit_that_cannot_be(
        self, rides: Installation, change: LimitChange, why: str
    ) -> None:
        edit = LimitEdit([change], in_force(rides).suite.digest)
        with pytest.raises(TextRefused, match=why):
            propose(rides, "rides", edit, user="sam", reason=WHY)

    def test_no_reason(self, rides: Installation) -> None:
        with pytest.raises(TextRefused, match="reason"):
            propose(rides, "rides", nulls(rides, 5), user="sam", reason=" ")


@pytest.mark.exhaustive
def test_a_preview_of_a_proposal_is_what_ingestion_then_says(rides: Installation) -> None:
    drop_some(rides, "b2", "b4", "b5")
    made = proposal(rides)
    edited = suite_proposals.proposed(rides, made.id, of="rides")
    seen = suites.preview(rides, edited, suites.last_batches(rides, "rides", 30), lambda: None)
    expected = {s.landed.batch: str(s.comparison.after.verdict) for s in seen if s.comparison}
    answer(rides, made.id, of="rides", accept=True, user="grace", reason="Agreed.")
    ingest_all(rides)
    assert verdicts(rides) == expected


def test_other_rules_stay_as_they_are(rides: Installation) -> None:
    before, after = json.loads(rules()), json.loads(proposal(rides).body)
    before["expectations"][0]["kwargs"]["mostly"] = 0.95
    assert after == before


class TestWhereTheConfigsAreACheckout:
    def test_the_accepted_text_is_a_commit_on_a_branch_of_its_own(
        self, rides: Installation
    ) -> None:
        commit(rides)
        before = git(rides, "status", "--short", "--branch"), git(rides, "rev-parse", "HEAD")
        made = proposal(rides)
        answer(rides, made.id, of="rides", accept=True, user="grace", reason="Agreed.")

        branch = f"tenure/rides-{made.id}"
        assert git(rides, "show", f"{branch}:expectations/rides.json") == made.body
        assert git(rides, "diff", "--name-only", f"HEAD..{branch}").split() == [
            "expectations/rides.json"
        ]
        assert git(rides, "log", "-1", "--format=%an%n%B", branch).strip().split("\n") == [
            "sam",
            f"Suite rides: {WHY}",
            "",
            "- loosened: temp, nulls: at most 2% → at most 5%",
            "",
            f"Proposal {made.id} of sam, accepted by grace: Agreed.",
        ]
        after = git(rides, "status", "--short", "--branch"), git(rides, "rev-parse", "HEAD")
        assert after == before

        git(rides, "merge", "--quiet", branch)  # the file says what is in force already
        assert (in_force(rides).suite.digest, in_force(rides).proposal) == (made.digest, None)

    def test_what_git_does_not_take_holds_all_the_same(
        self, rides: Installation, caplog: pytest.LogCaptureFixture
    ) -> None:
        commit(rides)
        git(rides, "rm", "--quiet", "--cached", "expectations/rides.json")
        git(rides, "commit", "--quiet", "--message=not ours")
        answer(rides, proposal(rides).id, of="rides", accept=True, user="grace", reason="Yes.")
        assert mostly(rides) == 0.95
        assert "git=rides.json is not in HEAD" in caplog.text


def test_the_history_names_who_proposed_and_who_accepted(rides: Installation) -> None:
    drop_some(rides, "b2")
    answer(rides, proposal(rides).id, of="rides", accept=True, user="grace", reason="Agreed.")
    ingest_all(rides)
    found = [(one.author, one.why) for one in history(rides, "rides", 10)]
    assert found == [("sam, accepted by grace", WHY), ("-", "judged first")]
    commit(rides, "Rules of the rides")
    accepted = history(rides, "rides", 10)[1].at
    assert isinstance(accepted, datetime)
    second = accepted.replace(microsecond=0).isoformat()  # git knows no more of the moment
    git(rides, "commit", "--quiet", "--amend", "--no-edit", f"--date={second}")
    found = [(one.author, one.why) for one in history(rides, "rides", 10)]
    assert found == [("sam", "Rules of the rides"), ("sam, accepted by grace", WHY)]
