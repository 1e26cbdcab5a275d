"""Rules of the house that no linter checks: names, tests beside the code, size, types."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tenure.settings import REPOSITORY

PACKAGE = REPOSITORY / "plugins" / "tenure"
TESTS = REPOSITORY / "tests" / "usecases"
ROOM_LINES = 2_500
"""A room with more lines is cut by subject."""
UNTYPED_SHARE = 0.05
"""Of the functions of use cases that may have Any in their signature."""
TESTED_ELSEWHERE = {
    "operations/action_plans": (
        "usecases/operations/test_incident_actions.py",
        "what each action would change is seen where it is done",
    ),
    "operations/drills": ("drills/test_drills.py", "the command is its only caller"),
    "data/comparison": ("cli/test_data.py", "the command is its only caller"),
    "onboarding/drafting": (
        "usecases/onboarding/test_new_dataset.py",
        "drafts the YAML of a new dataset",
    ),
    "evaluation/mitigation_effect": (
        "usecases/training/test_mitigation.py",
        "what a mitigation did and what it changed, on one fit",
    ),
    "data/judge_file": (
        "usecases/data/ingestion/test_limits.py",
        "a process that ingestion starts",
    ),
    "data/publication": ("usecases/data/test_ingestion.py", "the last transaction of ingestion"),
    "data/snapshots": ("usecases/data/test_privacy.py", "one function that every reader calls"),
    "data/usability": ("usecases/data/test_compatibility.py", "the last step of an ingestion"),
    "decisions/batch_shard": ("usecases/decisions/test_batch_scoring.py", "a step of it"),
    "incidents/close_incident": (
        "cli/test_incident.py",
        "closed by the command or by the next run",
    ),
    "incidents/open_incident": ("usecases/operations/test_maintain.py", "one row for its callers"),
    "monitoring/drawing": ("usecases/monitoring/test_monitor.py", "a step of it"),
    "monitoring/judge_window": ("usecases/monitoring/test_monitor.py", "a step of it"),
    "monitoring/results": ("usecases/monitoring/test_monitor.py", "a step of it"),
    "monitoring/window": ("usecases/monitoring/test_monitor.py", "a step of it"),
    "operations/reconcile": ("usecases/operations/test_maintain.py", "the first part of it"),
    "promotion/approval_question": ("usecases/promotion/test_approval.py", "the question of it"),
    "retirement/archiving": ("usecases/retirement/test_decommissioning.py", "a step of it"),
    "retirement/disposal": ("usecases/retirement/test_decommissioning.py", "a step of it"),
    "retirement/notice": ("usecases/retirement/test_decommissioning.py", "a step of it"),
    "retirement/people": ("usecases/retirement/test_decommissioning.py", "a step of it"),
    "retirement/retirement": ("usecases/retirement/test_crashes.py", "the frame of all steps"),
    "serving/api_keys": ("cli/test_serve.py", "the command is its only caller"),
    "serving/model_process": ("security/test_model_processes.py", "a main module: as a process"),
    "evaluation/evidence": ("usecases/training/test_training.py", "a step of it"),
    "suites/suggestions": ("usecases/suites/test_suites.py", "the steward's tools together"),
    "training/fitting": ("usecases/training/test_training.py", "a step of it"),
    "evaluation/gates": ("usecases/training/test_training.py", "a step of it"),
    "training/planning": ("usecases/training/test_training.py", "a step of it"),
}
"""Use cases without a test file of their name: where they are tested, and why there."""


@cache
def trees() -> dict[Path, ast.Module]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def classes() -> Counter[str]:
    nodes = (node for tree in trees().values() for node in tree.body)
    names = (node.name for node in nodes if isinstance(node, ast.ClassDef))
    return Counter(name for name in names if not name.startswith("_"))


def test_a_class_name_means_one_thing() -> None:
    assert [name for name, number in classes().items() if number > 1] == []


def use_cases() -> Iterator[str]:
    for path in trees():
        if path.is_relative_to(PACKAGE / "usecases") and path.stem != "__init__":
            yield path.relative_to(PACKAGE / "usecases").with_suffix("").as_posix()


def test_each_use_case_has_a_test_of_its_name_or_a_reason() -> None:
    stems = {path.stem.removeprefix("test_") for path in TESTS.rglob("test_*.py")}
    missing = {name for name in use_cases() if name.rpartition("/")[2] not in stems}
    assert missing == set(TESTED_ELSEWHERE)


@pytest.mark.parametrize("module", sorted(TESTED_ELSEWHERE))
def test_where_a_use_case_is_tested_there_is_a_test(module: str) -> None:
    path, reason = TESTED_ELSEWHERE[module]
    assert (REPOSITORY / "tests" / path).is_file(), reason


@pytest.mark.parametrize(
    "room",
    sorted(p.name for p in (PACKAGE / "usecases").iterdir() if (p / "__init__.py").is_file()),
)
def test_a_room_can_be_overseen(room: str) -> None:
    files = (PACKAGE / "usecases" / room).rglob("*.py")
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= ROOM_LINES


def has_any(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a parameter or the answer is annotated with Any, at whatever depth."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    hints = [one.annotation for one in named if one is not None] + [function.returns]
    names = (
        node.id if isinstance(node, ast.Name) else node.value
        for hint in hints
        if hint is not None
        for node in ast.walk(hint)
        if isinstance(node, ast.Name | ast.Constant)
    )
    return any("Any" in str(name).replace(",", " ").replace("[", " ").split() for name in names)


def test_use_cases_say_what_they_take_and_give() -> None:
    found = [
        (path.relative_to(PACKAGE).as_posix(), node.name, has_any(node))
        for path, tree in trees().items()
        if path.is_relative_to(PACKAGE / "usecases")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    untyped = [f"{path}: {name}" for path, name, is_untyped in found if is_untyped]
    assert len(untyped) < UNTYPED_SHARE * len(found), "\n".join(untyped)
