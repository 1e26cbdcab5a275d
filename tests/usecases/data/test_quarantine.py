"""Quarantined rows: taken along, discarded, released by two people; and the sums close."""

import csv
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rides import YAML, drop, drop_some, ingest_all, installed, rules
from sqlalchemy import insert, text

from tenure.adapters.sql import tables as t
from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.audit.ledger import find_breaches
from tenure.usecases.data import quarantine
from tenure.usecases.data.quarantine import Act, QuarantineAsk, answer, decide, plan, rows_as_csv
from tenure.views.quarantine import BatchInQuarantine, Quarantine, quarantine_of

pytestmark = pytest.mark.service


@pytest.fixture
def rides(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    platform = installed(settings, tmp_path / "include")
    yield platform
    platform.database.dispose()


def seen(platform: Installation) -> Quarantine:
    with platform.database.begin() as connection:
        return quarantine_of(connection, "rides")


def of_batch(platform: Installation, name: str) -> BatchInQuarantine:
    (found,) = [one for one in seen(platform).batches if one.row.batch == name]
    assert found.row.rows_in == (
        found.published + found.released + found.waiting + found.discarded + found.held
    )
    return found


def ask(platform: Installation, batch: str, rule: str = "city", user: str = "sam") -> QuarantineAsk:
    found = of_batch(platform, batch)
    (cause,) = [one.reason.id for one in found.causes if rule in str(one.reason)]
    return QuarantineAsk("rides", found.row.id, cause, user)


def ids(platform: Installation) -> list[str]:
    """Of the snapshot in force of b7."""
    from tenure.adapters.sql import data

    with platform.database.begin() as connection:
        (row,) = [r for r in data.in_force(connection, "rides") if r.batch == "b7"]
    path = platform.store.fetch(f"snapshots/rides/{row.digest}/data.parquet", row.digest)
    found = pq.read_table(path).column("id").to_pylist()
    assert row.rows == len(found)
    return [str(one) for one in found]


def events(platform: Installation) -> list[tuple[str, str]]:
    query = """
        SELECT actor, concat_ws(' ', body->>'act', body->>'answer') FROM ledger_event
        WHERE body ? 'decision' ORDER BY seq
    """
    with platform.database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def breaches(platform: Installation) -> list[object]:
    return [one for one in find_breaches(platform) if one.breaches]


def test_two_people_release_the_rows_of_a_cause(rides: Installation) -> None:
    drop_some(rides, "b7")
    before = of_batch(rides, "b7")
    assert (before.published, before.waiting) == (190, 10)
    planned = plan(rides, ask(rides, "b7"), "release")
    assert planned.sentence == (
        "Would publish 10 of the 10 rows: the snapshot of rides b7 would hold 200 of 200 rows, "
        "now 190. Models get them at their next training; versions that learned from the snapshot "
        "of now stay as they are."
    )
    number = decide(rides, ask(rides, "b7"), "release", reason="z is a new district.")
    assert of_batch(rides, "b7").waiting == 10, "nothing changes before a second person agrees"
    with pytest.raises(StateConflict, match=f"Proposal {number} asks for this already"):
        decide(rides, ask(rides, "b7"), "release", reason="Again.")
    for user in ("sam", "SAM"):
        with pytest.raises(NotPermitted, match=r"a second person accepts it|may not answer"):
            answer(rides, number, of="rides", accept=True, user=user, reason="Yes.")
    done = answer(rides, number, of="rides", accept=True, user="grace", reason="Agreed.")
    assert done.answer == "accept"
    with pytest.raises(StateConflict, match="was accepted by grace already"):
        answer(rides, number, of="rides", accept=True, user="grace", reason="Agreed.")
    after = of_batch(rides, "b7")
    assert (after.published, after.released, after.waiting, after.causes) == (190, 10, 0, [])
    assert ids(rides) == [f"b7-{i}" for i in range(200)], "each in its old place"
    assert events(rides) == [("sam", "release"), ("grace", "accept")]
    ingest_all(rides)
    assert len(ids(rides)) == 200, "the file that still lies there is not judged again"
    assert breaches(rides) == []


@pytest.mark.parametrize(("act", "who"), [("release", "SAM"), ("discard", "grace")])
def test_the_database_refuses_an_answer_of_one_person_or_to_no_proposal(
    rides: Installation, act: Act, who: str
) -> None:
    drop_some(rides, "b7")
    number = decide(rides, ask(rides, "b7"), act, reason="Known.")
    row = {"decision_id": number, "answer": "accept", "answered_by": who, "reason": "Yes."}
    row["validation_id"] = of_batch(rides, "b7").row.id
    with (
        pytest.raises(Exception, match=f"{who} cannot accept decision {number}"),
        rides.database.begin() as connection,
    ):
        connection.execute(insert(t.quarantine_answer).values(row))


def test_a_row_with_another_reason_stays_for_that_one(rides: Installation) -> None:
    key = drop(rides, "b7", 0, "xz")
    path = rides.settings.home / "store" / key
    table = pq.read_table(path)
    temps = [5000.0 if i in {0, 19} else float(i) for i in range(200)]
    pq.write_table(table.set_column(2, "temp", [temps]), path)
    ingest_all(rides)
    assert of_batch(rides, "b7").waiting == 11
    planned = plan(rides, ask(rides, "b7"), "release")
    assert planned.rows == 9
    assert "1 stay in quarantine, for other reasons" in planned.sentence
    number = decide(rides, ask(rides, "b7"), "release", reason="Known.")
    answer(rides, number, of="rides", accept=True, user="grace", reason="Yes.")
    after = of_batch(rides, "b7")
    assert (after.released, after.waiting, [c.rows for c in after.causes]) == (9, 2, [2])
    assert decide(rides, ask(rides, "b7", "temp"), "discard", reason="A broken sensor.")
    after = of_batch(rides, "b7")
    assert (after.released, after.waiting, after.discarded) == (9, 0, 2)
    assert plan(rides, ask(rides, "b7", "temp"), "release").sentence == "These rows are discarded."
    assert plan(rides, ask(rides, "b7", "temp"), "discard").rows == 0
    assert "b7-0" not in ids(rides)
    assert breaches(rides) == []


@pytest.mark.parametrize("place", ["quarantine.stored", "quarantine.answering"])
def test_killed_while_it_is_released(rides: Installation, place: str) -> None:
    drop_some(rides, "b7")
    number = decide(rides, ask(rides, "b7"), "release", reason="Known.")
    rides.database.dispose()
    if (child := os.fork()) == 0:
        os.environ |= {"TENURE_ENV": "test", "TENURE_FAIL": f"{place}:kill"}
        answer(rides, number, of="rides", accept=True, user="grace", reason="Yes.")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert len(ids(rides)) == 190
    answer(rides, number, of="rides", accept=True, user="grace", reason="Yes.")
    assert len(ids(rides)) == 200
    assert events(rides) == [("sam", "release"), ("grace", "accept")]
    assert breaches(rides) == []


def test_what_is_not_released(rides: Installation) -> None:
    drop_some(rides, "b6", "b7")
    assert "was refused as a whole" in plan(rides, ask(rides, "b6"), "release").sentence
    old = ask(rides, "b7")
    number = decide(rides, old, "release", reason="Known.")
    drop(rides, "b7", 1, "xz")
    ingest_all(rides)
    with pytest.raises(StateConflict, match="was judged again"):
        plan(rides, old, "discard")
    with pytest.raises(StateConflict, match="was judged again"):
        answer(rides, number, of="rides", accept=True, user="grace", reason="Yes.")
    answer(rides, number, of="rides", accept=False, user="sam", reason="Repaired.")
    with pytest.raises(StateConflict, match="was declined by sam already"):
        answer(rides, number, of="rides", accept=True, user="grace", reason="Yes.")
    with pytest.raises(NotPermitted, match="needs the role steward"):
        decide(rides, ask(rides, "b7", user="olga"), "discard", reason="Mine.")
    with pytest.raises(StateConflict, match="no rows that were set aside for this cause"):
        plan(rides, QuarantineAsk("rides", 1, "f" * 16, "sam"), "release")
    assert breaches(rides) == []


def test_what_the_contract_set_aside_is_not_released(rides: Installation) -> None:
    key = drop(rides, "b1", 0, "xy")
    path = rides.settings.home / "store" / key
    table = pq.read_table(path)
    twice = ["b1-0" if i == 1 else f"b1-{i}" for i in range(200)]
    pq.write_table(table.set_column(0, "id", [twice]), path)
    ingest_all(rides)
    planned = plan(rides, ask(rides, "b1", "key"), "release")
    assert (planned.rows, "The contract set these rows aside" in planned.sentence) == (0, True)


def test_rows_are_taken_along_by_who_may_and_the_read_is_recorded(rides: Installation) -> None:
    key = drop(rides, "b7", 0, "xz")
    path = rides.settings.home / "store" / key
    table = pq.read_table(path)
    cities = ['=HYPERLINK("x")' if i == 19 else "x" for i in range(200)]
    pq.write_table(table.set_column(3, "city", [cities]), path)
    ingest_all(rides)
    name, body = rows_as_csv(rides, ask(rides, "b7"))
    assert name.startswith("rides-b7-quarantine-")
    header, row = csv.reader(body.splitlines())
    assert header == ["row", "id", "at", "temp", "city", "late", "reasons"]
    assert (row[0], row[1], row[3], row[4]) == ("20", "b7-19", "19.0", '\'=HYPERLINK("x")')
    rows_as_csv(rides, ask(rides, "b7", user="ada"))  # owns the dataset
    with pytest.raises(NotPermitted, match="olga may not take quarantined rows"):
        rows_as_csv(rides, ask(rides, "b7", user="olga"))
    with rides.database.begin() as connection:
        query = "SELECT reader, purpose, quarantine_key IS NOT NULL FROM snapshot_read ORDER BY id"
        found = [tuple(one) for one in connection.execute(text(query))]
    assert found == [("sam", "download", True), ("ada", "download", True)]


@pytest.mark.parametrize("act", ["release", "discard"])
def test_personal_columns_are_masked_and_stay_pseudonyms(rides: Installation, act: Act) -> None:
    config = rides.settings.configs / "datasets/rides.yaml"
    config.write_text(
        YAML.replace("id: {type: string,", "id: {type: string, sensitivity: personal,")
    )
    drop_some(rides, "b7")
    assert "b7-19" not in rows_as_csv(rides, ask(rides, "b7"))[1]
    assert quarantine.MASK in rows_as_csv(rides, ask(rides, "b7"))[1]
    number = decide(rides, ask(rides, "b7"), act, reason="Known.")
    if act == "release":
        answer(rides, number, of="rides", accept=True, user="grace", reason="Yes.")
        assert len({*ids(rides)}) == 200
        assert not [one for one in ids(rides) if len(one) != 32]
    config.write_text(YAML.replace("name: rides\n", "name: rides\nsensitivity: restricted\n"))
    with pytest.raises(NotPermitted, match="rides is restricted: no row of it leaves by a page"):
        rows_as_csv(rides, QuarantineAsk("rides", 1, of_cause(rides), "sam"))


def of_cause(platform: Installation) -> str:
    with platform.database.begin() as connection:
        query = "SELECT cause_id FROM quarantine_decision"
        return str(connection.execute(text(query)).scalar_one())


def test_older_batches_are_counted(rides: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    drop_some(rides, "b1", "b6", "b7")
    assert [len(seen(rides).batches), seen(rides).more] == [2, 0]
    monkeypatch.setattr("tenure.views.quarantine.BATCHES", 1)
    assert ([one.row.batch for one in seen(rides).batches], seen(rides).more) == (["b7"], 1)


def test_other_rules_decide_anew(rides: Installation) -> None:
    drop_some(rides, "b7")
    decide(rides, ask(rides, "b7"), "discard", reason="A test.")
    assert of_batch(rides, "b7").discarded == 10
    (rides.settings.suites / "rides.json").write_text(rules(mostly=0.9))
    ingest_all(rides)
    assert (of_batch(rides, "b7").discarded, of_batch(rides, "b7").waiting) == (0, 10)
