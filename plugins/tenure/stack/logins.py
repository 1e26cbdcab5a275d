"""The people who may log in to the embedded stack."""

import json
from collections.abc import Mapping
from pathlib import Path


def airflow_passwords(home: Path) -> Mapping[str, str]:
    """User → password of Airflow's login, as the stack made them; empty without a stack."""
    path = home / "airflow" / "simple_auth_manager_passwords.json"
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
