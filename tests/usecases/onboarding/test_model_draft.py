"""What rows suggest for a new model."""

from typing import Any


def test_a_label_of_words(world: Any, made: Any) -> None:
    """The groups of another column stand in where the law protects none."""
    for month in (1, 2):
        world.publish(month, rows=200)
    found = made(label="sex", subject="branch")
    label = found.draft.target.label
    assert (label.negative, label.is_guess) != (None, False)
    model = found.model
    assert {model.label.positive, model.label.negative} == {"f", "m"}
    assert model.bias.attributes == ("ok",)
    assert (model.bias.min_ratio, model.bias.max_difference) == (None, 0.25)
    assert "ok" in model.features.categorical


def test_what_gives_the_label_away_is_left_out(world: Any, made: Any) -> None:
    world.publish(1, branch=["n", "s"] * 100, sex=["f", "m"] * 100)
    found = made(label="branch", subject="ok", protected=("ok",))
    assert found.left_out["sex"] == "gives branch away: it is the same"
