"""The YAML of a model, written and read again."""

from pathlib import Path

import pytest
import yaml

from tenure.config import load_model
from tenure.config.model_yaml import model_yaml
from tenure.settings import REPOSITORY


@pytest.mark.parametrize(
    "path",
    sorted((REPOSITORY / "include" / "configs" / "models").glob("*.yaml")),
    ids=lambda p: p.stem,
)
def test_what_is_written_is_read_again(path: Path, tmp_path: Path) -> None:
    config, _ = load_model(REPOSITORY / "include", path.stem)
    notes = {("owner",): "who: to be\nconfirmed", ("evaluation", "gates", 0): "# x"}
    text = model_yaml(config, heading=["two\nlines"], notes=notes)
    copy = tmp_path / "configs" / "models" / path.name
    copy.parent.mkdir(parents=True)
    copy.write_text(text)
    assert load_model(tmp_path, path.stem)[0] == config
    assert text.startswith("# two lines\n")
    assert "{}" not in text
    assert f"owner: {config.owner}   # who: to be confirmed\n" in text


def test_a_default_is_left_out_unless_something_is_said_of_it() -> None:
    config, _ = load_model(REPOSITORY / "include", "flight_late")
    assert config.evaluation.threshold == 0.5
    silent = yaml.safe_load(model_yaml(config, heading=[], notes={}))
    assert "threshold" not in silent["evaluation"]
    text = model_yaml(config, heading=[], notes={("evaluation", "threshold"): "why"})
    assert "  threshold: 0.5   # why\n" in text
