"""The verdict in one sentence: what decides, with its numbers, whatever the canary came to."""

from dataclasses import replace

import pytest

from tenure.lifecycle.promotion.canary import (
    CanaryAction,
    CanaryJudgement,
    CanaryMetric,
    CanaryPolicy,
    judge,
)
from tenure.lifecycle.promotion.canary_sentence import ratio_words, verdict_sentence
from tenure.lifecycle.promotion.event_rates import ShareCounts
from tenure.lifecycle.promotion.means import ArmLoss, ShareLosses

POLICY = CanaryPolicy(
    shares_bp=(500, 10_000),
    metrics=(CanaryMetric(event="wrong_label", margin=1.5, min_subjects=100),),
    min_step_subjects=100,
    max_analyses=50,
)


def judged(wrong: int, of: int, champion: int, of_champion: int, **more: int) -> CanaryJudgement:
    counts = [
        ShareCounts("wrong_label", 500, of, wrong, of_champion, champion),
        ShareCounts("error", 500, of, 0, of_champion, 0),
    ]
    return judge(POLICY, counts, share_bp=500, analyses=more.get("analyses", 6))


@pytest.mark.parametrize(
    ("arms", "analyses", "sentence"),
    [
        pytest.param(
            (14, 310, 95, 5_890),
            6,
            "challenger 14 wrong of 310, champion 95 of 5,890: relative risk 2.8, "
            "E = 54 ≥ 20: rolled back at 5% after 6 analyses",
            id="harm",
        ),
        pytest.param(
            (19, 310, 95, 5_890),
            6,
            "challenger 19 wrong of 310, champion 95 of 5,890: relative risk 3.8, "
            "E = 10,560 ≥ 20: rolled back at 5% after 6 analyses",
            id="large evidence has no exponent",
        ),
        pytest.param(
            (400, 2_000, 11_500, 38_000),
            1,
            "challenger 400 wrong of 2,000, champion 11,500 of 38,000: relative risk 0.66, "
            "E = 10^73 ≥ 20 that it is below 1.5: promoted at 5% after 1 analysis",
            id="safe",
        ),
        pytest.param(
            (3, 99, 57, 1_881),
            6,
            "challenger 3 wrong of 99, champion 57 of 1,881: relative risk 1, E = 0.275 < 20 of "
            "harm, E = 1.08 < 20 that it is below 1.5: waits at 5% after 6 analyses",
            id="too little",
        ),
        pytest.param(
            (3, 120, 0, 2_280),
            50,
            "challenger 3 wrong of 120, champion 0 of 2,280: relative risk unknown, E = 48.5 ≥ "
            "20: rolled back at 5% after 50 analyses",
            id="the champion has none",
        ),
    ],
)
def test_the_sentence_holds_every_number(
    arms: tuple[int, int, int, int], analyses: int, sentence: str
) -> None:
    assert verdict_sentence(judged(*arms), analyses=analyses) == sentence


def test_a_wrong_split_is_the_sentence_of_its_canary() -> None:
    said = verdict_sentence(judged(90, 1_000, 90, 1_000), analyses=2)
    assert said.startswith("the traffic is not split as planned, so neither arm tells anything: ")
    assert said.endswith(" ≥ 1,000: held at 5% after 2 analyses")
    assert "1000 of 2000 subjects were the canary's (50.0%) at a share of 5%, E = 10^" in said


def test_held_and_advanced_are_told_apart() -> None:
    held = judged(3, 99, 57, 1_881, analyses=50)
    assert verdict_sentence(held, analyses=50).endswith("held at 5% after 50 analyses")
    further = replace(held, action=CanaryAction.ADVANCE, next_share_bp=2_550)
    assert verdict_sentence(further, analyses=3).endswith("goes from 5% to 25.5% after 3 analyses")


def test_of_a_regression_the_means_stand_in_it() -> None:
    policy = POLICY.model_copy(
        update={"metrics": (CanaryMetric(event="absolute_error", margin=1.2),)}
    )
    canary = ArmLoss(400, 400 * 20.0, 400 * 500.0)
    champion = ArmLoss(7_600, 7_600 * 10.0, 7_600 * 150.0)
    found = judge(policy, [], [ShareLosses(500, canary, champion)], share_bp=500, analyses=1)
    assert verdict_sentence(found, analyses=1).startswith(
        "challenger 20 mean absolute error of 400, champion 10 of 7,600: ratio of means 2, E = 10^"
    )


@pytest.mark.parametrize(
    ("ratio", "words"), [(0.0, "0"), (2.84, "2.8"), (9.96, "10"), (1234.0, "1,234")]
)
def test_a_ratio_has_two_digits(ratio: float, words: str) -> None:
    one = replace(judged(3, 99, 57, 1_881).metrics[0], rate_ratio=ratio)
    assert ratio_words(one) == f"relative risk {words}"
