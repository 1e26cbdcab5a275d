"""Reads one file out of a git revision, where the configs are a checkout."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 20
MAX_REVISION = 200


class NoRevision(Exception):
    """There is no git, no repository, no such revision, or the file is not in it."""


@dataclass(frozen=True)
class Revision:
    """A commit: its full name, who made it and when (ISO 8601), and the first line of why."""

    commit: str
    author: str
    at: str
    why: str


def read(path: Path, revision: str) -> tuple[bytes, str]:
    """The file's bytes as the revision has it, and the revision's full name.

    Raises:
        NoRevision: With the reason for people.
    """
    commit = _commit(path.parent, revision)
    listed = _git(path.parent, "ls-tree", "-z", commit, "--", f"./{path.name}").decode()
    if not listed:
        raise NoRevision(f"{path.name} is not in {revision}")
    if not listed.startswith("100"):  # 120000 is a link, 160000 another repository
        raise NoRevision(f"{path.name} is not a regular file in {revision}")
    return _git(path.parent, "cat-file", "blob", listed.split()[2].partition("\t")[0]), commit


def history(path: Path, limit: int) -> list[Revision]:
    """The commits that changed the file, newest first.

    Raises:
        NoRevision: There is no git or no repository.
    """
    form = "--format=%H%x00%an%x00%aI%x00%s"
    lines = _git(path.parent, "log", f"-{limit}", form, "--", f"./{path.name}")
    rows = lines.decode("utf-8", "replace").split("\n")
    return [Revision(*map(_plain, row.split("\0", 3))) for row in rows if row]


def _plain(text: str) -> str:
    """What people wrote, without what would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def _commit(folder: Path, revision: str) -> str:
    if not 0 < len(revision) <= MAX_REVISION or "\0" in revision:
        raise NoRevision("a revision is a text of 1…200 characters")
    wanted = f"{revision}^{{commit}}"
    try:
        found = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    except NoRevision as error:
        if str(error):
            raise
        raise NoRevision(f"there is no revision {revision[:60]!r}") from None
    return found.decode().split()[-1]


def _git(folder: Path, *arguments: str) -> bytes:
    """Output of git, which never asks, never pages, and writes nothing."""
    quiet = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
    }
    where = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-pager", "--no-replace-objects", "-C", str(folder), *arguments],
            env=where | quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except FileNotFoundError:
        raise NoRevision("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise NoRevision(f"git did not answer within {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        raise NoRevision(done.stderr.decode("utf-8", "replace").strip().partition("\n")[0][:200])
    return done.stdout
