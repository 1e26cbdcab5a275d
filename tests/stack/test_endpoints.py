import os
import socket
from collections.abc import Iterator

import pytest

from tenure.errors import ConfigInvalid, PortTaken
from tenure.stack.endpoints import StackEndpoints


@pytest.fixture
def held() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_defaults_and_variables_round_trip() -> None:
    assert StackEndpoints.from_environment({}) == StackEndpoints(8080, 5000, 8090, None)
    chosen = StackEndpoints(18080, 15000, 18090, 15432)
    assert StackEndpoints.from_environment(chosen.variables()) == chosen
    assert chosen.url("gateway") == "http://127.0.0.1:18090"


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "8080.0", "٣"])
def test_what_is_not_a_port_is_refused(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"TENURE_MLFLOW_PORT=.*allowed are 1 to 65535"):
        StackEndpoints.from_environment({"TENURE_MLFLOW_PORT": text})


@pytest.mark.parametrize("port", [1, 65535])
def test_the_bounds_are_ports(port: int) -> None:
    assert StackEndpoints.from_environment({"TENURE_MLFLOW_PORT": str(port)}).mlflow == port


def test_two_services_cannot_share_a_port() -> None:
    with pytest.raises(ConfigInvalid, match="Two services share a port"):
        StackEndpoints.from_environment({"TENURE_MLFLOW_PORT": "8080"})


def test_a_taken_port_is_named_with_its_variable_and_holder(held: int) -> None:
    free = StackEndpoints.free()
    with pytest.raises(PortTaken) as refused:
        StackEndpoints(free.airflow, held, free.gateway).require_free()
    assert refused.value.what.startswith(
        f"Port {held} for mlflow is taken by process {os.getpid()}"
    )
    assert "TENURE_MLFLOW_PORT=" in refused.value.next_step


def test_free_ports_are_free_and_distinct() -> None:
    free = StackEndpoints.free()
    free.require_free()
    assert len(set(free.named().values())) == 3
