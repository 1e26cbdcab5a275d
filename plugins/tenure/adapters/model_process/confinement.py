"""What a model process gives up before it reads a single byte of an artifact.

Linux only, through the kernel's own interfaces and libseccomp. What this machine does not offer is
named: the gateway then refuses the version, unless `platform.yaml` declares a reason to serve.
"""

import ctypes
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from tenure.adapters.model_process.system_calls import only_compute

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITIES_VERSION = 0x2008_0522
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_MIB = 1024 * 1024
_OUTSIDE = "/etc"
"""A folder that every machine has, and that holds no code."""


def die_with_parent() -> None:
    """Be killed by the kernel when the parent's thread ends, even while hanging; no new rights."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def give_up(memory_bytes: int) -> dict[str, str]:
    """All walls, in the order in which they can still be built.

    Returns:
        What does not hold and why: `rights`, `files`, `calls`. Empty when everything holds.
    """
    limit(memory_bytes)
    found = {
        "rights": without_rights(),
        "files": read_only(code_folders()),
        "calls": only_compute(),
    }
    return {wall: why for wall, why in found.items() if why}


def open_ways() -> dict[str, str]:
    """What a wall must stop and does not, by wall; it is tried. For a process behind its walls."""
    found = {"files": _lists_a_folder(), "calls": _makes_a_socket()}
    return {wall: what for wall, what in found.items() if what}


def _lists_a_folder() -> str:
    try:
        os.close(os.open(_OUTSIDE, os.O_RDONLY | os.O_DIRECTORY))
    except OSError:
        return ""
    return f"{_OUTSIDE} can be read"


def _makes_a_socket() -> str:
    try:
        socket.socket().close()
    except OSError:
        return ""
    return "a socket can be made"


def without_rights() -> str:
    """Keep no capability, also as root; why not, else empty.

    Source: Linux, capset(2); two sets of three words for effective, permitted and inheritable.
    """
    if sys.platform != "linux":
        return f"{sys.platform} has no capabilities"
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    if libc.capset(header, bytes(2 * 3 * 4)):
        return f"the kernel keeps its capabilities ({os.strerror(ctypes.get_errno())})"
    return ""


def limit(memory_bytes: int) -> None:
    """Bound the address space; write no file and no core; open few files."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(kind, (most, most))


def address_space() -> int:
    """Bytes of address space that this process has now; 0 where the system does not say."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def code_folders() -> list[str]:
    """Where Python and its libraries lie: all that a model process may read."""
    known = [*sys.path, sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64"]
    return sorted({path for path in known if path and Path(path).is_dir()})


def read_only(folders: Iterable[str]) -> str:
    """Give up all files but those below the folders, and TCP; why not, else empty.

    Source: Linux, Documentation/userspace-api/landlock.rst.
    """
    if sys.platform != "linux":
        return f"{sys.platform} has no Landlock"
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return "the kernel has no Landlock (5.13 or later has it, unless it was started without)"
    attributes = _ruleset(version)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return f"Landlock makes no rules ({os.strerror(ctypes.get_errno())})"
    try:
        for folder in folders:
            _allow(libc, ruleset, folder)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            return f"Landlock does not restrict ({os.strerror(ctypes.get_errno())})"
    finally:
        os.close(ruleset)
    return ""


def _ruleset(version: int) -> bytes:
    """`struct landlock_ruleset_attr` with every right that this version of Landlock knows."""
    files = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        files |= (1 << bit) if version >= since else 0
    network = 0b11 if version >= 4 else 0
    scoped = 0b11 if version >= 6 else 0
    fields = [files] + [network] * (version >= 4) + [scoped] * (version >= 6)
    return struct.pack(f"={len(fields)}Q", *fields)


def _allow(libc: ctypes.CDLL, ruleset: int, folder: str) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", _READ_FILE | _READ_FOLDER, descriptor)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
