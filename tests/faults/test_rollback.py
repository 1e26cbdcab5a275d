"""A person takes a version out of traffic while a real gateway answers; then the command dies."""

import json
import signal
from collections import Counter
from typing import Any

import pytest
from asking import MODEL, Asking, Nothing, settle, soon
from served import Life, Process
from sqlalchemy import text

from tenure.adapters.sql import plans
from tenure.adapters.sql.database import Database
from tenure.installation import Installation
from tenure.usecases.operations.reconcile import reconcile
from tenure.vocabulary import RunRef, State, VersionRef

pytestmark = [pytest.mark.service, pytest.mark.fault]
ENDED = {0, -15}
CHAMPION = ("intended", "turn", "champion_moved", "successor_moved", "published", "committed")
CANARY = ("intended", "turn", "canary_moved", "published", "committed")


def generation(platform: Installation) -> int:
    with platform.database.begin() as c:
        plan = plans.newest(c, MODEL)
    assert plan is not None
    return int(plan.generation)


def times_rolled_back(platform: Installation, version: VersionRef) -> int:
    query = "SELECT count(*) FROM ledger_event WHERE subject = :s AND dst = 'rolled_back'"
    with platform.database.begin() as c:
        return int(c.execute(text(query), {"s": f"mv:{version.id}"}).scalar_one())


def bad_version(life: Life, what: str, safe: VersionRef, seed: int) -> VersionRef:
    """A version that is to go: champion in the place of `safe`, or canary beside it."""
    if what == "champion":
        return life.successor(safe, seed)
    bad = life.approved(seed)
    life.publish(safe, bad, share_bp=5_000, lease_seconds=300, moves=[(bad, State.CANARY)])
    return bad


@pytest.mark.parametrize(("what", "points"), [("champion", CHAMPION), ("canary", CANARY)])
def test_killed_in_the_middle(
    platform: Installation, process: Process, asking: Asking, what: str, points: tuple[str, ...]
) -> None:
    """F8: all of it happened or nothing; the same command again finishes it; all are answered."""
    life = asking.life
    safe = life.champion(1)
    process.start()
    with asking:
        for seed, point in enumerate(points, 2):
            bad = bad_version(life, what, safe, seed)
            before = generation(platform)
            live = (bad.version, 0) if what == "champion" else (1, 5_000)
            soon(lambda live=live: asking.serving() == live)
            words = ("rollback", MODEL, "--reason", "harm", "--version", str(bad.version), "--json")
            orders = {"TENURE_ENV": "test", "TENURE_FAIL": f"rollback.{point}:kill"}
            killed = process.command_line(*words, **orders)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            done = point == "committed"
            assert (generation(platform), times_rolled_back(platform, bad)) == (before + done, done)
            again = process.command_line(*words)
            assert again.returncode == 0, again.stderr
            assert json.loads(again.stdout)["done_before"] is done
            assert (generation(platform), times_rolled_back(platform, bad)) == (before + 1, 1)
            soon(lambda: asking.serving() == (1, 0), 5)
            asking.wait(20)
    done_by_hand = generation(platform)
    reconcile(platform, RunRef("maintain_platform", "run-1", "reconcile"), registry=Nothing())
    assert (generation(platform), life.state(1)) == (done_by_hand, "champion")
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


@pytest.mark.parametrize("how", ["lose_reply", "lose_request"])
def test_connection_lost_at_commit(
    platform: Installation, process: Process, asking: Asking, wire: Any, how: str
) -> None:
    """F20: whoever asked does not know whether it happened; it is looked up, and done once."""
    life = asking.life
    bad = life.successor(life.champion(1), 2)
    process.start()
    before = generation(platform)
    wire.at_commit, wire.after = how, b"INSERT INTO traffic_plan"
    through = {"TENURE_DATABASE_URL": wire.url(platform.settings.database_url)}
    words = ("rollback", MODEL, "--reason", "harm", "--version", "2", "--json")
    with asking:
        asking.wait(20)
        for done_before in (False, True):
            done = process.command_line(*words, **through)
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["done_before"] is done_before
            assert wire.lost == 1
        soon(lambda: asking.serving() == (1, 0), 5)
        asking.wait(20)
    assert (generation(platform), times_rolled_back(platform, bad)) == (before + 1, 1)
    assert (life.state(1), life.state(2)) == ("champion", "rolled_back")
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


LOCKS = {
    "the ledger": "LOCK TABLE ledger_head IN SHARE ROW EXCLUSIVE MODE",
    "the plans": "LOCK TABLE traffic_plan IN SHARE ROW EXCLUSIVE MODE",
    "the version": "SELECT 1 FROM model_version FOR UPDATE",
}


def test_somebody_holds_a_lock(platform: Installation, process: Process, asking: Asking) -> None:
    """It gives up within its second and says who is in the way; nothing moved, all are answered."""
    life = asking.life
    bad = life.successor(life.champion(1), 2)
    process.start()
    before = generation(platform)
    words = ("rollback", MODEL, "--reason", "harm", "--version", "2", "--json")
    holder = Database(platform.settings.database_url, application="left open")
    with asking:
        asking.wait(20)
        for lock in LOCKS.values():
            with holder.begin() as c:
                c.execute(text(lock))
                pid = c.execute(text("SELECT pg_backend_pid()")).scalar_one()
                done = process.command_line(*words)
            assert done.returncode == 3, done.stderr
            assert f"for which this waited 1 s: pid {pid} (postgres, left open, " in done.stderr
            assert f"pg_terminate_backend({pid})" in done.stderr
            assert (generation(platform), times_rolled_back(platform, bad)) == (before, 0)
        assert process.command_line(*words).returncode == 0
        soon(lambda: asking.serving() == (1, 0), 5)
        asking.wait(20)
    holder.dispose()
    assert (generation(platform), times_rolled_back(platform, bad)) == (before + 1, 1)
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)
