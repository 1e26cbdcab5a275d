"""Which answer to a trial counts."""

import pytest

from tenure.lifecycle.promotion.trial_loads import TrialAnswer, verdict

OK_A, OK_B = TrialAnswer("a", True), TrialAnswer("b", True)
NO_A, NO_B = TrialAnswer("a", False, "other bytes"), TrialAnswer("b", False, "too large")
TWO = {"a", "b"}


@pytest.mark.parametrize(
    ("answers", "known", "is_over", "counts"),
    [
        pytest.param([], TWO, False, None, id="nobody yet"),
        pytest.param([], TWO, True, None, id="nobody"),
        pytest.param([OK_A], TWO, False, OK_A, id="one ok is enough"),
        pytest.param([NO_A], TWO, False, None, id="a refusal waits for the other"),
        pytest.param([NO_A, OK_B], TWO, False, OK_B, id="ok beside a refusal"),
        pytest.param([NO_A, NO_B], TWO, False, NO_A, id="all refuse"),
        pytest.param([NO_A], {"a"}, False, NO_A, id="the only one refuses"),
        pytest.param([NO_A], TWO, True, NO_A, id="the other is silent"),
        pytest.param([OK_B], {"a"}, False, OK_B, id="ok of one that is new"),
        pytest.param([NO_B], {"a"}, False, None, id="refusal of one that is new"),
    ],
)
def test_verdict(
    answers: list[TrialAnswer], known: set[str], *, is_over: bool, counts: TrialAnswer | None
) -> None:
    assert verdict(answers, known=known, is_over=is_over) == counts
