"""Whatever a reader lists, at whatever moment, it finds each row once."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.decisions.compaction import (
    KEPT,
    SETTLED,
    CompactionManifest,
    Folder,
    compatible,
    folders,
    in_force,
    live,
    next_manifest,
    orphans,
    to_delete,
)

HOUR = "decisions/model=m/date=2026-05-01/hour=12"
NOW = datetime(2026, 5, 1, 14, tzinfo=UTC)


class World:
    """A store of one folder: file to the rows in it, and manifests. Any step may be the last."""

    def __init__(self, *files: str) -> None:
        self.files = {f"{HOUR}/{name}.parquet": {name} for name in files}
        self.manifests: dict[str, CompactionManifest] = {}
        self.now = NOW

    def folder(self) -> Folder:
        (found,) = folders([*self.files, *self.manifests])
        return found

    def rows(self) -> list[str]:
        """What a reader sees."""
        keys = live(self.folder(), list(self.manifests.values()))
        return sorted(row for key in keys for row in self.files[key])

    def compact(self, keys: list[str] | None = None, *, dies: str = "") -> None:
        known = list(self.manifests.values())
        keys = keys or live(self.folder(), known)
        made = next_manifest(self.folder(), keys, known, self.now)
        self.files[made.data] = set().union(*(self.files[key] for key in keys))
        if dies != "data":
            self.manifests[made.key] = made

    def clean(self, at_most: int = 99) -> None:
        gone = to_delete(self.folder(), list(self.manifests.values()), self.now)
        for key in gone[:at_most]:
            self.files.pop(key, None)
            self.manifests.pop(key, None)


def test_the_manifest_is_the_moment() -> None:
    world = World("a", "b", "c")
    world.compact(dies="data")
    assert world.rows() == ["a", "b", "c"]
    assert orphans(world.folder()) != []
    world.compact()
    assert world.rows() == ["a", "b", "c"]
    assert orphans(world.folder()) == []
    assert len(live(world.folder(), list(world.manifests.values()))) == 1


def test_replaced_files_go_after_their_time_and_in_any_order() -> None:
    world = World("a", "b", "c")
    world.compact()
    world.now += KEPT - timedelta(seconds=1)
    world.clean()
    assert len(world.files) == 4
    world.now += timedelta(seconds=1)
    for _ in range(3):
        world.clean(at_most=1)
        assert world.rows() == ["a", "b", "c"]
    assert list(world.files) == [one.data for one in world.manifests.values()]
    assert world.folder().is_plain


def test_a_file_that_is_shipped_again_after_its_replacement_is_not_doubled() -> None:
    world = World("a", "b")
    world.compact()
    world.now += KEPT
    world.clean()
    world.files[f"{HOUR}/a.parquet"] = {"a"}
    assert not world.folder().is_plain
    assert world.rows() == ["a", "b"]
    world.clean()
    assert world.rows() == ["a", "b"]
    assert len(world.files) == 1


def test_a_late_file_joins_and_the_old_one_goes() -> None:
    world = World("a", "b")
    world.compact()
    first = next(iter(world.manifests))
    world.now += KEPT
    world.clean()
    world.files[f"{HOUR}/late.parquet"] = {"late"}
    world.compact()
    assert world.rows() == ["a", "b", "late"]
    world.files[f"{HOUR}/b.parquet"] = {"b"}  # shipped again: the newer manifest knows it as well
    assert world.rows() == ["a", "b", "late"]
    world.now += KEPT
    world.clean(at_most=1)
    assert world.rows() == ["a", "b", "late"]
    world.clean()
    assert world.rows() == ["a", "b", "late"]
    assert first not in world.manifests
    assert len(world.files) == len(world.manifests) == 1


def test_two_at_the_same_time_double_nothing() -> None:
    world = World("a", "b", "c", "d")
    a, b, c, d = sorted(world.files)
    world.compact([a, b, c])
    world.compact([b, c, d])
    assert world.rows() == ["a", "b", "c", "d"]
    assert len(in_force(list(world.manifests.values()))) == 1
    world.now += KEPT
    world.clean()
    assert world.rows() == ["a", "b", "c", "d"]


def test_same_inputs_same_name() -> None:
    folder = World("a", "b").folder()
    keys = [f"{HOUR}/{name}.parquet" for name in "ab"]
    one, two = (next_manifest(folder, k, [], NOW) for k in (keys, keys[::-1]))
    assert one == two
    assert next_manifest(folder, keys[:1], [], NOW).key != one.key


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 5, 1, 13, tzinfo=UTC) + SETTLED - timedelta(microseconds=1), False),
        (datetime(2026, 5, 1, 13, tzinfo=UTC) + SETTLED, True),
        (datetime(2026, 5, 1, 13, tzinfo=UTC) + SETTLED + timedelta(microseconds=1), True),
    ],
)
def test_an_hour_settles(now: datetime, expected: bool) -> None:
    assert Folder(HOUR).is_settled(now) is expected


@pytest.mark.parametrize(
    "path", ["decisions/model=m", "decisions/model=m/date=x/hour=1", "decisions/date=2026-05-01"]
)
def test_a_folder_of_no_hour_never_settles(path: str) -> None:
    assert not Folder(path).is_settled(datetime(2999, 1, 1, tzinfo=UTC))


def test_what_is_neither_rows_nor_manifest_is_left_out() -> None:
    (folder,) = folders([f"{HOUR}/a.parquet", f"{HOUR}/_SUCCESS", f"{HOUR}/a.json"])
    assert live(folder, None) == [f"{HOUR}/a.parquet"]


def test_files_whose_columns_disagree_stay_apart() -> None:
    kinds = {
        "1": {"f_hour": "double"},
        "2": {"f_hour": "string"},
        "3": {"f_hour": "double", "f_temp": "double"},
        "4": {"f_temp": "string"},
    }
    assert compatible(kinds) == [["1", "3"], ["2", "4"]]
