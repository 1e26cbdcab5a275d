"""The installation of the soak: `tests/faults` has its parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from balancer import balancing
from fleet import Fleet
from served import Life, Process

from tenure.installation import Installation
from tenure.usecases.serving.api_keys import create_key
from tenure.vocabulary import VersionRef


@pytest.fixture
def life(platform: Installation) -> Life:
    """A model of a realistic size."""
    return Life(platform, numeric=20, trees=100)


@pytest.fixture
def first(life: Life) -> VersionRef:
    """The champion."""
    return life.champion(1)


@pytest.fixture
def fleet(platform: Installation, life: Life, first: VersionRef, tmp_path: Path) -> Iterator[Fleet]:
    """Two gateways behind a balancer; they serve the champion."""
    assert first.version == 1
    names = ("gw-a", "gw-b")
    gateways = {n: Process(platform, env={"TENURE_GATEWAY_ID": n}) for n in names}
    key = create_key(platform, "soak", ["score"])
    try:
        for one in gateways.values():
            one.start()
        with balancing(tmp_path, [one.port for one in gateways.values()]) as balancer:
            yield Fleet(platform, life, gateways, balancer, {"score": f"Bearer {key}"})
    finally:
        for one in gateways.values():
            one.close()
