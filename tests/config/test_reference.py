"""`docs/models.md` explains every key there is, with its real default, and its example is valid."""

import re
from pathlib import Path

import config_reference
import pytest
import yaml

from tenure.config.loader import parse_model
from tenure.settings import REPOSITORY

PAGE = REPOSITORY / "docs" / "models.md"
TEXT = PAGE.read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


def test_the_tables_are_those_of_the_classes() -> None:
    assert config_reference.refreshed(TEXT) == TEXT, "run `make docs`"


@pytest.mark.parametrize("kind", config_reference.KINDS)
def test_every_key_is_explained(kind: str) -> None:
    policy = config_reference.KINDS[kind]
    assert [key.name for key in config_reference.keys(policy) if not key.meaning] == []


def named(tree: object, prefix: str = "") -> set[str]:
    """Dotted names of all keys of a YAML, as in the tables."""
    if isinstance(tree, list):
        return set().union(*(named(one, prefix) for one in tree)) if tree else set()
    if not isinstance(tree, dict):
        return set()
    found = {prefix + str(key) for key in tree}
    for key, value in tree.items():
        mark = "[]" if isinstance(value, list) else ""
        found |= named(value, f"{prefix}{key}{mark}.")
    return found


def test_the_example_is_valid_and_shows_every_key() -> None:
    assert parse_model(EXAMPLE).name == "claim_fraud"
    shown = named(yaml.safe_load(EXAMPLE))
    every = {key.name for key in config_reference.keys(config_reference.KINDS["model"])}
    excuses = {"evaluation.reason", "evaluation.expires"}  # shown at `bias`
    instead = {"evaluation.threshold"}  # of `costs`
    instead |= {"serving.fallback_class", "bias.positive"}  # of a multiclass model
    instead |= {f"evaluation.class_costs{key}" for key in ("", ".other", ".wrong")}  # as well
    instead |= {f"bias.mitigation.{n}" for n in ("constraint", "max_violation", "decision")}
    instead |= {f"bias.mitigation.decision.{n}" for n in ("why", "by", "until")}  # other methods
    bounds = {"evaluation.gates[].minimum", "evaluation.gates[].maximum"}
    assert bounds <= shown
    assert every - excuses - instead - shown == set()


def test_a_table_that_is_behind_is_found(tmp_path: Path) -> None:
    assert config_reference.refreshed(TEXT.replace("| `purpose` |", "| `purpos` |")) == TEXT
