"""Every refusal of the YAML loader, with file, line and what is allowed."""

import os
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from tenure.config.loader import MAX_PROBLEMS, load_all, load_dataset, load_platform
from tenure.config.models import Label
from tenure.config.problems import BrokenFile
from tenure.lifecycle.training.labels import LabelRule
from tenure.settings import REPOSITORY

GOOD = """\
name: d
description: D.
owner: ada
steward: sam
time_column: at
suite: d
contract:
  key: [id]
  columns:
    id: {type: string, nullable: false}
    at: {type: timestamp}
"""


@pytest.fixture
def include(tmp_path: Path) -> Path:
    (tmp_path / "configs/datasets").mkdir(parents=True)
    (tmp_path / "configs/models").mkdir()
    (tmp_path / "configs/platform.yaml").write_text("roles: {}\n")
    return tmp_path


def write(include: Path, body: str | bytes, name: str = "d") -> Path:
    path = include / "configs/datasets" / f"{name}.yaml"
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path


def refusal(include: Path, name: str = "d") -> tuple[int, str]:
    """Line and message of the only problem."""
    with pytest.raises(BrokenFile) as error:
        load_dataset(include, name)
    (problem,) = error.value.problems
    return problem.line, problem.message


def test_a_good_file_is_read_and_named_by_its_bytes(include: Path) -> None:
    write(include, GOOD)
    first, digest = load_dataset(include, "d")
    write(include, GOOD + "# a comment\n")
    second, other = load_dataset(include, "d")

    assert first == second
    assert digest != other


def test_a_file_that_did_not_change_is_read_once(include: Path) -> None:
    path = write(include, GOOD)
    first, _ = load_dataset(include, "d")
    path.touch()
    assert load_dataset(include, "d")[0] is first


def test_a_change_that_keeps_size_and_time_is_seen(include: Path) -> None:
    path = write(include, GOOD)
    load_dataset(include, "d")
    before = path.stat()
    path.write_text(GOOD.replace("ada", "eve"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert load_dataset(include, "d")[0].owner == "eve"


def test_a_broken_file_is_reported_every_time(include: Path) -> None:
    write(include, GOOD)
    load_dataset(include, "d")
    write(include, GOOD + "typo: 1\n")
    assert refusal(include) == refusal(include)
    assert refusal(include)[0] == len(GOOD.splitlines()) + 1


CASES = {
    "unknown key": (
        GOOD.replace("steward:", "stewart:"),
        [
            (1, "the key 'steward' is missing"),
            (4, "unknown key 'stewart'; did you mean 'steward'?"),
        ],
    ),
    "unknown key inside": (
        GOOD.replace("key: [id]", "keys: [id]"),
        [(8, "unknown key 'contract.keys'; did you mean 'key'? Allowed: allow_extra_columns, ")],
    ),
    "unknown key far from any": (
        GOOD + "zzz: 1\n",
        [(12, "unknown key 'zzz' Allowed: contract, description")],
    ),
    "missing key": (GOOD.replace("owner: ada\n", ""), [(1, "the key 'owner' is missing")]),
    "wrong type": (
        GOOD + "retention_days: many\n",
        [(12, "retention_days: Input should be a valid integer")],
    ),
    "out of bounds": (
        GOOD + "retention_days: 0\n",
        [(12, "retention_days: Input should be greater than or equal to 1, got '0'")],
    ),
    "not one of": (
        GOOD.replace("type: timestamp", "type: time"),
        [(11, "contract.columns.at.type: Input should be 'string', 'integer'")],
    ),
    "NaN": (
        GOOD + "quality: {max_quarantined: .nan}\n",
        [(12, "quality.max_quarantined: Input should be a finite number")],
    ),
    "Norway": (
        GOOD.replace("owner: ada", "owner: no"),
        [(3, "owner: Input should be a valid str")],
    ),
    "column that is not there": (
        GOOD.replace("key: [id]", "key: [it]"),
        [(1, "'it' is not a column of the contract")],
    ),
    "key that is no integer": (
        GOOD.replace("id: {type: string", "id: {type: number"),
        [(7, "contract: key: 'id' is a number, and numbers that are different may become equal")],
    ),
    "duplicate key": (GOOD + "owner: eve\n", [(12, "the key 'owner' stands here twice")]),
    "duplicate key inside": (
        GOOD.replace("nullable: false", "type: string"),
        [(10, "the key 'type' stands here twice")],
    ),
    "anchor": (GOOD.replace("ada", "&a ada"), [(3, "anchors and aliases are not allowed")]),
    "alias": (GOOD + "a: &x [1]\nb: *x\n", [(12, "anchors and aliases are not allowed")]),
    "merge key": (GOOD + "<<: {a: 1}\n", [(12, "keys must be plain names")]),
    "key that is no name": (GOOD + "? [1, 2]\n: 3\n", [(12, "keys must be plain names")]),
    "python tag": (
        GOOD.replace("ada", "!!python/object/apply:os.system [ls]"),
        [(3, "the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed")],
    ),
    "own tag": (GOOD.replace("ada", "!x ada"), [(3, "the tag !x is not allowed")]),
    "impossible date": (GOOD.replace("D.", "2013-02-31"), [(2, "cannot be read: day is out of")]),
    "no YAML": (GOOD + "a: [1\n", [(13, "is not YAML: ")]),
    "tab": (GOOD + "\ta: 1\n", [(12, "is not YAML: found character that cannot start")]),
    "two documents": (GOOD + "---\n" + GOOD, [(12, "is not YAML: but found another document")]),
    "empty": ("", [(1, "is empty")]),
    "only a comment": ("# nothing\n", [(1, "is empty")]),
    "a list": ("- 1\n", [(1, "Input should be a valid dictionary")]),
    "not UTF-8": (GOOD.encode() + b"a: \xff\n", [(12, "is not UTF-8")]),
    "UTF-16": (GOOD.encode("utf-16"), [(1, "is not UTF-8")]),
    "NUL": (GOOD + "a: \0\n", [(1, "is not YAML: ")]),
    "deep": ("a: " + "[" * 21 + "]" * 21, [(1, "is nested deeper than 20 levels")]),
    "very deep": ("[" * 50_000, [(1, "is nested deeper than 20 levels")]),
    "large": (GOOD + "#" * 262_144, [(1, "at most 262,144")]),
    "sexagesimal": (
        GOOD + "retention_days: 1:30\n",
        [(12, "write '1:30' as a plain decimal number, or in quotes if it is text")],
    ),
    "octal": (GOOD + "retention_days: 010\n", [(12, "write '010' as a plain decimal number")]),
    "hexadecimal": (GOOD + "retention_days: 0x10\n", [(12, "write '0x10' as a plain")]),
    "grouped digits": (GOOD + "retention_days: 1_000\n", [(12, "write '1_000' as a plain")]),
    "infinity": (
        GOOD + "quality: {max_quarantined: .inf}\n",
        [(12, "quality.max_quarantined: Input should be a finite number")],
    ),
    "negative": (
        GOOD + "quality: {min_rows: -1}\n",
        [(12, "quality.min_rows: Input should be greater than or equal to 0, got '-1'")],
    ),
    "more than the whole": (
        GOOD + "quality: {max_quarantined: 1.5}\n",
        [(12, "quality.max_quarantined: Input should be less than or equal to 1, got '1.5'")],
    ),
    "billion laughs": (
        "a: &a [lol, lol]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
        [(1, "anchors and aliases are not allowed")],
    ),
    "object tag": (
        GOOD.replace("ada", "!!python/name:os.system"),
        [(3, "the tag tag:yaml.org,2002:python/name:os.system is not allowed")],
    ),
    "binary": (GOOD.replace("ada", "!!binary aGk="), [(3, "the tag tag:yaml.org,2002:binary")]),
    "a path for a name": (
        GOOD.replace("suite: d", "suite: ../../etc/passwd"),
        [(6, "suite: String should match pattern")],
    ),
    "an absolute name": (
        GOOD.replace("suite: d", "suite: /etc/passwd"),
        [(6, "suite: String should match pattern")],
    ),
    "a name of 300 characters": (
        GOOD.replace("suite: d", f"suite: {'d' * 300}"),
        [(6, "suite: String should have at most 64 characters")],
    ),
    "NUL in quotes": (
        GOOD.replace("ada", '"a\\0"'),
        [(3, "holds the character U+0000, which is not text")],
    ),
    "terminal code in quotes": (
        GOOD.replace("D.", '"\\e[2J"'),
        [(2, "holds the character U+001B, which is not text")],
    ),
    "terminal code in a key": (
        GOOD + '"\\e[2J": 1\n',
        [(12, "a key holds the character U+001B, which is not text")],
    ),
    "half a character": (GOOD.replace("ada", '"\\ud800"'), [(3, "is not YAML: ")]),
    "template": (
        GOOD.replace("suite: d", "suite: {{ d }}"),
        [(6, "keys must be plain names")],
    ),
    "environment": (
        GOOD.replace("name: d\n", "name: ${HOME}\n"),
        [(1, "name: String should match pattern")],
    ),
}


@pytest.mark.parametrize(("body", "expected"), CASES.values(), ids=CASES.keys())
def test_refusal(include: Path, body: str | bytes, expected: list[tuple[int, str]]) -> None:
    path = write(include, body)

    with pytest.raises(BrokenFile) as error:
        load_dataset(include, "d")

    found = [(p.line, p.message) for p in error.value.problems]
    assert [line for line, _ in found] == [line for line, _ in expected]
    for (_, message), (_, part) in zip(found, expected, strict=True):
        assert part in message
    assert all(str(problem).startswith(f"{path}:") for problem in error.value.problems)


@pytest.mark.parametrize("depth", [(19, True), (20, True), (21, False)], ids=str)
def test_the_bound_of_depth(include: Path, depth: tuple[int, bool]) -> None:
    levels, fine = depth
    write(include, "[" * levels + "]" * levels)
    _, message = refusal(include)
    assert ("nested deeper" in message) is not fine


@pytest.mark.parametrize("size", [(262_143, True), (262_144, True), (262_145, False)], ids=str)
def test_the_bound_of_size(include: Path, size: tuple[int, bool]) -> None:
    length, fine = size
    write(include, GOOD + "#" * (length - len(GOOD)))
    if fine:
        load_dataset(include, "d")
    else:
        assert refusal(include) == (1, "has 262,145 bytes; at most 262,144")


@pytest.mark.parametrize(
    "name",
    ["..", "../d", "/etc/passwd", "a__b", "A", "", "a" * 65, "a" * 300, "d\0", "con", "d:e", "d "],
)
def test_a_name_that_is_no_id(include: Path, name: str) -> None:
    assert "is not an id" in refusal(include, name)[1]


def test_a_name_other_than_the_file(include: Path) -> None:
    write(include, GOOD, "e")
    assert refusal(include, "e") == (1, "name must be 'e', as the file is called")


def test_links_folders_and_pipes_are_no_files(include: Path) -> None:
    import os

    target = write(include, GOOD)
    folder = target.parent
    (folder / "link.yaml").symlink_to(target)
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    for name in ("link", "folder", "pipe"):
        assert refusal(include, name) == (1, "is not a regular file")
    assert refusal(include, "absent") == (1, "there is no such file")


def test_text_is_never_expanded(include: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    write(include, GOOD.replace("D.", '"${SECRET} $SECRET {{ 7 * 7 }}"'))

    assert load_dataset(include, "d")[0].description == "${SECRET} $SECRET {{ 7 * 7 }}"


def test_a_file_of_ten_megabytes_is_not_read_whole(include: Path) -> None:
    write(include, "a" * 10_000_000)
    assert refusal(include) == (1, "has 10,000,000 bytes; at most 262,144")


def test_a_key_of_a_hundred_thousand_characters_is_cut_in_the_message(include: Path) -> None:
    write(include, GOOD + "k" * 1000 + ": 1\n")
    assert len(refusal(include)[1]) < 400


def test_ten_thousand_unknown_keys_are_not_all_explained(include: Path) -> None:
    write(include, GOOD + "".join(f"k{i}: 1\n" for i in range(10_000)))
    with pytest.raises(BrokenFile) as error:
        load_dataset(include, "d")
    assert len(error.value.problems) == MAX_PROBLEMS


def test_a_broken_file_leaves_the_others_alone(include: Path) -> None:
    write(include, GOOD)
    write(include, "name: [", "broken")
    (include / "configs/platform.yaml").write_text("rolls: {}\n")

    found = load_all(include)

    assert set(found.datasets) == {"d"}
    assert found.platform is None
    assert [(p.path.name, p.line) for p in found.problems] == [
        ("platform.yaml", 1),
        ("platform.yaml", 1),
        ("broken.yaml", 2),
    ]


def test_many_problems_are_counted(include: Path) -> None:
    write(include, GOOD + "".join(f"key_{i}: 1\n" for i in range(9)))

    with pytest.raises(BrokenFile) as error:
        load_dataset(include, "d")

    assert len(error.value.problems) == 9
    assert error.value.what.splitlines()[-1] == "and 4 more"


def test_the_configs_of_the_house_are_valid() -> None:
    assert load_all(REPOSITORY / "include").problems == []


def test_an_absent_platform_file_is_a_named_problem(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match=r"platform\.yaml:1: there is no such file"):
        load_platform(tmp_path)


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        ("{column: y}", LabelRule()),
        ("{column: y, positive: 2}", LabelRule("2")),
        ("{column: y, positive: 2.0, negative: 1}", LabelRule("2", "1")),
        ("{column: y, positive: 'yes', negative: 'no'}", LabelRule("yes", "no")),
        ("{column: y, positive: yes}", LabelRule("true")),
        ("{column: y, positive: false}", LabelRule("false")),
        ("{column: y, positive: 0}", LabelRule("0")),
        ("{column: y, positive: '01'}", LabelRule("01")),
    ],
)
def test_the_label_that_a_model_declares(label: str, rule: LabelRule) -> None:
    assert Label.model_validate(yaml.safe_load(label)).rule == rule


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("{column: y, negative: 1}", "`negative` needs `positive` beside it"),
        ("{column: y, positive: 2, negative: 2.0}", "`positive` and `negative` are both '2'"),
        ("{column: y, positive: '2', negative: 2}", "are both '2'"),
        ("{column: y, positive: ''}", "write a word .in quotes., a number, true or false"),
        ("{column: y, positive: [1]}", "write a word"),
        ("{column: y, positive: 2013-07-01}", "write a word"),
        ("{column: y, positive: .nan}", "finite"),
    ],
)
def test_a_label_that_says_nothing(label: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Label.model_validate(yaml.safe_load(label))
