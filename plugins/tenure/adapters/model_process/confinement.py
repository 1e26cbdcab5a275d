"""What a model process gives up before it reads a single byte of an artifact.

Linux only, through the kernel's own interfaces. What this kernel does not offer is left out: the
process still has no credentials in its environment and no open file but its pipe.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_MIB = 1024 * 1024


def die_with_parent() -> None:
    """Be killed by the kernel when the parent's thread ends, even while hanging; no new rights."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


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


def read_only(folders: Iterable[str]) -> bool:
    """Give up all files but those below the folders, and TCP; false where Landlock is missing.

    Source: Linux, Documentation/userspace-api/landlock.rst.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    if version < 1:
        return False
    attributes = _ruleset(version)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return False
    try:
        for folder in folders:
            _allow(libc, ruleset, folder)
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


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
