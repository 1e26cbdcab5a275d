"""A planted bad slice is found and confirmed; without one nothing is named."""

from typing import Any

import numpy as np
import pytest

from tenure.lifecycle.training.evaluation.slices import (
    MISSING,
    OTHERS,
    SHOWN_VALUES,
    appraise_slices,
    cut_numbers,
    cut_texts,
)

ROWS = 6_000


def columns(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    numbers = {name: cut_numbers(rng.normal(size=ROWS)) for name in ("age", "income")}
    texts = {name: cut_texts(rng.choice(["a", "b", "c"], ROWS)) for name in ("kind", "region")}
    return numbers | texts


def slices(seed: int, bad: Any = None, extra: float = 0.3) -> Any:
    rng, cut = np.random.default_rng(seed + 1000), columns(seed)
    chance = np.full(ROWS, 0.2)
    if bad is not None:
        chance[bad(cut)] += extra
    loss = (rng.random(ROWS) < chance).astype(float)
    means = {"base_rate": rng.random(ROWS) < 0.4, "selection_rate": rng.random(ROWS) < 0.4}
    found = appraise_slices(cut, means, loss, loss_name="wrong_label_rate", min_rows=100)
    return found.facts["slices"]


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_pair_is_found(seed: int) -> None:
    def bad(cut: Any) -> Any:
        return (cut["kind"].codes == 0) & (cut["age"].codes == 3)

    found = slices(seed, bad)
    kind = columns(seed)["kind"].names[0]
    assert set(found["worst"][0]["slice"]) == {"kind", "age"}
    assert found["worst"][0]["slice"]["kind"] == kind
    low, high = found["worst"][0]["interval"]
    assert 0 < low < found["worst"][0]["excess_loss"] < high
    assert low < 0.3 < high


def test_a_bad_value_is_found_alone() -> None:
    found = slices(1, lambda cut: cut["region"].codes == 2)
    assert {"region": columns(1)["region"].names[2]} in [one["slice"] for one in found["worst"]]


def test_the_same_rows_are_named_once() -> None:
    cut = columns(1) | {"dry": cut_numbers(np.zeros(ROWS))}  # everybody is in one part of it
    bad = cut["region"].codes == 2
    loss = (np.random.default_rng(1).random(ROWS) < 0.2 + 0.3 * bad).astype(float)
    found: Any = appraise_slices(
        cut, {"base_rate": bad}, loss, loss_name="wrong_label_rate", min_rows=100
    ).facts["slices"]
    assert list(found["worst"][0]["slice"]) == ["region"]
    assert len({one["rows"] for one in found["worst"]}) == len(found["worst"])


@pytest.mark.exhaustive
def test_where_nobody_is_worse_hardly_ever_somebody_is_named() -> None:
    alarms = sum(bool(slices(seed)["worst"]) for seed in range(300))
    assert alarms <= 300 * 0.05


def test_each_row_is_in_one_slice_of_each_column() -> None:
    found = slices(2)
    for stated in found["by_column"].values():
        assert sum(one["rows"] for one in stated) == ROWS
    assert found["searched"] > 4 * 3
    assert found["overall"] == pytest.approx(
        sum(one["rows"] * one["loss"] for one in found["by_column"]["kind"]) / ROWS
    )


def test_few_rows_are_not_searched() -> None:
    cut = {"kind": cut_texts(np.array(["a", "b"] * 40, dtype=object))}
    bad = np.tile([1.0, 0.0], 40)
    found: Any = appraise_slices(
        cut, {"base_rate": bad}, bad, loss_name="wrong_label_rate", min_rows=50
    ).facts["slices"]
    assert (found["searched"], found["worst"]) == (0, [])
    assert [one["loss"] for one in found["by_column"]["kind"]] == [1.0, 0.0]


def test_names_of_slices() -> None:
    numbers = cut_numbers(np.array([1.0, 2.0, 3.0, 4.0, np.nan]))
    assert [numbers.names[code] for code in numbers.codes] == [
        *["below 1.75", "1.75 to below 2.5", "2.5 to below 3.25", "from 3.25 on", MISSING]
    ]
    assert cut_numbers(np.full(3, np.nan)).names == (MISSING,)
    assert cut_numbers(np.zeros(3)).names == ("below 0", "from 0 on", MISSING)
    many = cut_texts(np.array([None, "", *[f"v{i:02}" for i in range(20)]], dtype=object))
    assert many.names[0] == MISSING
    assert many.names[-1] == OTHERS
    assert int((many.codes == SHOWN_VALUES).sum()) == 20 - (SHOWN_VALUES - 1)
