"""`tenure bias-audit FILE` of several classes: by guess, which is said, or because it was asked."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tenure import cli

HEADER = "cause,said,sex\n"
ROWS = {
    ("a", "a", "f"): 40, ("a", "b", "f"): 10, ("b", "b", "f"): 30, ("b", "c", "f"): 10,
    ("c", "c", "f"): 20, ("c", "a", "f"): 10,
    ("a", "a", "m"): 44, ("a", "c", "m"): 6, ("b", "b", "m"): 30, ("b", "a", "m"): 10,
    ("c", "c", "m"): 21, ("c", "b", "m"): 9,
}  # fmt: skip
TEXT = HEADER + "".join(f"{','.join(row)}\n" * n for row, n in ROWS.items())


def run(tmp_path: Path, text: str, words: str) -> tuple[int, str, str]:
    """Exit code, what is printed, and the error."""
    path = tmp_path / "rows.csv"
    path.write_text(text)
    options = ["--label", "cause", "--prediction", "said", "--protected", "sex", *words.split()]
    done = CliRunner().invoke(cli.app, ["bias-audit", str(path), *options])
    error = done.exception
    if isinstance(error, cli.TenureError):
        return cli.exit_code(error), done.stdout, "\n".join([error.what, *error.lines()])
    assert error is None or isinstance(error, SystemExit), error
    return done.exit_code, done.stdout, done.stderr


def audited(tmp_path: Path, words: str, text: str = TEXT) -> dict[str, Any]:
    code, printed, error = run(tmp_path, text, f"{words} --json")
    assert printed, error
    found: dict[str, Any] = json.loads(printed)
    assert code == (found["verdict"] != "passed")
    return found


def rates(found: dict[str, Any], sex: str, **of: str) -> dict[str, Any]:
    [one] = [
        one
        for one in found["groups"]
        if one["value"] == [sex] and all(one[key] == value for key, value in of.items())
    ]
    return dict(one)


def test_each_class_is_judged_against_the_rest(tmp_path: Path) -> None:
    found = audited(tmp_path, "--min-ratio 0.7")
    assert "taken for several classes: cause has 3 values" in found["summary"]
    assert found["policy"]["classes"] == ["a", "b", "c"]
    assert found["rows"] == 240
    women = rates(found, "f", **{"class": "a"})
    assert (women["n"], women["selection_rate"]) == (120, pytest.approx(50 / 120))
    assert women["tpr"] == pytest.approx(40 / 50)
    assert women["fpr"] == pytest.approx(10 / 70)
    [gap] = [
        one
        for one in found["comparisons"]
        if (one["class"], one["metric"]) == ("c", "selection_rate")
    ]
    assert gap["ratio"] == pytest.approx((27 / 120) / (30 / 120))
    code, printed, _ = run(tmp_path, TEXT, "--min-ratio 0.7")
    assert code == (found["verdict"] != "passed")
    assert "class a: sex=f" in printed


def test_accuracy_is_of_the_class_and_several_may_count_as_selected(tmp_path: Path) -> None:
    right = audited(tmp_path, "--metric accuracy --task multiclass")
    assert "taken for" not in right["summary"]
    assert rates(right, "f")["accuracy"] == pytest.approx(90 / 120)
    chosen = audited(tmp_path, "--positive a,b")
    assert "taken for several classes: --positive names" in chosen["summary"]
    assert chosen["policy"]["positive"] == ["a", "b"]
    assert rates(chosen, "m")["selection_rate"] == pytest.approx(93 / 120)


def test_classes_that_are_numbers_are_spelled_in_one_way(tmp_path: Path) -> None:
    text = TEXT.replace("a", "1.0", 3).replace("a,", "1,").replace(",b,", ",2,").replace("b,", "2,")
    text = HEADER + text[text.index("\n") + 1 :].replace("c,", "3,")
    assert "1.0" in text
    found = audited(tmp_path, "--task multiclass", text)
    assert found["policy"]["classes"] == ["1", "2", "3"]
    assert rates(found, "f", **{"class": "1"})["selection_rate"] == pytest.approx(50 / 120)


@pytest.mark.parametrize(
    ("text", "words", "code", "says"),
    [
        (TEXT.replace("c,", "0,"), "", 2, "say --task multiclass where they are several classes"),
        (TEXT, "--task binary", 2, "cause is no label"),
        (TEXT, "--positive a", 2, "cause is no label"),
        (TEXT, "--positive a,z", 2, "no label and no prediction is 'z'; there are a, b, c"),
        (TEXT, "--task ranking", 2, "--task ranking is not binary or multiclass"),
        (TEXT, "--task multiclass --metric calibration", 2, "calibration is of the one score"),
        (TEXT, "--task multiclass --reference sex=x", 2, "sex has no group 'x'"),
        (
            HEADER + "".join(f"k{n},k{n},f\n" for n in range(101)),
            "",
            2,
            "said has 101 values; at most 100 classes",
        ),
        (HEADER + f"{'x' * 129},b,f\na,b,f\nc,c,f\n", "", 2, "cause is no class in 1 of 3 rows"),
    ],
)
def test_what_cannot_be_judged(tmp_path: Path, text: str, words: str, code: int, says: str) -> None:
    found, printed, error = run(tmp_path, text, words)
    assert (found, printed) == (code, "")
    assert says in " ".join(error.replace("│", " ").split())
