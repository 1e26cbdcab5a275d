"""Data Docs of a validation: GX draws, and nothing in them runs or tells what is hidden."""

import json
import re
from typing import Any

import pytest

from tenure.adapters import gx_docs
from tenure.adapters.gx_docs import draw

NASTY = '<script>document.title="owned"</script>'
WORSE = '"><img src=x onerror=alert(1)>'


def result(kind: str, *, success: bool = False, **more: Any) -> dict[str, Any]:
    """A result as GX writes it."""
    usual = {"column": "x"} | ({"value_set": ["a"]} if kind == IN_SET else {})
    return {
        "success": success,
        "expectation_config": {
            "type": kind,
            "kwargs": more.get("kwargs", usual),
            "severity": "critical",
            "notes": NASTY,
            "meta": {"notes": NASTY},
            "description": NASTY,
        },
        "result": more.get("result", {}),
        "exception_info": more.get("exception_info", {"raised_exception": False}),
    }


def by_row(values: list[Any]) -> dict[str, Any]:
    return {
        "element_count": 5_000,
        "missing_count": 0,
        "missing_percent": 0.0,
        "unexpected_count": len(values),
        "unexpected_percent": len(values) / 50,
        "unexpected_percent_total": len(values) / 50,
        "unexpected_percent_nonmissing": len(values) / 50,
        "partial_unexpected_list": values,
        "unexpected_list": values * 50,
        "unexpected_index_list": list(range(len(values))),
    }


IN_SET = "expect_column_values_to_be_in_set"


def text(page: bytes) -> str:
    """What a reader sees."""
    import html

    return html.unescape(re.sub(r"<[^>]*>", "", page.decode()))


@pytest.mark.parametrize(
    "evil", [NASTY, WORSE, "${x} {{ 77777 * 77777 }} [a](javascript:alert(1)) `", "$x"]
)
def test_names_values_and_notes_are_drawn_as_text(evil: str) -> None:
    kwargs = {"column": evil, "value_set": ["a", evil]}
    page = draw(evil, f"a/b {evil}", [result(IN_SET, kwargs=kwargs, result=by_row([evil, "b"]))])
    markup = page.decode()
    for raw in ("<script", "<img", '<a href="javascript', "onerror=alert(1)>", "{{", "6049261729"):
        assert raw not in markup
    assert evil in text(page)
    assert "a/b " in text(page)


def test_what_a_steward_noted_is_not_for_gx() -> None:
    page = draw("s", "b", [result(IN_SET)])
    assert "owned" not in page.decode()


def test_the_page_loads_nothing_and_has_no_script() -> None:
    page = draw("s", "b", [result(IN_SET, result=by_row(["c"]))]).decode()
    assert "<script" not in page
    assert "<link" not in page
    assert "http" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert re.findall(r'(?:src|href)="([^#"]*)"', page) == ["../../../../expectations/s.html"]


def test_values_of_hidden_columns_are_left_out() -> None:
    secret = "ada@example.org"
    whole = {"observed_value": secret}
    page = text(
        draw(
            "s",
            "b",
            [
                result(
                    IN_SET, kwargs={"column": "mail", "value_set": ["a"]}, result=by_row([secret])
                ),
                result("expect_column_max_to_be_between", kwargs={"column": "mail"}, result=whole),
                result(
                    "expect_column_distinct_values_to_be_in_set",
                    kwargs={"column": "mail", "value_set": ["a"]},
                    result={"observed_value": None, "partial_unexpected_list": [secret]},
                ),
                result(
                    "expect_compound_columns_to_be_unique",
                    kwargs={"column_list": ["id", "mail"]},
                    result=by_row([{"id": 1, "mail": secret}]),
                ),
                result(
                    IN_SET, kwargs={"column": "city", "value_set": [1]}, result=by_row(["oslo"])
                ),
            ],
            hidden=frozenset({"mail"}),
        )
    )
    assert secret not in page
    assert "oslo" in page
    assert page.count("(not shown)") == 2


def test_distinct_values_without_a_share_are_drawn() -> None:
    """GX itself ends in KeyError 'unexpected_percent' here."""
    seen = {"observed_value": None, "unexpected_count": 3, "partial_unexpected_list": ["u", "v"]}
    kwargs = {"column": "x", "value_set": ["a"]}
    kind = "expect_column_distinct_values_to_be_in_set"
    page = draw("s", "b", [result(kind, kwargs=kwargs, result=seen)])
    assert "u, v" in text(page)
    assert "distinct values must belong to this set" in text(page)


def test_numbers_of_numpy_are_drawn() -> None:
    import numpy as np

    seen = {"observed_value": np.float64(5.75)}
    page = draw("s", "b", [result("expect_column_mean_to_be_between", result=seen)])
    assert "5.75" in text(page)


def test_an_expectation_that_could_not_be_computed_shows_one_line_and_no_path() -> None:
    info = {
        "metric": {
            "raised_exception": True,
            "exception_message": f"no column {NASTY}\nsecond line",
            "exception_traceback": 'File "/secret/place.py"',
        }
    }
    page = draw("s", "b", [result(IN_SET, exception_info=info)])
    assert f"no column {NASTY}" in text(page)
    assert "second line" not in text(page)
    assert "/secret" not in page.decode()


def test_what_is_drawn_is_bounded() -> None:
    long = ["y" * 5_000] * 1_000
    kwargs = {"column": "x" * 1_000, "value_set": long}
    page = draw("s", "b", [result(IN_SET, kwargs=kwargs, result=by_row(long))])
    assert len(page) < 30_000
    assert "and 980 more" in text(page)


@pytest.mark.parametrize("values", [list(range(50)), [n / 3 for n in range(50)], [True, False]])
def test_sets_of_any_kind_are_drawn(values: list[Any]) -> None:
    page = draw("s", "b", [result(IN_SET, kwargs={"column": "x", "value_set": values})])
    assert "values must belong to this set" in text(page)


def test_a_batch_in_which_everything_holds_says_so() -> None:
    page = text(draw("s", "b", [result(IN_SET, success=True, result=by_row([]))]))
    assert "Succeeded" in page
    assert "100%" in page


def test_an_empty_result_is_a_page_as_well() -> None:
    assert b"Evaluated Expectations" in draw("s", "b", [])


def test_results_of_gx_are_drawn_as_they_come() -> None:
    """The shape above is GX's own: one real validation, through JSON."""
    import great_expectations as gx
    import pandas as pd
    from great_expectations.core.expectation_suite import ExpectationSuite

    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a/b")
    whole = asset.add_batch_definition_whole_dataframe("w")
    frame = pd.DataFrame({NASTY: ["a", NASTY, None], "n": [1, 2, 30]})
    kinds: list[dict[str, Any]] = [
        {"type": IN_SET, "kwargs": {"column": NASTY, "value_set": ["a"]}, "notes": NASTY},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "n", "max_value": 1}},
        {"type": IN_SET, "kwargs": {"column": "gone", "value_set": ["a"]}},
    ]
    suite = ExpectationSuite("s", expectations=kinds)
    found = whole.get_batch({"dataframe": frame}).validate(suite, result_format="COMPLETE")
    results = json.loads(json.dumps(found.to_json_dict(), default=str))["results"]
    page = draw("s", "a/b", results)
    assert b"<script" not in page
    assert text(page).count(NASTY) >= 3
    assert "11" in text(page)


def test_signs_survive_whatever_gx_escapes() -> None:
    shown = gx_docs.defused("<&\"'$`{}\\")
    assert not set(shown) & set("<&\"'$`{}\\")
    assert shown.translate(gx_docs._ENTITIES) == ("&#60;&#38;&#34;&#39;&#36;&#96;&#123;&#125;&#92;")
    assert gx_docs.defused("a\x00b\u2028c\ue03cd") == "a b c d"
