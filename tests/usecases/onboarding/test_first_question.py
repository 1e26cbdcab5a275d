"""A request that the gateway of a new version answers."""

from typing import Any

from tenure.usecases.onboarding.first_question import first_question


def test_its_values_are_those_of_training(world: Any) -> None:
    assert first_question(world.platform, "loan_ok") is None
    for month in (1, 2):
        world.publish(month)
    world.plan(user="ada")
    assert first_question(world.platform, "loan_ok") is None
    world.train()
    asked = first_question(world.platform, "loan_ok")
    assert asked is not None
    number, text = asked["inputs"]  # type: ignore[misc]
    assert (number["name"], number["datatype"], text["name"]) == ("income", "FP64", "branch")
    facts = world.row().facts
    low, high = facts.ranges["income"]
    assert low <= number["data"][0] <= high
    assert text["data"] == [min(facts.categories["branch"])]
