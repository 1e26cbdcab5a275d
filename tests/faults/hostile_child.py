"""Main module of model processes whose every model is hostile: its code runs while it is loaded.

Nobody checks types here, so this is what an attacker has who got past the signature and the list of
types. What each attempt met goes back to the gateway as JSON.
"""

import ctypes
import errno
import json
import mmap
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenure.adapters import skops_artifacts
from tenure.errors import ArtifactRefused
from tenure.usecases.serving import model_process

ARM = platform.machine() == "aarch64"
NUMBERS = {  # x86_64, aarch64
    "clone": (56, 220),
    "vfork": (58, None),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "open_by_handle_at": (304, 265),
    "keyctl": (250, 219),
    "prctl": (157, 167),
    "setuid": (105, 146),
    "seccomp": (317, 277),
    "setrlimit": (160, 164),
}
LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> Callable[[], None]:
    """A system call without libc's help, as shell code makes it."""
    number = NUMBERS[name][ARM]

    def attempt() -> None:
        ctypes.set_errno(0)
        found = LIBC.syscall(number if number is not None else -1, *arguments)
        if found == 0 and name in {"clone", "vfork", "clone3"}:
            os._exit(0)  # the child that should not be
        if found < 0:
            raise OSError(ctypes.get_errno(), name)

    return attempt


def forked() -> None:
    if os.fork() == 0:
        os._exit(0)


def spawned() -> None:
    os.posix_spawn("/bin/true", ["true"], {})


def sent_descriptor() -> None:
    with socket.socket(fileno=os.dup(PIPE)) as pipe:
        socket.send_fds(pipe, [b"x"], [0])


def addressed() -> None:
    with socket.socket(fileno=os.dup(PIPE)) as pipe:
        pipe.sendto(b"x", b"\0abstract")


def asked_signals_for_parent() -> None:
    import fcntl

    fcntl.fcntl(PIPE, fcntl.F_SETOWN, os.getppid())


def by_thread() -> None:
    ran: list[int] = []
    thread = threading.Thread(target=ran.append, args=(1,))
    thread.start()
    thread.join()
    if not ran:
        raise OSError(errno.EPERM, "the thread did not run")


OTHER_ABI = 2
"""The version that tries the calls of another kind of program."""
PIPE = -1
ATTEMPTS: dict[str, Callable[[], object]] = {
    "tcp": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "tcp6": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
    "udp": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "packet": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "vsock": lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "unix": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "unix datagrams": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "pair": socket.socketpair,
    "send elsewhere": addressed,
    "pass a file": sent_descriptor,
    "signals of a file": asked_signals_for_parent,
    "fork": forked,
    "spawn": spawned,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "clone": call("clone", signal.SIGCHLD, 0, 0, 0, 0),
    "clone with namespaces": call("clone", 0x0001_0000 | 0x0002_0000, 0, 0, 0, 0),
    "clone3": call("clone3", (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD), 88),
    "vfork": call("vfork"),
    "execve": call("execve", b"/bin/true", 0, 0),
    "execveat": call("execveat", -100, b"/bin/true", 0, 0, 0),
    "ptrace": call("ptrace", 0, 0, 0, 0),
    "process_vm_readv": call("process_vm_readv", os.getppid(), 0, 0, 0, 0, 0),
    "io_uring": call("io_uring_setup", 4, ctypes.create_string_buffer(120)),
    "memfd": call("memfd_create", b"x", 0),
    "unshare": call("unshare", 0x1000_0000),
    "setns": call("setns", 0, 0),
    "mount": call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
    "chroot": call("chroot", b"/"),
    "bpf": call("bpf", 0, ctypes.create_string_buffer(72), 72),
    "perf": call("perf_event_open", ctypes.create_string_buffer(128), 0, -1, -1, 0),
    "userfaultfd": call("userfaultfd", 1),
    "pidfd": call("pidfd_open", os.getpid(), 0),
    "pidfd_getfd": call("pidfd_getfd", 0, 0, 0),
    "open_by_handle_at": call("open_by_handle_at", -100, ctypes.create_string_buffer(136), 0),
    "keyctl": call("keyctl", 0, -3, 0, 0, 0),
    "outlive the gateway": call("prctl", 1, 0, 0, 0, 0),
    "setuid": call("setuid", os.getuid()),
    "another filter": call("seccomp", 2, 0, ctypes.create_string_buffer(4)),
    "more memory": call("setrlimit", 9, (ctypes.c_uint64 * 2)(2**63, 2**63)),
    "signal the gateway": lambda: os.kill(os.getppid(), 0),
    "signal everybody": lambda: os.kill(-1, 0),
    "read /etc": lambda: Path("/etc/passwd").read_bytes(),
    "read a neighbor": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "list processes": lambda: os.listdir("/proc"),  # noqa: PTH208
    "write": lambda: Path("/tmp/hostile").write_bytes(b"x"),
    "write beside code": lambda: Path(__file__).with_name("hostile.new").write_bytes(b"x"),
    "remove code": lambda: Path(__file__).unlink(),
}
OF_FILES = {
    *("send elsewhere", "pass a file", "signals of a file", "outlive the gateway", "setuid"),
    *("another filter", "more memory", "read /etc", "read a neighbor", "list processes"),
    *("write", "write beside code", "remove code"),
}
"""What the process that judges a landed file may do, or is kept from in other ways."""
HARMLESS: dict[str, Callable[[], object]] = {
    "a thread": by_thread,
    "read code": lambda: Path(os.__file__).read_bytes(),
    "memory": lambda: mmap.mmap(-1, 1 << 20).close(),
    "random": lambda: os.urandom(16),
}


def met(act: Callable[[], object]) -> str:
    """`done`, or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "done"


def attack(data: bytes, row: Any, _key: bytes) -> Any:
    """Stands where the artifact is loaded."""
    global PIPE  # noqa: PLW0603
    PIPE = next(fd for fd in range(3, 64) if is_pipe(fd))
    if row.version == OTHER_ABI:
        LIBC.syscall(0x4000_0000 + 41, 2, 1, 0)  # socket(2) by the numbers of x32
    everything = ATTEMPTS | HARMLESS
    raise ArtifactRefused(
        json.dumps({"uid": os.getuid(), **{name: met(act) for name, act in everything.items()}}),
        still_safe="",
        next_step="",
    )


def is_pipe(descriptor: int) -> bool:
    """Whether it is open and cannot be sought in."""
    try:
        os.lseek(descriptor, 0, 1)
    except OSError as error:
        return error.errno == errno.ESPIPE
    return False


if __name__ == "__main__":
    skops_artifacts.load_bytes = attack  # type: ignore[assignment]
    model_process.main(int(sys.argv[1]))
