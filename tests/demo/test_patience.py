"""The demo waits for as long as something moves, and no longer."""

from dataclasses import dataclass, field

import pytest

from tenure.demo.patience import Patience


@dataclass
class Clock:
    """Seconds that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Machine:
    """Somebody's machine: what is seen at each look."""

    clock: Clock = field(default_factory=Clock)
    there: object = 0
    looks: int = 0

    def look(self) -> object:
        self.looks += 1
        return self.there


def waited(machine: Machine, moves_every: float, until: float) -> float:
    """When patience ended, or `until`; something moves in this rhythm."""
    patience = Patience(machine.look, still_seconds=240, clock=machine.clock)
    while not patience.is_over():
        if machine.clock.now >= until:
            break
        machine.clock.now += 0.5
        machine.there = machine.clock.now // moves_every
    return machine.clock.now


@pytest.mark.parametrize(("moves_every", "ended"), [(100.0, 4000.0), (239.0, 4000.0)])
def test_a_slow_machine_is_waited_for(moves_every: float, ended: float) -> None:
    assert waited(Machine(), moves_every, until=4000.0) == ended


@pytest.mark.parametrize("moves_every", [300.0, 10_000.0])
def test_one_on_which_nothing_moves_is_not(moves_every: float) -> None:
    assert 240 < waited(Machine(), moves_every, until=4000.0) < 250


def test_looking_costs_something_so_it_is_done_every_few_seconds() -> None:
    machine = Machine()
    waited(machine, 10_000.0, until=4000.0)
    assert machine.looks < 60
