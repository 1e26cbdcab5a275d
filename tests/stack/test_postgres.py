from pathlib import Path

import psycopg
import pytest

from tenure.stack import postgres
from tenure.stack.endpoints import StackEndpoints


def test_starts_where_others_may_not_enter_and_keeps_its_data(tmp_path: Path) -> None:
    home = tmp_path / "closed"
    home.mkdir(mode=0o700)
    with postgres.running(home) as server:
        with psycopg.connect(server.conninfo("tenure")) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        pid = server.process.pid
    assert not Path(f"/proc/{pid}").exists()
    assert home.stat().st_mode & 0o777 == 0o700
    with postgres.running(home) as server, psycopg.connect(server.conninfo("tenure")) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
        names = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        assert names >= {"airflow", "mlflow", "tenure"}


def test_a_long_path_gets_a_short_private_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 25)
    with postgres.running(home) as server:
        assert server.socket != home / "postgres"
        assert server.socket.stat().st_mode & 0o777 == 0o700
        with psycopg.connect(server.conninfo("tenure")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_over_tcp_it_asks_for_the_password(tmp_path: Path) -> None:
    port = StackEndpoints.free().airflow
    with postgres.running(tmp_path, port=port, password="it's secret"):
        where = {"host": "127.0.0.1", "port": port, "user": "postgres", "dbname": "tenure"}
        with psycopg.connect(**where, password="it's secret") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(**where, password="guess")


pytestmark = pytest.mark.service


@pytest.mark.parametrize(("length", "short"), [(84, True), (85, True), (86, False)])
def test_socket_folder_at_the_bound(tmp_path: Path, length: int, short: bool) -> None:
    data = tmp_path / ("x" * (length - len(str(tmp_path)) - 1))
    assert len(str(data)) == length
    assert (postgres.socket_folder(data) == data) is short
