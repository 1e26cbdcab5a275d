"""Great Expectations itself is asked whether our rules mean what its own mean."""

import warnings
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from tenure.adapters.gx_validator.rules import RowResult, look
from tenure.config.suite_arguments import CATALOG

AT = [datetime(2013, 3, day, 12, tzinfo=UTC) for day in (1, 2, 2, 4, 5, 6)]
TABLE = pa.table(
    {
        "whole": pa.array([1, 2, 2, 3, 5, 8], pa.int64()),
        "other": pa.array([1, 1, 3, 3, 4, 9], pa.int64()),
        "x": pa.array([0.5, None, 0.5, 2.5, None, -1.0]),
        "y": pa.array([0.5, None, 0.1, None, 1.0, -2.0]),
        "name": pa.array(["a", "bb", None, "bb", "ä", ""]),
        "at": pa.array(AT, pa.timestamp("us", "UTC")),
        "none": pa.array([None] * 6, pa.float64()),
    }
)
"""Where GX is exact: no integer beside a null, none beyond 2**53."""
QUESTIONS: dict[str, list[dict[str, Any]]] = {
    "values_to_not_be_null": [{"column": "x"}, {"column": "x", "mostly": 0.5}, {"column": "none"}],
    "values_to_be_null": [{"column": "x"}, {"column": "x", "mostly": 1 / 3}, {"column": "none"}],
    "values_to_be_between": [
        {"column": "whole", "min_value": 2, "max_value": 5},
        {"column": "whole", "min_value": 2, "strict_min": True, "max_value": 5, "mostly": 0.5},
        {"column": "x", "max_value": 0.5, "strict_max": True},
    ],
    "values_to_be_in_set": [
        {"column": "whole", "value_set": [1, 2, 3]},
        {"column": "whole", "value_set": [1, 2.5, 3.0]},
        {"column": "name", "value_set": ["a", ""]},
        {"column": "x", "value_set": [0.5, -1], "mostly": 0.75},
    ],
    "values_to_not_be_in_set": [
        {"column": "whole", "value_set": [2]},
        {"column": "x", "value_set": [0.5]},
    ],
    "values_to_be_unique": [{"column": "whole"}, {"column": "x"}, {"column": "at"}],
    "value_lengths_to_be_between": [
        {"column": "name", "max_value": 1},
        {"column": "name", "min_value": 1, "strict_min": True},
    ],
    "values_to_match_regex": [{"column": "name", "regex": "^[a-z]"}],
    "values_to_not_match_regex": [{"column": "name", "regex": "^[a-z]"}],
    "pair_values_a_to_be_greater_than_b": [
        {"column_A": a, "column_B": b, "or_equal": equal, "ignore_row_if": ignore}
        for a, b in (("whole", "other"), ("x", "y"))
        for equal in (True, False)
        for ignore in ("both_values_are_missing", "either_value_is_missing", "neither")
    ],
    "pair_values_to_be_equal": [
        {"column_A": "whole", "column_B": "other"},
        {"column_A": "x", "column_B": "y"},
        {"column_A": "x", "column_B": "y", "ignore_row_if": "neither"},
        {"column_A": "name", "column_B": "whole"},
    ],
    "compound_columns_to_be_unique": [
        {"column_list": ["x", "y"]},
        {"column_list": ["whole", "at"]},
        {"column_list": ["x", "none"]},
    ],
    "unique_value_count_to_be_between": [{"column": "x", "min_value": 3, "max_value": 3}],
    "proportion_of_unique_values_to_be_between": [{"column": "x", "max_value": 0.7}],
    "proportion_of_non_null_values_to_be_between": [{"column": "x", "min_value": 0.7}],
    "distinct_values_to_be_in_set": [
        {"column": "whole", "value_set": [1, 2, 3]},
        {"column": "name", "value_set": ["a", "bb", "ä", "", "z"]},
    ],
    "distinct_values_to_contain_set": [
        {"column": "whole", "value_set": [1, 2]},
        {"column": "whole", "value_set": [1, 9]},
    ],
    "distinct_values_to_equal_set": [
        {"column": "whole", "value_set": [8, 5, 3, 2, 1]},
        {"column": "whole", "value_set": [1, 9]},
    ],
    **{
        f"{measure}_to_be_between": [
            {"column": "whole", "min_value": 2},
            {"column": "x", "min_value": -1, "max_value": 2.5, "strict_min": True},
            *([] if measure == "sum" else [{"column": "none", "max_value": 1}]),
        ]
        for measure in ("mean", "median", "min", "max", "stdev", "sum")
    },
}
"""The sum of nothing is 0 to GX; to us it is no number."""
CASES = [
    (kind, kwargs)
    for kind in CATALOG
    for kwargs in QUESTIONS.get(kind.removeprefix("expect_").removeprefix("column_"), [])
] + [("expect_table_row_count_to_be_between", {"min_value": 6, "max_value": 7, "strict_min": True})]


def test_every_type_is_asked() -> None:
    assert {kind for kind, _ in CASES} == {*CATALOG}


@pytest.fixture(scope="module")
def answers() -> list[Any]:
    """What GX says to each case, in one run."""
    import tenure.adapters.gx_docs  # noqa: F401 -- quiet, and without its analytics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations as gx
        from great_expectations.core.expectation_suite import ExpectationSuite

        context = gx.get_context(mode="ephemeral")
        asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
        batch = asset.add_batch_definition_whole_dataframe("w")
        ids = [f"{n:08d}-0000-4000-8000-000000000000" for n in range(len(CASES))]
        suite = ExpectationSuite(
            "s",
            expectations=[
                {"id": ident, "type": kind, "kwargs": dict(kwargs)}
                for ident, (kind, kwargs) in zip(ids, CASES, strict=True)
            ],
        )
        frame = TABLE.to_pandas()
        found = batch.get_batch({"dataframe": frame}).validate(suite, result_format="COMPLETE")
    by_id = {result.expectation_config.id: result for result in found.results}
    return [by_id[ident] for ident in ids]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[kind for kind, _ in CASES])
def test_gx_says_the_same(number: int, answers: list[Any]) -> None:
    kind, kwargs = CASES[number]
    theirs = answers[number]

    ours = look(TABLE, kind, kwargs)

    assert not theirs.exception_info.get("raised_exception"), theirs.exception_info
    if isinstance(ours, RowResult):
        looked_at = theirs.result["element_count"]
        if not kind.endswith("be_null"):
            looked_at -= theirs.result["missing_count"]
        good = (ours.looked_at - len(ours.broken)) / ours.looked_at
        assert ours.looked_at == looked_at
        assert ours.broken == theirs.result["unexpected_index_list"]
        assert (good >= kwargs.get("mostly", 1)) is theirs.success
        return
    assert ours.holds is theirs.success
    if "value_set" not in kwargs and ours.value is not None:
        assert ours.value == pytest.approx(theirs.result["observed_value"])
