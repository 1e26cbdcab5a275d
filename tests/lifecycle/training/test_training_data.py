"""Groups and labels of the rows that were learned from."""

from typing import Any

import numpy as np
import pytest

from tenure.lifecycle.training.bias.training_data import describe, views_of_rows


def column(*values: str | None) -> Any:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def described(labels: Any, *, min_rows: int = 1, edges: Any = None, **protected: Any) -> Any:
    views = views_of_rows(protected, list(protected), edges or {}, intersections=True)
    return describe(list(views), labels, min_rows=min_rows)


def test_every_group_and_crossing_is_counted_with_its_labels() -> None:
    found = described(
        np.array([True, True, False, False]),
        sex=column("f", "f", "m", None),
        race=column("a", "b", "a", "a"),
    )
    told = {
        tuple(one["value"]): (one["n"], one["share"], one["label_rate"]) for one in found["groups"]
    }
    assert told == {
        ("f",): (2, 0.5, 1.0),
        ("m",): (1, 0.25, 0.0),
        (None,): (1, 0.25, 0.0),
        ("a",): (3, 0.75, pytest.approx(1 / 3)),
        ("b",): (1, 0.25, 1.0),
        ("f", "a"): (1, 0.25, 1.0),
        ("f", "b"): (1, 0.25, 1.0),
        ("m", "a"): (1, 0.25, 0.0),
        (None, "a"): (1, 0.25, 0.0),
    }
    assert found["rows"] == 4
    race = next(one for one in found["label_gaps"] if one["by"] == ["race"])
    assert (race["lowest"], race["highest"]) == (["a"], ["b"])
    assert race["difference"] == pytest.approx(2 / 3)
    assert race["ratio"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("min_rows", "few"), [(1, []), (2, ["sex=m"]), (3, ["sex=f", "sex=m"])])
def test_groups_below_the_minimum_are_listed_and_their_gap_is_not_stated(
    min_rows: int, few: list[str]
) -> None:
    found = described(np.array([True, False, True]), sex=column("f", "f", "m"), min_rows=min_rows)
    assert found["too_few"] == few
    assert len(found["groups"]) == 2
    assert len(found["label_gaps"]) == (0 if few else 1)


def test_numbers_have_means_and_classes_have_rates() -> None:
    sex = column("f", "f", "m", "m")
    numbers = described(np.array([1.0, 3.0, 10.0, 10.0]), sex=sex)
    assert [one["label_mean"] for one in numbers["groups"]] == [2.0, 10.0]
    assert numbers["label_gaps"][0]["difference"] == 8.0
    assert numbers["label_gaps"][0]["ratio"] is None  # of means it would depend on their zero
    classes = described(column("x", "y", "z", "z"), sex=sex)
    assert classes["groups"][0]["label_rates"] == {"x": 0.5, "y": 0.5, "z": 0.0}
    assert classes["label_gaps"] == []


def test_no_positive_label_anywhere_has_no_ratio() -> None:
    found = described(np.zeros(4, dtype=bool), sex=column("f", "f", "m", "m"))
    assert found["label_gaps"][0]["ratio"] is None


def test_a_number_is_banded_as_in_the_audit() -> None:
    found = described(
        np.array([True, False, True]), age=column("24.9", "25", None), edges={"age": (25.0, 40.0)}
    )
    assert [one["value"] for one in found["groups"]] == [["under 25"], ["25 to under 40"], [None]]
