"""What a confined process may ask of the kernel, by libseccomp: names in, filter program out.

libseccomp is used through ctypes and not through a wheel: no wheel carries the library, and
Debian's apt, systemd and every container runtime bring it. Nothing here can be taken back, and it
holds for root as for anybody.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass

_LIBRARY = "libseccomp.so.2"
_KILL, _ALLOW, _ERRNO = 0x8000_0000, 0x7FFF_0000, 0x0005_0000
_ON_OTHER_ARCHITECTURE, _ALL_THREADS = 2, 4
_DIFFERS, _EQUAL, _MASKED = 1, 4, 7
_UNKNOWN_CALL = -1

_THREAD = 0x0001_0000
_NAMESPACES = 0x7E02_0000
"""CLONE_THREAD, and every CLONE_NEW… flag. Source: linux/sched.h."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_TERMINAL_QUESTIONS = (0x5401, 0x5421, 0x541B, 0x5451)
"""TCGETS, FIONBIO, FIONREAD, FIOCLEX: what Python asks of a file that it opens or of a socket."""
_FLAGS_OF_FILES = (1, 2, 3, 1030)
"""F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC; not F_SETOWN, which sends signals to others."""


@dataclass(frozen=True)
class _Argument:
    """The rule holds when the argument is the value, or differs; or `argument & mask == value`."""

    number: int
    value: int
    mask: int | None = None
    differs: bool = False


class _Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`; for a masked comparison the mask comes first."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


_Rule = tuple[str, tuple[_Argument, ...]]

_COMPUTING = (
    *("read", "readv", "pread64", "write", "writev", "close", "lseek", "getdents64", "getcwd"),
    *("fstat", "newfstatat", "stat", "lstat", "statx", "access", "faccessat", "faccessat2"),
    *("readlink", "readlinkat", "mmap", "munmap", "mprotect", "mremap", "madvise", "brk"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("futex", "set_robust_list", "rseq", "set_tid_address", "membarrier", "sched_yield"),
    *("sched_getaffinity", "getcpu", "clock_gettime", "clock_getres", "clock_nanosleep"),
    *("nanosleep", "gettimeofday", "time", "times", "getrusage", "sysinfo", "uname", "getrandom"),
    *("getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrlimit"),
    *("poll", "ppoll", "select", "pselect6", "recvfrom", "exit", "exit_group"),
)
"""Reading open files, memory, threads, time, waiting, and the end."""

_BEYOND_A_FILE = (
    *("socket", "socketpair", "connect", "bind", "listen", "accept", "accept4"),
    *("fork", "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev"),
    *("pidfd_open", "pidfd_getfd", "pidfd_send_signal", "kcmp", "memfd_create", "userfaultfd"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open"),
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsmount"),
    *("unshare", "setns", "name_to_handle_at", "open_by_handle_at", "mknod", "mknodat"),
    *("add_key", "keyctl", "request_key", "init_module", "finit_module", "delete_module"),
    *("kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "settimeofday"),
    *("clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "syslog"),
    *("tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"),
)
"""What no reader of a file needs: the network, other processes, the machine."""


_SIGNALS = ("kill", "tgkill")
"""To itself only: `abort` is one."""


def only_compute() -> str:
    """From now on compute, read what is open or may be opened, and answer over the pipe.

    Everything that is not listed here does not exist for this process (ENOSYS): no socket of any
    kind, no process, no program, no file for writing. Threads work.

    Returns:
        Why not; empty when it holds.
    """
    rules: list[_Rule] = [
        *((name, ()) for name in _COMPUTING),
        ("openat", (_Argument(2, 0, _WRITES),)),
        ("sendto", (_Argument(4, 0),)),  # no address: over a socket that is connected
        ("clone", (_Argument(0, _THREAD, _THREAD | _NAMESPACES),)),
        ("prlimit64", (_Argument(0, 0), _Argument(2, 0))),  # asks, of itself
        *((name, (_Argument(0, os.getpid()),)) for name in _SIGNALS),
        *(("ioctl", (_Argument(1, number),)) for number in _TERMINAL_QUESTIONS),
        *(("fcntl", (_Argument(1, number),)) for number in _FLAGS_OF_FILES),
    ]
    return _load(_ERRNO | errno.ENOSYS, [(_ALLOW, rule) for rule in rules])


def only_files() -> str:
    """From now on read and write files, and compute: no network, no process, nothing of others.

    Returns:
        Why not; empty when it holds.
    """
    refused = _ERRNO | errno.EPERM
    rules: list[tuple[int, _Rule]] = [
        *((refused, (name, ())) for name in _BEYOND_A_FILE),
        *((refused, (name, (_Argument(0, os.getpid(), differs=True),))) for name in _SIGNALS),
        (refused, ("clone", (_Argument(0, 0, _THREAD),))),
        *((refused, ("clone", (_Argument(0, flag, flag),))) for flag in _bits(_NAMESPACES)),
        (_ERRNO | errno.ENOSYS, ("clone3", ())),  # its flags lie in memory: glibc takes clone then
    ]
    return _load(_ALLOW, rules)


def _bits(mask: int) -> list[int]:
    return [1 << place for place in range(mask.bit_length()) if mask >> place & 1]


def _load(otherwise: int, rules: Iterable[tuple[int, _Rule]]) -> str:
    """Hand the filter to the kernel, for every thread of this process; why not, else empty."""
    if sys.platform != "linux":
        return f"{sys.platform} has no seccomp"
    try:
        library = _declared(ctypes.CDLL(_LIBRARY))
    except OSError:
        return f"{_LIBRARY} is not installed (Debian: libseccomp2)"
    context = library.seccomp_init(otherwise)
    if not context:
        return f"{_LIBRARY} refuses to make a filter"
    try:
        library.seccomp_attr_set(context, _ON_OTHER_ARCHITECTURE, _KILL)
        library.seccomp_attr_set(context, _ALL_THREADS, 1)
        for action, rule in rules:
            if failed := _add(library, context, action, rule):
                return f"{_LIBRARY} refuses the rule for {rule[0]} ({failed})"
        failed = library.seccomp_load(context)
        return f"the kernel refuses the filter ({_name(failed)})" if failed else ""
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, action: int, rule: _Rule) -> str:
    """A call that this release of libseccomp does not know stays as the rest is treated."""
    name, arguments = rule
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == _UNKNOWN_CALL:
        return ""
    compared = (_Comparison * len(arguments))(*(_comparison(each) for each in arguments))
    failed = library.seccomp_rule_add_array(context, action, number, len(arguments), compared)
    return _name(failed) if failed else ""


def _comparison(argument: _Argument) -> _Comparison:
    if argument.mask is None:
        compared = _DIFFERS if argument.differs else _EQUAL
        return _Comparison(argument.number, compared, argument.value, 0)
    return _Comparison(argument.number, _MASKED, argument.mask, argument.value)


def _name(failed: int) -> str:
    return errno.errorcode.get(-failed, str(failed))


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    """The functions with their types: a pointer must not be cut to 32 bits."""
    context = ctypes.c_void_p
    library.seccomp_init.restype = context
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_attr_set.argtypes = [context, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    library.seccomp_rule_add_array.argtypes = [
        *(context, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint),
        ctypes.POINTER(_Comparison),
    ]
    library.seccomp_load.argtypes = [context]
    library.seccomp_release.argtypes = [context]
    return library
