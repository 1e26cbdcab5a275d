"""What is wrong with a file under `include/`, by line; and how such a file is opened."""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tenure.errors import ConfigInvalid

MAX_BYTES = 256 * 1024
SHOWN = 5
"""Problems that one message lists before it says how many more there are."""
NOT_AN_ID = "{!r} is not an id (a-z, 0-9, _ and -, no __, no name of a Windows device)"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a file; the message is one line that a terminal bears."""

    path: Path
    line: int
    message: str

    def __post_init__(self) -> None:
        plain = "".join(c if c.isprintable() else " " for c in self.message)
        object.__setattr__(self, "message", " ".join(plain.split()))

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


class BrokenFile(ConfigInvalid):
    """ConfigInvalid that still knows its single problems."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(
            describe(problems),
            still_safe="The DAGs of the other files are not affected; nothing was run.",
            next_step="Correct the line and run `tenure check`.",
        )


def describe(problems: list[Problem]) -> str:
    """The first problems, one a line, and how many more there are."""
    more = len(problems) - SHOWN
    return "\n".join(
        [str(p) for p in problems[:SHOWN]] + ([f"and {more} more"] if more > 0 else [])
    )


def read_bounded(path: Path) -> bytes:
    """The file's bytes; refuses links, pipes, missing and huge files with a named problem."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BrokenFile([Problem(path, 1, "is not a regular file")])
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise BrokenFile([Problem(path, 1, _unopened(error))]) from None
    if len(data) > MAX_BYTES:
        size = max(status.st_size, len(data))
        raise BrokenFile([Problem(path, 1, f"has {size:,} bytes; at most {MAX_BYTES:,}")])
    return data


def _unopened(error: OSError) -> str:
    """A link gives ELOOP, a folder EISDIR."""
    if error.errno == errno.ENOENT:
        return "there is no such file"
    if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
        return "is not a regular file"
    return f"cannot be read: {error.strerror}"
