"""The time machine on a real database: eight batches, two suites, exactly what flips."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rides import BATCHES, YAML, commit, drop, drop_some, git, ingest_all, installed, rules
from sqlalchemy import text
from typer.testing import CliRunner
from version_rows import facts as stated_facts

from tenure.cli import app
from tenure.errors import ConfigInvalid, DataRejected
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.suites import suggestions, suites

pytestmark = pytest.mark.service

runner = CliRunner()


@pytest.fixture
def rides(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    """An installation of this test alone, without batches."""
    platform = installed(settings, tmp_path / "include")
    yield platform
    platform.database.dispose()


@pytest.fixture(scope="module")
def eight(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Eight batches that the suite in force has judged; tests change only the suite's file."""
    home = tmp_path_factory.mktemp("rides")
    nowhere = "http://127.0.0.1:9"
    store = (home / "store").as_uri()
    settings = Settings(home, home, database_url, store, nowhere, nowhere, nowhere)
    platform = installed(settings, home / "include")
    for name, (nulls, cities) in BATCHES.items():
        drop(platform, name, nulls, cities)
    ingest_all(platform)
    yield platform
    platform.database.dispose()


def edit_suite(platform: Installation, body: str) -> None:
    (platform.settings.suites / "rides.json").write_text(body)


def seen(platform: Installation, against: str | None = None) -> dict[str, Any]:
    """Batch to (verdicts, change of quarantine, causes)."""
    edited = suites.edit(platform, "rides", against)
    batches = suites.last_batches(platform, "rides", 30)
    found = suites.preview(platform, edited, batches, lambda: None)
    return {
        s.landed.batch: (
            f"{s.comparison.before.verdict} {s.comparison.after.verdict}",
            s.comparison.quarantine_change,
            [str(cause) for cause in s.comparison.causes()],
        )
        if s.comparison
        else s.origin
        for s in found
    }


@pytest.mark.parametrize("is_gone", [False, True], ids=["landed", "from its snapshot"])
def test_a_rename_in_the_contract_is_no_change_of_the_suite(
    rides: Installation, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    """The suite in force speaks of `temp`; it is compared as if it had said `warmth`."""
    drop_some(rides, "b1", "b4")
    path = rides.settings.configs / "datasets" / "rides.yaml"
    mapped = "  renames: {temp: {to: warmth, until: 2026-06-30}}\n"
    path.write_text(YAML.replace("temp: {", "warmth: {") + mapped)
    edit_suite(rides, rules(mostly=0.95).replace('"temp"', '"warmth"'))
    if is_gone:
        (rides.settings.home / "store/landing/rides/b1.parquet").unlink()

    edited = suites.edit(rides, "rides")
    assert [str(change) for change in edited.changes] == [
        "loosened: warmth, nulls: at most 2% → at most 5%"
    ]
    said = "warmth has 10 of 200 nulls (5.0%), allowed at most 2%; the edited suite allows at"
    assert seen(rides) == {
        "b1": ("passed passed", 0, []),
        "b4": ("failed passed", -10, [f"{said} most 5%"]),
    }
    for name in ("home", "include", "database_url", "store_url"):
        monkeypatch.setenv(f"TENURE_{name.upper()}", str(getattr(rides.settings, name)))
    note = (
        f"2 rules of {edited.against} name columns that the contract renamed: they are compared "
        "under the new names."
    )
    for command in ("diff", "preview"):
        assert note in runner.invoke(app, ["suite", command, "rides"]).stdout.splitlines()
    answer = runner.invoke(app, ["suite", "preview", "rides", "--json"])
    assert json.loads(answer.stdout)["rules_under_new_names"] == 2
    (model,) = suites.downstream(rides, edited, [])
    assert model.reads == ("warmth",)


class TestLooseningANullLimit:
    """The acceptance of issue 3."""

    @pytest.mark.exhaustive
    def test_exactly_the_batches_that_flip(self, eight: Installation) -> None:
        edit_suite(eight, rules(mostly=0.95))

        found = seen(eight)

        assert {name: said[0] for name, said in found.items()} == {
            "b1": "passed passed",
            "b2": "passed passed",
            "b3": "failed passed",
            "b4": "failed passed",
            "b5": "failed failed",
            "b6": "failed passed",
            "b7": "passed passed",
            "b8": "passed passed",
        }
        assert found["b4"] == (
            "failed passed",
            -10,
            [
                "temp has 10 of 200 nulls (5.0%), allowed at most 2%; the edited suite allows at "
                "most 5%"
            ],
        )
        # The unknown city is set aside by both suites and is no reason of the flip.
        assert found["b6"][1] == -8
        assert len(found["b6"][2]) == 1
        assert found["b5"] == ("failed failed", 0, [])
        assert found["b7"] == ("passed passed", 0, [])

    def test_the_verdicts_are_those_that_ingestion_then_gives(self, rides: Installation) -> None:
        drop_some(rides, "b3", "b5", "b6")
        edit_suite(rides, rules(mostly=0.95, cities="xyz"))
        expected = {name: said[0].split()[1] for name, said in seen(rides).items()}

        ingest_all(rides)

        with rides.database.begin() as connection:
            query = (
                "SELECT DISTINCT ON (batch) batch, verdict FROM validation ORDER BY batch, id DESC"
            )
            found = {row.batch: row.verdict for row in connection.execute(text(query))}
        assert found == expected

    def test_the_models_downstream(self, eight: Installation) -> None:
        edit_suite(eight, rules(mostly=0.95))
        edited = suites.edit(eight, "rides")
        found = suites.preview(eight, edited, suites.last_batches(eight, "rides", 30), list)

        with serving(eight, ["b2", "b4", "b6"]):
            (model,) = suites.downstream(eight, edited, found)

        assert (model.model.name, model.reads) == ("ride_late", ("temp",))
        assert model.trained_on == {"ride_late@1": ["b4", "b6"]}


@contextmanager
def serving(platform: Installation, batches: list[str]) -> Iterator[None]:
    """A champion that learned from the batches, as far as the preview looks."""
    facts = json.dumps(stated_facts(batches=batches))
    without_guards(
        platform,
        "INSERT INTO model (name, owner, risk_tier, purpose) "
        "VALUES ('ride_late', 'ada', 'limited', 'p')",
        "INSERT INTO model_version (model, version, state, trained_by, training_key, "
        "artifact_digest, signature, evaluation_report, bias_report, facts) VALUES "
        f"('ride_late', 1, 'champion', 'ada', 'k', 'd', 's', 'e', 'b', '{facts}')",
    )
    yield
    without_guards(
        platform,
        "DELETE FROM model_version WHERE model = 'ride_late'",
        "DELETE FROM model WHERE name = 'ride_late'",
    )


def without_guards(platform: Installation, *statements: str) -> None:
    with platform.database.begin() as connection:
        for statement in ("SET LOCAL session_replication_role = replica", *statements):
            connection.exec_driver_sql(statement)


def test_tightening_turns_good_batches_bad(eight: Installation) -> None:
    edit_suite(eight, rules(cities="y"))  # nine of ten rows are in x

    found = seen(eight)

    assert {name for name, said in found.items() if said[0] == "passed failed"} == {
        "b1",
        "b2",
        "b7",
        "b8",
    }
    assert found["b1"] == (
        "passed failed",
        190,
        [
            "city has 190 of 200 unknown values (95.0%), such as 'x', allowed one of y; the suite "
            "in force allows one of x, y",
            "the batch has 190 of 200 rows in quarantine (95.00%), allowed at most 20%; by the "
            "suite in force it has 0 of 200 rows in quarantine (0.00%)",
        ],
    )


@pytest.mark.parametrize("kind", ["csv", pytest.param("parquet", marks=pytest.mark.exhaustive)])
def test_a_batch_whose_file_is_gone_is_put_together_again(rides: Installation, kind: str) -> None:
    config = rides.settings.configs / "datasets/rides.yaml"
    config.write_text(YAML.replace("format: parquet", f"format: {kind}"))
    kept = drop(rides, "b6", 2, "xz", kind=kind)
    gone = drop(rides, "b7", 0, "xz", kind=kind)
    never = drop(rides, "b5", 11, "xy", kind=kind)
    drop(rides, "b8", 2, "xy", kind=kind)
    ingest_all(rides)
    edit_suite(rides, rules(cities="xyz"))
    whole = seen(rides)

    for key in (gone, never):
        rides.store.delete(key)
    drop(rides, "b8", 200, "xy", kind=kind)  # a new file, which nobody judged yet

    edited = suites.edit(rides, "rides")
    batches = suites.last_batches(rides, "rides", 30)
    origins = {s.landed.batch: s.origin for s in suites.preview(rides, edited, batches, list)}
    assert origins == {
        "b5": suites.LANDED,
        "b6": suites.LANDED,
        "b7": suites.REBUILT,
        "b8": suites.REBUILT,
    }
    assert kept.startswith("landing/")
    assert seen(rides) == whole, "a refused file was kept by its digest"
    assert whole["b7"][1] == -10


def test_a_column_that_is_gone_counts_as_it_does_in_ingestion(rides: Installation) -> None:
    table = pa.table({"id": ["a"], "at": pa.array([1], pa.timestamp("us", "UTC")), "late": [True]})
    drop(rides, "b1", 0, "xy")
    path = rides.settings.home / "store/landing/rides/b1.parquet"
    pq.write_table(table.append_column("city", pa.array(["x"])), path)  # no temp
    ingest_all(rides)
    edit_suite(rides, rules(mostly=0.9))

    assert seen(rides)["b1"] == ("passed passed", 0, [])


def test_pseudonyms_are_not_judged_by_rules_about_values(rides: Installation) -> None:
    config = rides.settings.configs / "datasets/rides.yaml"
    config.write_text(
        YAML.replace("city: {type: string}", "city: {type: string, sensitivity: personal}")
    )
    key = drop(rides, "b8", 2, "xy")
    ingest_all(rides)
    edit_suite(rides, rules(mostly=0.9))
    assert seen(rides)["b8"][0] == "passed passed"

    rides.store.delete(key)

    assert seen(rides) == {"b8": "its file is gone and its snapshot holds pseudonyms of city"}


def test_the_last_batches_are_those_that_landed_last(rides: Installation) -> None:
    drop_some(rides, "b1", "b2", "b3")
    drop(rides, "b1", 1, "xy")  # repaired: now the newest
    ingest_all(rides)
    edit_suite(rides, rules(mostly=0.9))
    ingest_all(rides)  # all files are judged again, in order of name

    last = suites.last_batches(rides, "rides", 2)

    assert [landed.batch for landed in last] == ["b3", "b1"]


class TestWhatItIsComparedWith:
    def test_a_git_revision(self, rides: Installation) -> None:
        drop_some(rides, "b5")
        commit(rides)
        edit_suite(rides, rules(mostly=0.5))
        ingest_all(rides)  # the edited suite is in force by now

        assert seen(rides)["b5"][0] == "failed passed"
        assert seen(rides, "HEAD")["b5"][0] == "failed passed"
        assert suites.edit(rides, "rides").against.startswith("HEAD (")

    def test_nothing_was_judged_yet(self, rides: Installation) -> None:
        with pytest.raises(suites.NothingToCompare, match="no batch was judged by rides yet"):
            suites.edit(rides, "rides")

    @pytest.mark.parametrize(
        ("revision", "message"),
        [
            ("nonsense", "there is no revision 'nonsense'"),
            ("--output=x", "there is no revision '--output=x'"),
            ("", "1…200 characters"),
            ("HEAD~1", "rides.json is not in HEAD~1"),
        ],
    )
    def test_no_such_revision(self, rides: Installation, revision: str, message: str) -> None:
        git(rides, "init", "--quiet")
        git(rides, "commit", "--quiet", "--allow-empty", "--message=empty")
        commit(rides)
        with pytest.raises(suites.NothingToCompare, match=message):
            suites.edit(rides, "rides", revision)

    def test_no_repository(self, rides: Installation) -> None:
        with pytest.raises(suites.NothingToCompare, match="not a git repository"):
            suites.edit(rides, "rides", "HEAD")

    def test_a_link_in_git_is_not_followed(self, rides: Installation) -> None:
        path = rides.settings.suites / "rides.json"
        body = path.read_text()
        path.unlink()
        path.symlink_to("/etc/passwd")
        commit(rides)
        path.unlink()
        path.write_text(body)
        with pytest.raises(suites.NothingToCompare, match="is not a regular file in HEAD"):
            suites.edit(rides, "rides", "HEAD")

    def test_a_broken_suite_is_not_judged(self, eight: Installation) -> None:
        edit_suite(eight, rules(mostly=98))
        with pytest.raises(ConfigInvalid, match="mostly must be above 0"):
            suites.edit(eight, "rides")


def test_a_model_whose_protected_attribute_is_no_feature_is_named(
    rides: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(rides, monkeypatch)
    yaml = rides.settings.configs / "models/ride_late.yaml"
    yaml.write_text(yaml.read_text().replace("  categorical: [city]\n", ""))
    drop_some(rides, "b1")
    edit_suite(rides, rules(cities="xyz"))

    found = runner.invoke(app, ["suite", "preview", "rides"])

    assert found.stdout.splitlines()[-1] == "Downstream: ride_late of ada, reads city."


def test_the_command(eight: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    point_to(eight, monkeypatch)
    edit_suite(eight, rules(mostly=0.95))

    done = runner.invoke(app, ["suite", "preview", "rides", "--last", "4"])

    assert done.exit_code == 0
    digest = suites.edit(eight, "rides").before.digest[:12]
    assert done.stdout.splitlines() == [
        f"rides, beside the suite in force ({digest}…):",
        "  loosened: temp, nulls: at most 2% → at most 5%",
        "",
        "rides b6: failed → passed; quarantined 18 → 10 of 200 rows",
        "  temp has 8 of 200 nulls (4.0%), allowed at most 2%; the edited suite allows at most 5%",
        "",
        "1 of 4 batches flip: 1 failed → passed, 0 passed → failed. Rows in quarantine: -8. Rows "
        "published: +190.",
        "Downstream: ride_late of ada, reads temp.",
    ]
    assert done.stderr == ""

    answer = json.loads(runner.invoke(app, ["suite", "preview", "rides", "--json"]).stdout)
    assert answer["totals"] == {
        "batches": 8,
        "failed_to_passed": 3,
        "passed_to_failed": 0,
        "quarantine_change": -23,
        "published_change": 590,
    }
    assert [b["batch"] for b in answer["batches"] if b["flips"]] == ["b3", "b4", "b6"]
    assert answer["models"] == [
        {"model": "ride_late", "owner": "ada", "reads": ["temp"], "in_service": {}}
    ]
    assert answer["changes"][0]["kind"] == "loosened"

    said = runner.invoke(app, ["suite", "diff", "rides"]).stdout.splitlines()
    assert said[1:] == ["  loosened: temp, nulls: at most 2% → at most 5%"]
    wrong = runner.invoke(app, ["suite", "preview", "rides", "--against", "HEAD"])
    assert wrong.exit_code == 2
    assert runner.invoke(app, ["suite", "preview", "nobody"]).exit_code == 2


def point_to(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)


class TestHistory:
    def test_without_git_since_when_each_revision_judged(
        self, eight: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        point_to(eight, monkeypatch)
        digest = suites.edit(eight, "rides").before.digest

        answer = json.loads(runner.invoke(app, ["suite", "history", "rides", "--json"]).stdout)

        assert [(row["revision"], row["why"]) for row in answer] == [(digest, "judged first")]

    def test_with_git_who_and_why(
        self, rides: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        point_to(rides, monkeypatch)
        commit(rides)
        edit_suite(rides, rules(mostly=0.9))
        commit(rides, "Station is repaired\x1b[2J")

        lines = runner.invoke(app, ["suite", "history", "rides"]).stdout.splitlines()

        assert [line.split()[2:] for line in lines] == [
            ["who", "why"],
            ["sam", "Station", "is", "repaired", "[2J"],
            ["sam", "rules"],
        ]


class TestSuggestions:
    def test_each_stands_beside_what_the_suite_asks(
        self, eight: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        point_to(eight, monkeypatch)
        edit_suite(eight, rules())

        done = runner.invoke(app, ["suite", "suggest", "rides"])

        assert done.exit_code == 0, done.output
        lines = done.stdout.splitlines()
        assert lines[0] == "rides, suite rides, from 4 published batches:"
        assert any(
            line.startswith("  new: the table: ") and line.endswith("200 rows in 4 batches.")
            for line in lines
        )
        (nulls,) = (line for line in lines if "temp, nulls" in line)
        assert nulls.startswith("  looser: temp, nulls: at most ")
        assert "(the suite allows at most 2%). 0…2% nulls in 4 batches" in nulls
        (city,) = (line for line in lines if "city, values" in line)
        assert city.startswith("  covered: city, values: one of x, y (the suite allows one of ")
        assert "Nothing was changed." in lines[-1]

    def test_what_it_proposes_is_a_valid_suite_that_history_passes(
        self, eight: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        point_to(eight, monkeypatch)
        edit_suite(eight, rules())
        done = runner.invoke(app, ["suite", "suggest", "rides", "--json"])
        answer = json.loads(done.stdout)
        assert answer["batches"] == ["b1", "b2", "b7", "b8"]
        proposed = [s["expectation"] for s in answer["suggestions"]]
        edit_suite(eight, json.dumps({"name": "rides", "expectations": proposed}))

        found = seen(eight)

        assert {name: found[name][0] for name in answer["batches"]} == dict.fromkeys(
            answer["batches"], "passed passed"
        )

    def test_the_reads_are_recorded(
        self, eight: Installation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        point_to(eight, monkeypatch)
        with eight.database.begin() as connection:
            query = "SELECT count(*) FROM snapshot_read WHERE purpose = 'suggest'"
            before = connection.execute(text(query)).scalar_one()
        runner.invoke(app, ["suite", "suggest", "rides"])
        with eight.database.begin() as connection:
            assert connection.execute(text(query)).scalar_one() == before + 4

    def test_without_history(self, rides: Installation) -> None:
        with pytest.raises(DataRejected, match="No batch of rides was published"):
            suggestions.history(rides, "rides", 30)
