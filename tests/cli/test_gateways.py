"""`tenure gateways`: which ones are there, by which plan, and what a script learns of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from tenure.adapters.sql import versions
from tenure.cli import app
from tenure.errors import ServiceUnreachable
from tenure.installation import Installation

pytestmark = pytest.mark.service

TAKEN = datetime(2026, 5, 1, 3, 12, tzinfo=UTC)
A, B = ("gw-a", 7, "0 s"), ("gw-b", 6, "29 s")
DEAD = ("gw-dead", 7, "31 s")

Run = Callable[..., Result]


@pytest.fixture
def run(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command over the model flight_late at generation 7; `unborn` has no plan."""
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    with platform.database.begin() as c:
        for name in ("flight_late", "unborn"):
            versions.register_model(c, name=name, owner="ada", risk_tier="limited", purpose="t")
        versions.create_draft(c, model_name="flight_late", trained_by="ada", training_key="k")

    def invoke(*words: str, gateways: tuple[tuple[str, int, str], ...] = ()) -> Result:
        with platform.database.begin() as c:
            c.execute(text("SET LOCAL session_replication_role = replica"))
            if words[:1] != ("unborn",):
                c.execute(
                    text(
                        "INSERT INTO traffic_plan (model, generation, fence, champion_id, "
                        "share_bp, salt, reason, actor, champion_until) "
                        "SELECT model, 7, 1, id, 0, 's', 'r', 'a', now() FROM model_version"
                    )
                )
            for name, generation, age in gateways:
                c.execute(
                    text(
                        "INSERT INTO gateway_ack VALUES (:g, 'flight_late', :n, :taken, "
                        "now() - CAST(:age AS interval))"
                    ),
                    {"g": name, "n": generation, "taken": TAKEN, "age": age},
                )
        return CliRunner().invoke(app, ["gateways", *words])

    return invoke


@pytest.mark.parametrize(
    ("gateways", "states", "code"),
    [
        pytest.param((A,), ["current"], 0, id="current"),
        pytest.param((A, DEAD), ["current", "silent"], 0, id="the silent one is no matter"),
        pytest.param((A, B), ["current", "behind"], 1, id="behind"),
        pytest.param((DEAD,), ["silent"], 1, id="none alive"),
        pytest.param((), [], 1, id="none ever"),
    ],
)
def test_state_and_exit_code(
    run: Run, gateways: tuple[tuple[str, int, str], ...], states: list[str], code: int
) -> None:
    done = run("flight_late", "--json", gateways=gateways)
    assert done.exit_code == code, done.output
    answer = json.loads(done.stdout)
    (model,) = answer["models"]
    assert (answer["ok"], model["ok"], model["generation"]) == (code == 0, code == 0, 7)
    assert [one["state"] for one in model["gateways"]] == states
    assert [one["taken_at"] for one in model["gateways"]] == [str(TAKEN)] * len(states)


def test_what_people_read(
    run: Run, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    done = run(gateways=(A, B, DEAD, ("\x1b[2Jgw", 7, "0 s")))
    with platform.database.begin() as c:
        query = "SELECT alive_at FROM gateway_ack WHERE gateway_id = 'gw-dead'"
        silent = f"{c.execute(text(query)).scalar_one().astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    assert (done.exit_code, sorted(done.stdout.splitlines())) == (
        1,
        sorted(
            [
                "gateway    model        generation  newest  state    since",
                "\\x1b[2Jgw  flight_late  7           7       current  2026-05-01 03:12:00 UTC",
                "gw-a       flight_late  7           7       current  2026-05-01 03:12:00 UTC",
                "gw-b       flight_late  6           7       behind   2026-05-01 03:12:00 UTC",
                f"gw-dead    flight_late  7           7       silent   {silent}",
            ]
        ),
    )


@pytest.mark.parametrize(
    ("words", "gateways", "says"),
    [
        pytest.param((), (), "No gateway of flight_late is alive.", id="none ever"),
        pytest.param((), (DEAD,), "No gateway of flight_late is alive.", id="none alive"),
        pytest.param(("unborn",), (), "unborn has no traffic plan yet.", id="no plan"),
    ],
)
def test_nobody_serves(
    run: Run, words: tuple[str, ...], gateways: tuple[tuple[str, int, str], ...], says: str
) -> None:
    done = run(*words, gateways=gateways)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, says)


def test_a_mistyped_model(run: Run) -> None:
    done = run("flight_lat")
    assert done.exit_code == 2
    assert "there is no model 'flight_lat'; there are: flight_late, unborn" in done.stderr


def test_database_down(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_DATABASE_URL", "postgresql+psycopg://x@127.0.0.1:9/tenure")
    done = CliRunner().invoke(app, ["gateways"])
    assert isinstance(done.exception, ServiceUnreachable)  # which `main` ends with 3
