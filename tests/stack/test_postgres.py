import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tenure.migrations import upgrade
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


@pytest.mark.parametrize("by", ["socket", "tcp"])
def test_it_asks_every_role_for_its_password(tmp_path: Path, by: str) -> None:
    port = StackEndpoints.free().airflow if by == "tcp" else None
    with postgres.running(tmp_path, port=port) as server:
        host = "127.0.0.1" if port else str(server.socket)
        for role in postgres.ROLES:
            database = role if role in postgres.DATABASES else "tenure"
            where = {"host": host, "port": port or 5432, "user": role, "dbname": database}
            with psycopg.connect(**where, password=server.passwords[role]) as connection:
                row = connection.execute(
                    "SELECT current_user, usesuper FROM pg_user WHERE usename = current_user"
                )
                assert row.fetchone() == (role, role == "postgres")
            for guess in ("", "guess", server.passwords["mlflow"] if role != "mlflow" else "x"):
                with pytest.raises(psycopg.OperationalError, match="password"):
                    psycopg.connect(**where, password=guess)


def test_a_role_enters_its_own_database_only(tmp_path: Path) -> None:
    own = {"airflow": {"airflow"}, "mlflow": {"mlflow"}, "tenure": {"tenure"}}
    own["tenure_gateway"] = {"tenure"}
    with postgres.running(tmp_path) as server:
        for role, expected in own.items():
            entered = set()
            for database in (*postgres.DATABASES, "postgres"):
                with (
                    suppress(psycopg.OperationalError),
                    psycopg.connect(
                        host=str(server.socket),
                        user=role,
                        dbname=database,
                        password=server.passwords[role],
                    ),
                ):
                    entered.add(database)
            assert entered - {"postgres"} == expected
        upgrade(server.url("tenure", role="tenure"))
        with psycopg.connect(
            host=str(server.socket),
            user="tenure_gateway",
            dbname="tenure",
            password=server.passwords["tenure_gateway"],
        ) as connection:
            assert connection.execute("SELECT count(*) FROM traffic_plan").fetchone() == (0,)


def test_its_files_and_rights(tmp_path: Path) -> None:
    """Passwords are ours alone, nothing of the first one is left, and it cannot gain rights."""
    with postgres.running(tmp_path) as server:
        files = [*(tmp_path / "keys").iterdir()]
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
        assert server.socket.stat().st_mode & 0o777 == 0o700
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        if os.getuid() == 0:
            assert "NoNewPrivs:\t1" in status
            kept = int(re.search(r"CapBnd:\t(\w+)", status)[1], 16)  # type: ignore[index]
            assert kept in {0, 1 << 1}  # CAP_DAC_OVERRIDE, where the folders above are closed


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user has no rights to give up")
def test_as_root_it_keeps_no_right_where_it_needs_none() -> None:
    home = Path(tempfile.mkdtemp(prefix="tenure-open-", dir="/var/tmp"))
    try:
        home.chmod(0o755)
        with postgres.running(home) as server:
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            if postgres._reaches(SWITCH, str(postgres.binaries() / "postgres"), home / "postgres"):
                assert set(re.findall(r"Cap\w+:\t0*(\w*)\n", status)) == {""}
    finally:
        shutil.rmtree(home)


@pytest.mark.skipif(os.getuid() != 0, reason="who is no other user reads the wheel")
def test_the_wheel_lies_where_others_may_not_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone below a root's own folder: neither programs, libraries nor data can be reached."""
    wheel = postgres.binaries().parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in (wheel.name, f"{wheel.name}.libs"):
        if (wheel.parent / name).exists():
            shutil.copytree(wheel.parent / name, closed / name, symlinks=True)
            (closed / name).chmod(0o700)
    programs = closed / postgres.binaries().relative_to(wheel.parent)
    monkeypatch.setattr(postgres, "binaries", lambda: programs)
    with postgres.running(closed / "home") as server:
        with psycopg.connect(server.conninfo("tenure")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert Path(f"/proc/{server.process.pid}/exe").readlink() == programs / "postgres"
        assert os.stat(f"/proc/{server.process.pid}").st_uid != 0  # noqa: PTH116
    assert closed.stat().st_mode & 0o777 == 0o700


SWITCH = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]


pytestmark = pytest.mark.service


@pytest.mark.parametrize(("length", "short"), [(84, True), (85, True), (86, False)])
def test_socket_folder_at_the_bound(tmp_path: Path, length: int, short: bool) -> None:
    data = tmp_path / ("x" * (length - len(str(tmp_path)) - 1))
    assert len(str(data)) == length
    assert (postgres.socket_folder(data) == data) is short
