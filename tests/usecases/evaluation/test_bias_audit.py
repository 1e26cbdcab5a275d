"""`tenure bias-audit FILE`: published tables come out, nothing vanishes, what is wrong is named."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure import cli

Counts = Mapping[tuple[str, ...], tuple[int, int, int, int]]
"""(tp, fp, fn, tn) by group."""
CASES = ((1, 1), (0, 1), (1, 0), (0, 0))


def table(attributes: list[str], counts: Counts) -> pa.Table:
    rows = [
        (*group, label, prediction)
        for group, cell in counts.items()
        for (label, prediction), number in zip(CASES, cell, strict=True)
        for _ in range(number)
    ]
    return pa.table(
        dict(zip([*attributes, "label", "prediction"], zip(*rows, strict=True), strict=True))
    )


def run(path: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, what is printed, and the error; nothing of TENURE_* is set and nothing is up."""
    done = CliRunner().invoke(cli.app, ["bias-audit", str(path), *words])
    error = done.exception
    if isinstance(error, cli.TenureError):
        return cli.exit_code(error), done.stdout, "\n".join([error.what, *error.lines()])
    assert error is None or isinstance(error, SystemExit), error
    return done.exit_code, done.stdout, done.stderr


def audited(tmp_path: Path, rows: pa.Table, *words: str) -> dict[str, Any]:
    path = tmp_path / "rows.parquet"
    pq.write_table(rows, path)
    code, printed, error = run(path, "--label", "label", *words, "--json")
    assert printed, error
    found: dict[str, Any] = json.loads(printed)
    assert code == (found["verdict"] != "passed")
    return found


def group(found: dict[str, Any], *value: str | None) -> dict[str, Any]:
    [one] = [one for one in found["groups"] if one["value"] == list(value)]
    return dict(one)


def comparison(found: dict[str, Any], metric: str, *by: str) -> dict[str, Any]:
    [one] = [c for c in found["comparisons"] if (c["metric"], c["by"]) == (metric, list(by))]
    return dict(one)


def percent(value: float, digits: int = 2) -> str:
    return f"{100 * value:.{digits}f}"


def test_propublica_compas(tmp_path: Path) -> None:
    """Counts and rates as printed.

    Source: Larson, Mattu, Kirchner and Angwin (2016), How We Analyzed the COMPAS Recidivism
    Algorithm, ProPublica: the contingency tables of all, Black and White defendants.
    """
    counts: Counts = {
        ("Black",): (1369, 805, 532, 990),
        ("White",): (505, 349, 461, 1139),
        ("Other",): (2035 - 1369 - 505, 1282 - 805 - 349, 1216 - 532 - 461, 2681 - 990 - 1139),
    }
    rows = table(["race"], counts)
    found = audited(tmp_path, rows, "--prediction", "prediction", "--protected", "race")
    printed = {"all": found["overall"]} | {r: group(found, r) for r in ("Black", "White")}
    assert found["rows"] == 7214
    assert {
        who: (percent(one["fpr"]), percent(one["fnr"]), f"{one['ppv']:.2f}")
        for who, one in printed.items()
    } == {
        "all": ("32.35", "37.40", "0.61"),
        "Black": ("44.85", "27.99", "0.63"),
        "White": ("23.45", "47.72", "0.59"),
    }


@pytest.mark.parametrize(
    ("group_", "hired", "ratio", "verdict"),
    [
        ("American Indians", 45, "75", "failed"),
        ("Hispanics", 48, "80", "passed"),
        ("Blacks", 51, "85", "passed"),
    ],
)
def test_the_example_of_the_uniform_guidelines(
    tmp_path: Path, group_: str, hired: int, ratio: str, verdict: str
) -> None:
    """Whites are hired at 60%: 45/60 or 75%, 48/60 or 80%, 51/60 or 85%; only 75% is indicated.

    The guidelines print rates; the counts are theirs of 1,000 applicants each.

    Source: Questions and Answers to Clarify and Provide a Common Interpretation of the Uniform
    Guidelines on Employee Selection Procedures, 44 FR 11996 (1979).
    """
    counts: Counts = {
        (name,): (10 * share - 5, 5, 5, 1000 - 10 * share - 5)
        for name, share in (("Whites", 60), (group_, hired))
    }
    rows = table(["race"], counts)
    found = audited(tmp_path, rows, "--prediction", "prediction", "--protected", "race")
    assert percent(group(found, group_)["selection_rate"], 0) == str(hired)
    told = comparison(found, "selection_rate", "race")
    assert (told["worst"], told["best"]) == ([group_], ["Whites"])
    assert (percent(told["ratio"], 0), told["verdict"]) == (ratio, verdict)


BERKELEY: Mapping[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "A": ((512, 313), (89, 19)),
    "B": ((353, 207), (17, 8)),
    "C": ((120, 205), (202, 391)),
    "D": ((138, 279), (131, 244)),
    "E": ((53, 138), (94, 299)),
    "F": ((22, 351), (24, 317)),
}
"""Admitted and rejected, of men and of women."""


def test_berkeley_admissions(tmp_path: Path) -> None:
    """Women are admitted less in all and not in most departments: both are seen at once.

    Source: Bickel, Hammel and O'Connell (1975), Science 187; the six largest departments as in
    Freedman, Pisani and Purves, Statistics, chapter 2, table 2 (percent admitted).
    """
    counts: Counts = {
        (major, sex): (admitted, 0, 0, rejected)
        for major, both in BERKELEY.items()
        for sex, (admitted, rejected) in zip(("men", "women"), both, strict=True)
    }
    rows = table(["major", "sex"], counts)
    words = ("--prediction", "prediction", "--protected", "major,sex", "--reference", "sex=men")
    found = audited(tmp_path, rows, *words)
    assert {
        major: tuple(
            percent(group(found, major, sex)["selection_rate"], 0) for sex in ("men", "women")
        )
        for major in BERKELEY
    } == {
        "A": ("62", "82"),
        "B": ("63", "68"),
        "C": ("37", "34"),
        "D": ("33", "35"),
        "E": ("28", "24"),
        "F": ("6", "7"),
    }
    assert group(found, "B", "women")["sufficient"] is False
    told = comparison(found, "selection_rate", "sex")
    assert (told["worst"], told["best"], told["verdict"]) == (["women"], ["men"], "failed")


EVEN = (25, 25, 25, 25)


@pytest.mark.parametrize(
    ("case", "odd", "n"),
    [
        ("a group of three rows", (1, 1, 0, 1), 3),
        ("a group without positives", (0, 50, 0, 50), 100),
    ],
)
def test_a_group_that_cannot_be_judged_is_listed(
    tmp_path: Path, case: str, odd: tuple[int, int, int, int], n: int
) -> None:
    rows = table(["race"], {("a",): EVEN, ("b",): EVEN, ("odd",): odd})
    found = audited(tmp_path, rows, "--prediction", "prediction", "--protected", "race")
    assert (group(found, "odd")["n"], group(found, "odd")["sufficient"]) == (n, False), case
    assert found["verdict"] == "inconclusive", case
    assert (group(found, "odd")["tpr"] is None) == (n == 100), case


@pytest.mark.parametrize(
    ("selected", "verdict"), [(40_000, "passed"), (39_999, "failed"), (40_001, "passed")]
)
def test_four_fifths_is_exact(tmp_path: Path, selected: int, verdict: str) -> None:
    """The limit is 40,000 of 100,000 beside 50,000: ratio 0.8 passes, 0.79998 fails."""
    counts: Counts = {
        ("a",): (25_000, 25_000, 25_000, 25_000),
        ("b",): (20_000, selected - 20_000, 30_000, 70_000 - selected),
    }
    rows = table(["race"], counts)
    found = audited(tmp_path, rows, "--prediction", "prediction", "--protected", "race")
    assert found["verdict"] == verdict


def test_the_answer_has_the_agreed_shape(tmp_path: Path) -> None:
    rows = table(["race", "sex"], {("a", "f"): EVEN, ("b", "f"): EVEN, ("b", "m"): EVEN})
    found = audited(tmp_path, rows, "--prediction", "prediction", "--protected", "race,sex")
    rates = ["base_rate", "selection_rate", "accuracy", "tpr", "fpr", "fnr", "ppv"]
    assert list(found)[:5] == ["verdict", "rows", "overall", "groups", "comparisons"]
    assert list(found["overall"]) == rates
    assert {tuple(one["by"]) for one in found["groups"]} == {("race",), ("sex",), ("race", "sex")}
    for one in found["groups"]:
        assert list(one) == ["by", "value", "n", *rates, "ci", "sufficient"]
        assert list(one["ci"]) == rates
    keys = ["metric", "by", "worst", "best", "difference", "ratio", "p_adjusted"]
    for one in found["comparisons"]:
        assert list(one) == [*keys, "rule", "limit", "verdict"]


CSV = "race,age,label,score,word\n"
NULLS = f"""{CSV}a,30,1,0.9,yes
"",31,0,0.5,no
,32,1,0.49,yes
null,20,0,0.1,no
a,,1.0,0.5,yes
a,50,,0.5,yes
a,60,1,,
"""
"""The score 0.5 is positive at 0.5; a label and a score are missing."""


def test_what_is_missing_is_said_and_missing_groups_are_their_own(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(NULLS, encoding="utf-8")
    words = ("--label", "label", "--score", "score", "--threshold", "0.5")
    code, printed, _ = run(
        path, *words, "--protected", "race,age", "--edges", "age=25,40", "--json"
    )
    found = json.loads(printed)
    assert (code, found["verdict"], found["rows"]) == (1, "inconclusive", 5)
    left_out = {"label (label) is missing": 1, "score (score) is missing": 1}
    assert found["policy"]["left_out"] == left_out
    assert "left out: 1 row whose label (label) is missing" in found["summary"]
    by_race = {tuple(g["value"]): g["n"] for g in found["groups"] if g["by"] == ["race"]}
    assert by_race == {("",): 1, ("a",): 2, ("null",): 1, (None,): 1}
    by_age = [(g["value"][0], g["n"]) for g in found["groups"] if g["by"] == ["age"]]
    assert by_age == [("under 25", 1), ("25 to under 40", 3), (None, 1)]
    assert group(found, "a")["selection_rate"] == 1.0
    assert group(found, "a")["calibration"] == pytest.approx((0.9 + 0.5 - 2) / 2)
    code, printed, _ = run(path, *words, "--protected", "race")
    assert "race=(missing)" in printed
    assert "race=''" in printed
    assert "race=null" in printed


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("", "--score score", "rows.csv is empty"),
        (None, "--score score", "rows.csv does not exist"),
        (CSV + "a,1,1,nan,yes\n", "--score score", "score is 'nan' in row 1 (the first of 1)"),
        (CSV + "a,1,1,.1,\na,1,1,inf,\n", "--score score", "score is 'inf' in row 2"),
        (CSV + "a,1,1,1.01,yes\n", "--score score", "which is no probability"),
        (CSV + "a,1,1,high,yes\n", "--score score", "score is 'high' in row 1"),
        (CSV + "a,1,2,0.5,yes\n", "--score score", "label is no label in 1 of 1 rows: '2' (1 row)"),
        (CSV + "a,1,1,0.5,yes\n", "--prediction word", "word is no label in 1 of 1 rows: 'yes'"),
        (CSV + "a,1,1,0.5,yes\n", "--prediction wrd", "has no column 'wrd'; it has race, age, la"),
        (
            "race,label,score,label\na,1,.1,0\n",
            "--score score",
            "has 2 columns that are called 'la",
        ),
        (CSV + "a,1,1\n", "--score score", "Line: 2"),
        (CSV + "a,1,1,.5,x\n", "--score score --reference race=b", "race has no group 'b'"),
        (CSV + "old,1,1,.5,x\n", "--score score --edges race=1,2", "race is 'old' in row 1"),
        (CSV + "a,1,yes,.5,x\n", "--score score --positive ja", "label is no label in 1 of 1 rows"),
        (
            CSV + "".join(f"{n},1,1,.5,x\n" for n in range(31)),
            "--score score",
            "race is a number with 31 values, each of which would be a group",
        ),
        (
            CSV + "".join(f"x{n},1,1,.5,x\n" for n in range(1001)),
            "--score score",
            "race has 1,001 values, each of which would be a group",
        ),
        (b"\xff\xfe\x00race", "--score score", "is neither Parquet nor a CSV in UTF-8"),
        (b"PAR1 and then nothing", "--score score", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_judged_is_no_verdict(
    tmp_path: Path, text: str | bytes | None, words: str, said: str
) -> None:
    path = tmp_path / "rows.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    asked = words + (" --threshold 0.5" if "score score" in words else "")
    code, printed, error = run(path, "--label", "label", *asked.split(), "--protected", "race")
    assert (code, printed) == (2, "")
    assert said in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--protected race --prediction word", "a file needs --label"),
        ("--label label --prediction word", "a file needs --protected"),
        ("--label label --protected race", "either --prediction or --score"),
        ("--label label --protected race --score score", "belong together"),
        ("--label label --protected race --prediction word --threshold 1", "belong together"),
        ("--label label --protected race --score score --threshold 1.5", "is not from 0 to 1"),
        (
            "--label label --protected race,race --prediction word",
            "attributes names a column twice",
        ),
        ("--label label --protected label --prediction word", "label is named twice"),
        ("--label label --protected race --prediction word --edges age=1", "edges names age"),
        ("--label label --protected race --prediction word --edges race=a", "are no numbers"),
        ("--label label --protected race --prediction word --edges race", "as NAME=VALUE"),
        ("--label label --protected race --prediction word --metric odds", "Input should be"),
        ("--label label --protected race --prediction word --min-ratio 2", "less than or equal"),
    ],
)
def test_wrong_usage(tmp_path: Path, words: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(NULLS, encoding="utf-8")
    code, printed, error = run(path, *words.split())
    assert (code, printed) == (2, "")
    assert said in " ".join(error.replace("│", " ").split())


def test_options_of_a_file_do_not_go_with_a_version() -> None:
    code, _, error = run(Path("loan_ok@1"), "--metric", "accuracy")
    assert code == 2
    assert "--metric: only for a file" in " ".join(error.replace("│", " ").split())


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ((1, 0), None),
        ((1.0, 0.0), None),
        ((True, False), None),
        (("1", "0"), None),
        (("true", "false"), None),
        (("1.0", "0.0"), None),
        ((1, 2), "1"),
        ((2, 1), "2"),
        (("yes", "no"), "yes"),
        (("2.0", "1.0"), "2"),
    ],
)
def test_labels_are_read_by_the_rule_of_labels(
    tmp_path: Path, values: tuple[Any, Any], positive: str | None
) -> None:
    rows = pa.table({"race": ["a"] * 4 + ["b"] * 4, "label": [*values] * 4, "p": [values[0]] * 8})
    words = ("--positive", positive) if positive else ()
    found = audited(tmp_path, rows, "--prediction", "p", "--protected", "race", *words)
    assert (found["overall"]["base_rate"], found["overall"]["selection_rate"]) == (0.5, 1.0)


def test_a_strange_path_and_strange_names(tmp_path: Path) -> None:
    path = tmp_path / "a*[b]?'.csv"
    path.write_text(
        '"the ""race""";label;p\r\na;1;1\r\na;0;0\r\n"b;c";1;0\r\n', encoding="utf-8-sig"
    )
    words = ("--label", "label", "--prediction", "p", "--protected", 'the "race"')
    _, printed, error = run(path, *words, "--json")
    assert [one["value"] for one in json.loads(printed)["groups"]] == [["a"], ["b;c"]], error


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([{"a": 1}] * 4, "odd is STRUCT(a BIGINT), which is no single value"),
        ([[1]] * 4, "odd is BIGINT[], which is no single value"),
        ([b"x"] * 4, "odd is BLOB, which is no single value"),
    ],
)
def test_what_is_no_single_value_is_refused(tmp_path: Path, values: list[Any], said: str) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"label": [1, 0, 1, 0], "p": [1, 0, 0, 1], "odd": values}), path)
    words = ("--label", "label", "--prediction", "p", "--protected", "odd")
    code, printed, error = run(path, *words)
    assert (code, printed) == (2, "")
    assert said in error


def test_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    import pyarrow.csv as pc

    rows = table(["race"], {("a",): (40, 30, 20, 10), ("b",): (10, 20, 30, 40)})
    pq.write_table(rows, tmp_path / "rows.parquet")
    pc.write_csv(rows, tmp_path / "rows.csv")
    words = ("--label", "label", "--prediction", "prediction", "--protected", "race", "--json")
    both = [json.loads(run(tmp_path / f"rows.{kind}", *words)[1]) for kind in ("csv", "parquet")]
    for one in both:
        del one["subject"], one["summary"]
    assert both[0] == both[1]


def test_the_command_needs_no_heavy_library(tmp_path: Path) -> None:
    """Importing any of these takes longer than the whole audit of a million rows."""
    (tmp_path / "rows.csv").write_text(NULLS, encoding="utf-8")
    words = ("--label", "label", "--score", "score", "--threshold", "0.5", "--protected", "race")
    program = (
        "import sys; from tenure.cli import app; app(standalone_mode=False); "
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "bias-audit", str(tmp_path / "rows.csv"), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "duckdb" in loaded
    assert loaded & {"ibis", "pandas", "pyarrow", "scipy", "sklearn", "sqlalchemy"} == set()
