"""The next command, as it can be typed: with whom to be, and where to put the file."""

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.cli.connection import login_name
from tenure.layout import PROMOTE_MODEL, dag_id

if TYPE_CHECKING:
    from tenure.config import DatasetConfig, PlatformConfig
    from tenure.installation import Installation
    from tenure.settings import Settings


_PATIENTLY = "-sf --retry 60 --retry-delay 5 --retry-all-errors"
"""Asks again, for five minutes, while the gateway does not know the key yet (401, a second), or
answers that the model is not served (503)."""


def as_member(settings: "Settings") -> str:
    """` --as NAME` where who types is nobody of the platform: its first trainer, else nothing."""
    from tenure.config import load_platform
    from tenure.errors import TenureError
    from tenure.vocabulary import Role

    try:
        people: PlatformConfig = load_platform(settings.include)
    except TenureError:
        return ""
    me = os.environ.get("TENURE_AIRFLOW_USER") or login_name()
    first = next(iter(people.roles.get(Role.TRAINER, ())), None)
    is_member = any(me in names for names in people.roles.values())
    return "" if is_member or first is None else f" --as {first}"


def after_dataset(
    settings: "Settings", dataset: "DatasetConfig", file: Path, landing: str
) -> Iterator[str]:
    """From a dataset to its first batch: the file that it was made from will do."""
    from tenure.lifecycle.data.sources import landing_name
    from tenure.stack import state

    folder, source = shlex.quote(landing), shlex.quote(str(file))
    target = shlex.quote(landing + landing_name(file.name, dataset.source))
    yield "  tenure check"
    yield f"  mkdir -p {folder} && cp {source} {target}"
    found = state.read(settings.home)
    if found is None or not found.owner_lives:
        yield "  tenure up   # in a terminal of its own, in this folder; it stays until Ctrl-C"
    yield f"  tenure ingest {dataset.name}{as_member(settings)}"


def after_batch(dataset: str) -> str:
    """From the first batch to a model."""
    return f"  tenure new model NAME --dataset {dataset} --label COLUMN"


def after_model(settings: "Settings", model: str) -> Iterator[str]:
    """From a model to its first version."""
    yield "  tenure check"
    yield f"  tenure train {model} --reason 'the first version'{as_member(settings)}"


def after_training(platform: "Installation", model: str, trainer: str) -> Iterator[str]:
    """From a version that passed its gates to the gateway's first answer."""
    from tenure.usecases.onboarding.first_question import first_question
    from tenure.vocabulary import Role

    approvers = [one for one in platform.config.roles.get(Role.APPROVER, ()) if one != trainer]
    settings = platform.settings
    logins = settings.home / "airflow" / "simple_auth_manager_passwords.json"
    promotion = dag_id(model, PROMOTE_MODEL)
    yield f"Next: {promotion} asks an approver ({' or '.join(approvers)}). Log in and answer here:"
    yield f"  {settings.airflow_url}/dags/{promotion}/required_actions"
    if logins.is_file():
        yield f"  (passwords: {logins})"
    yield "Then ask the gateway; the values are made up:"
    question = shlex.quote(json.dumps(first_question(platform, model)))
    model_url = f"{settings.gateway_url}/v2/models/{model}"
    key = '-H "Authorization: Bearer $KEY"'
    yield "  KEY=$(tenure key create first --scope score)"
    yield f"  curl {_PATIENTLY} {shlex.quote(f'{model_url}/ready')} {key}   # until it serves"
    yield (
        f"  curl -s {shlex.quote(f'{model_url}/infer')} {key} "
        f"-H 'Content-Type: application/json' -d {question}"
    )
