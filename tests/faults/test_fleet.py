"""What the soak judges by: a leak is seen through restarts, and restarts are no leak."""

import pytest
from fleet import Sample, growth, p99


def looks(leak_mb: float) -> list[Sample]:
    """A look each second for 300 s; restarts at 100 and 200, a canary in memory from 150 to 180."""
    found = []
    for at in range(300):
        age, canary = at % 100, 150 <= at < 180
        warm_up = min(age, 20) * 3.0
        size = 40.0 + 10 * canary + warm_up + age * leak_mb
        found.append(Sample(at, "gw-a", at // 100 + 1, size, size, 2 + canary))
    return found


@pytest.mark.parametrize(
    ("leak_mb", "expected"),
    [
        pytest.param(0.0, 0.0, id="none"),
        pytest.param(0.1, 0.1 / 106, id="a tenth of a MB a second"),
    ],
)
def test_growth(leak_mb: float, expected: float) -> None:
    got = growth(looks(leak_mb), lambda s: s.own_mb, 20, lambda s: (s.pid, s.models))
    assert got == pytest.approx(expected, rel=0.03, abs=1e-12)


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (100, 98), (101, 99), (1_000, 989)])
def test_p99(count: int, expected: int) -> None:
    assert p99(range(count)) == expected
