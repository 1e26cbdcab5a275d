"""What a proposed suite would have done to the last batches, in words, judged in its own process.

The page's process answers others meanwhile, and never loads what judges.
"""

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from tenure.config import DatasetConfig, load_all
from tenure.errors import ServiceUnreachable, StateConflict
from tenure.installation import Installation
from tenure.layout import landing_prefix
from tenure.lifecycle.data.expectations import Suite
from tenure.lifecycle.data.sources import is_candidate
from tenure.settings import Settings
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.usecases.suites.suites import Downstream, Edit, PreviewedBatch

BATCHES = 30
"""Of each dataset that the suite judges."""
_ADVICE = ("Still safe: ", "Next step: ", "Evidence: ")
"""How lines of an error begin that do not say what happened."""
_SECONDS = 600
_SHOWN = 12
"""Names and lines before the others are counted."""
_SAFE = "Nothing was changed: a preview only reads."
_TURN = threading.Lock()


@dataclass(frozen=True)
class SuitePreview:
    """The answer for people.

    Args:
        sentence: How many batches would have been refused, and which.
        lines: Each batch whose verdict differs; the models behind; what happens on acceptance;
            what could not be judged.
    """

    sentence: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Order:
    """What the process is asked, as JSON."""

    settings: Settings
    before: Suite
    after: Suite
    against: str
    user: str


_ORDER, _ANSWER = TypeAdapter(_Order), TypeAdapter(SuitePreview)


def preview_apart(platform: Installation, edited: "Edit", *, user: str) -> SuitePreview:
    """Judge the last batches by both suites in a process of its own; the user is who reads them.

    Raises:
        StateConflict: Another preview runs in this process.
        ServiceUnreachable: It did not end in time, or broke.
    """
    if not _TURN.acquire(blocking=False):
        raise StateConflict(
            "Another preview is being judged here.",
            still_safe=_SAFE,
            next_step="Try again in a minute.",
        )
    order = _ORDER.dump_json(
        _Order(platform.settings, edited.before, edited.after, edited.against, user)
    )
    try:
        return _ANSWER.validate_json(_ended(order))
    finally:
        _TURN.release()


def _ended(order: bytes) -> bytes:
    command = [sys.executable, "-s", "-P", "-m", "tenure.usecases.suites.suite_preview"]
    folders = os.pathsep.join(folder for folder in sys.path if folder)
    try:
        done = subprocess.run(
            command,
            input=order,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
            env=os.environ | {"PYTHONPATH": folders},
        )
    except subprocess.TimeoutExpired:
        raise _broken(f"did not end within {_SECONDS} s") from None
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").splitlines()
        causes = [line for line in told if line and not line.startswith(_ADVICE)]
        raise _broken(f"ended with {done.returncode}: {causes[-1][:200] if causes else 'silence'}")
    return done.stdout.rpartition(b"\n")[2]


def _broken(why: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"The preview {why}.",
        still_safe=_SAFE,
        next_step="Try again. If it lasts, run `tenure doctor`; what ended with -9 needs a machine "
        "with more memory (`tenure suite preview` does the same there).",
    )


def preview(platform: Installation, edited: "Edit", *, user: str) -> SuitePreview:
    """The same in this process."""
    from tenure.usecases.suites import suites

    batches = suites.last_batches(platform, edited.after.name, BATCHES)
    reader = RunRef("workbench", "preview", "preview", user=user)
    seen = suites.preview(platform, edited, batches, lambda: None, reader)
    models = list(suites.downstream(platform, edited, seen))
    again = _still_landed(platform, edited.after.name)
    lines = (*_flips(seen), *_stops(seen, models), *again, *_not_judged(seen))
    return SuitePreview(_sentence(seen), lines)


def _sentence(seen: "Sequence[PreviewedBatch]") -> str:
    judged = [one for one in seen if one.comparison]
    if not judged:
        return "No batch could be judged."
    after = [_name(one) for one in judged if _refuses(one, is_edited=True)]
    before = sum(_refuses(one, is_edited=False) for one in judged)
    names = f": {_listed(after)}" if after else ""
    unit = "files" if any(one.landed.is_replaced for one in judged) else "batches"
    return (
        f"Would have refused {len(after)} of the last {len(judged)} {unit}{names}. The rules in "
        f"force refuse {before} of them."
    )


def _flips(seen: "Sequence[PreviewedBatch]") -> Iterator[str]:
    changed = [
        one
        for one in seen
        if one.comparison and (one.comparison.flips or one.comparison.quarantine_change)
    ]
    for one in changed[:_SHOWN]:
        assert one.comparison is not None
        before, after = one.comparison.before, one.comparison.after
        words = {Verdict.FAILED: "refused", Verdict.PASSED: "published"}
        verdict = (
            f"{words[before.verdict]} → {words[after.verdict]}"
            if one.comparison.flips
            else f"still {words[after.verdict]}"
        )
        causes = one.comparison.causes()
        why = f" {causes[0]}." if causes else ""
        yield (
            f"{_name(one)}: {verdict}; rows set aside {before.rows_quarantined:,} → "
            f"{after.rows_quarantined:,} of {before.rows_in:,}.{why}"
        )
    if len(changed) > _SHOWN:
        yield f"{len(changed) - _SHOWN} more batches differ."
    if not changed:
        yield "No batch of them would have been judged otherwise."


def _stops(seen: "Sequence[PreviewedBatch]", models: "Sequence[Downstream]") -> Iterator[str]:
    """Who learns from other batches than now."""
    for model in models:
        name = model.model.dataset
        flips = [
            one
            for one in seen
            if one.comparison
            and one.comparison.flips
            and one.landed.dataset.name == name
            and not one.landed.is_replaced
        ]
        stopped = [one.landed.batch for one in flips if _refuses(one, is_edited=True)]
        gained = [one.landed.batch for one in flips if not _refuses(one, is_edited=True)]
        who = f"{model.model.name} of {model.model.owner}"
        if stopped:
            served = "".join(
                f" {version}, which serves, learned from {_listed(batches)}."
                for version, batches in model.trained_on.items()
                if batches
            )
            yield f"Stops {who}: it would not have got {_listed(stopped)}.{served}"
        if gained:
            yield f"{who} would learn from {_listed(gained)} too."
        if not flips:
            yield f"{who} learns from the same batches as now."


def _still_landed(platform: Installation, suite: str) -> Iterator[str]:
    """A file that still lies in the landing folder is judged by the rules of the day."""
    for dataset in _users(platform, suite):
        prefix = landing_prefix(dataset.name)
        number = sum(is_candidate(dataset.name, key) for key in platform.store.list(prefix))
        yield (
            f"Once it is accepted, the next run judges the {number:,} files that lie in {prefix} "
            "again by it, and then every new one; what is published stays published."
            if number
            else f"Once it is accepted, the next file in {prefix} is judged by it."
        )


def _users(platform: Installation, suite: str) -> list[DatasetConfig]:
    from tenure.config.suites import users_of

    return users_of(load_all(platform.settings.include), suite)


def _not_judged(seen: "Sequence[PreviewedBatch]") -> Iterator[str]:
    from tenure.usecases.suites.suites import REBUILT

    rebuilt = [_name(one) for one in seen if one.origin == REBUILT]
    if rebuilt:
        yield f"The landed file is gone; judged from {REBUILT}: {_listed(rebuilt)}."
    for one in seen:
        if one.comparison is None:
            yield f"{_name(one)} could not be judged: {one.origin}."


def _refuses(one: "PreviewedBatch", *, is_edited: bool) -> bool:
    assert one.comparison is not None
    judgement = one.comparison.after if is_edited else one.comparison.before
    return judgement.verdict is Verdict.FAILED


def _name(one: "PreviewedBatch") -> str:
    return one.landed.name


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def main() -> None:
    """Read the order from standard input, judge, write the answer as the last line."""
    from tenure.usecases.suites.suites import Edit

    order = _ORDER.validate_json(sys.stdin.buffer.read())
    platform = Installation(order.settings)
    budget = max(one.source.memory_mb for one in _users(platform, order.after.name)) * 1024**2
    resource.setrlimit(resource.RLIMIT_DATA, (budget, budget))
    edited = Edit(order.before, order.after, order.against)
    answer = json.dumps(asdict(preview(platform, edited, user=order.user)), ensure_ascii=False)
    sys.stdout.write(f"\n{answer}")


if __name__ == "__main__":
    main()
