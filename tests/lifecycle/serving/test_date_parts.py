"""The parts of a date: whatever it is, and where there is none."""

import math

import numpy as np
import pytest

from tenure.lifecycle.serving.date_parts import PARTS, date_parts, day_numbers, years


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1970-01-01T00:00:00Z", (1970, 1, 1, 3, 0, 0.0)),
        ("1969-12-31T23:30:00Z", (1969, 12, 31, 2, 23, -0.5 / 24)),
        ("2024-02-29", (2024, 2, 29, 3, 0, 19782.0)),
        ("2024-02-29T18:00:00.5Z", (2024, 2, 29, 3, 18, 19782.75 + 0.5 / 86_400)),
        ("2024-03-01T00:30:00+02:00", (2024, 2, 29, 3, 22, 19782 + 22.5 / 24)),
        ("0001-01-01T00:00:00Z", (1, 1, 1, 0, 0, -719162.0)),
        ("9999-12-31T23:59:59Z", (9999, 12, 31, 4, 23, 2932896 + 86_399 / 86_400)),
        ("2023-02-30", None),
        ("never", None),
        ("", None),
        (None, None),
        (math.nan, None),
    ],
)
def test_parts(text: object, parts: tuple[float, ...] | None) -> None:
    found = date_parts([[text]])[0]
    assert len(found) == len(PARTS)
    if parts is None:
        assert np.isnan(found).all()
    else:
        assert found.tolist() == pytest.approx(parts, abs=1e-9)


def test_columns_stand_side_by_side() -> None:
    found = date_parts([["2024-02-29", None], [None, "2025-01-01"]])
    assert found.shape == (2, 12)
    assert found[0, 0] == 2024
    assert found[1, 6] == 2025
    assert np.isnan(found[0, 6:]).all()


def test_years_and_days() -> None:
    texts = np.array(["2024-02-29", None, "x"], dtype=object)
    assert years(texts).tolist() == ["2024", "", ""]
    assert day_numbers(texts)[0] == 19782
    assert np.isnan(day_numbers(texts)[1:]).all()
