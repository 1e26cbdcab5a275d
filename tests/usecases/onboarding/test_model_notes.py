"""What stands beside the keys of a new model's YAML."""

from typing import Any

import yaml


def test_the_file_says_what_was_guessed(published: Any, made: Any) -> None:
    found = made()
    text = found.path.read_text()
    assert yaml.safe_load(text)["name"] == "loan_new"
    assert text.count("to be confirmed") == len(found.confirm) + 1
    assert "#   sex is protected: its groups are audited\n" in text
    assert "income alone reaches 0." in text
    for key in ("purpose", "risk_tier", "label", "evaluation.threshold", "bias.min_ratio"):
        assert any(one.startswith(f"{key}: ") for one in found.confirm), key
