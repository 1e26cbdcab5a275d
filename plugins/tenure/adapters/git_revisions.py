"""One file in git, where configs are a checkout: read from a revision, committed to a branch."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 20
MAX_REVISION = 200
_GIT = ("git", "--no-pager", "--no-replace-objects", "-c", "core.hooksPath=/dev/null")


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


def commit_to_branch(path: Path, data: bytes, *, branch: str, message: str, author: str) -> str:
    """Commit other bytes of the file to a new branch from HEAD; returns the commit.

    The working tree, the index and the branch that is checked out stay as they are. A branch that
    is there already keeps its commit.

    Raises:
        NoRevision: There is no git, no repository, or the file is not in its last commit.
    """
    folder = path.parent
    read(path, "HEAD")
    parent, ref = _commit(folder, "HEAD"), f"refs/heads/{branch}"
    try:
        return _commit(folder, ref)
    except NoRevision:
        pass
    name = _git(folder, "rev-parse", "--show-prefix").decode().strip() + path.name
    blob = _git(folder, "hash-object", "-w", "--stdin", data=data).decode().strip()
    who = {"NAME": author, "EMAIL": f"{author}@tenure.invalid"}
    people = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in who.items()}
    with tempfile.TemporaryDirectory(prefix="tenure-index-") as place:
        env = {"GIT_INDEX_FILE": f"{place}/index", **people}
        _git(folder, "read-tree", parent, env=env)
        _git(folder, "update-index", "--cacheinfo", f"100644,{blob},{name}", env=env)
        tree = _git(folder, "write-tree", env=env).decode().strip()
        text = message.encode()
        made = _git(folder, "commit-tree", tree, "-p", parent, data=text, env=env).decode().strip()
    _git(folder, "update-ref", ref, made, "0" * len(made))
    return made


def branch_head(path: Path, branch: str) -> str | None:
    """The commit of a branch; None where there is no such branch, or no git."""
    try:
        return _commit(path.parent, f"refs/heads/{branch}")
    except NoRevision:
        return None


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


def _git(
    folder: Path, *arguments: str, data: bytes = b"", env: Mapping[str, str] | None = None
) -> bytes:
    """Output of git, which never asks, never pages, and runs no hook."""
    quiet = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_PAGER": "cat",
        "LC_ALL": "C",
    }
    where = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            [*_GIT, "-C", str(folder), *arguments],
            env={**where, **quiet, **(env or {})},
            input=data,
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
