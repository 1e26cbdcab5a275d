"""Tables of any kind, and the short way from their rows to a trained version."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from tenure.adapters.sql import versions
from tenure.errors import GateInconclusive
from tenure.lifecycle.model_version import VersionRow
from tenure.usecases.evaluation import gates
from tenure.usecases.onboarding.model_draft import ModelSpec
from tenure.usecases.onboarding.new_model import NewModel, create
from tenure.usecases.training import planning
from tenure.usecases.training import training as use_case
from tenure.vocabulary import RunRef

ROWS = 1_200


def made(world: Any, label: str, **other: Any) -> NewModel:
    return create(world.platform, ModelSpec("any", "loans", label, owner="ada", **other))


def trained(world: Any) -> tuple[VersionRow, list[Any]]:
    """The first version, and what its gates say."""
    platform = world.platform

    def run(task: str) -> RunRef:
        return RunRef("any__train_model", "r1", task, user="ada")

    planning.plan(platform, "any", run("plan"), by_hand=True)
    use_case.train(platform, "any", run("train"), world.mlflow)
    found = [gates.evaluate(platform, "any", run("evaluate"))["verdict"]]
    with suppress(GateInconclusive):  # on few rows groups may differ by chance
        found.append(gates.audit_bias(platform, "any", run("audit_bias"))["verdict"])
    with platform.database.begin() as connection:
        ref = versions.get(connection, "any", 1)
        assert ref is not None
        return versions.row_by_id(connection, ref.id), found


def people() -> tuple[dict[str, str], dict[str, Any]]:
    """Customers: a leak, two ids, dates, flags, a column of many texts, values that are missing."""
    draw = np.random.default_rng(5)
    joined = [
        datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=int(d))
        for d in draw.integers(0, 700, ROWS)
    ]
    calls = draw.poisson(2, ROWS)
    late_in_year = np.array([moment.month >= 10 for moment in joined])
    left = draw.random(ROWS) < 1 / (1 + np.exp(6 - 1.5 * calls - 6 * late_in_year))
    seen: list[datetime | None] = [moment + timedelta(hours=9) for moment in joined]
    seen[::40] = [None] * len(seen[::40])
    types = {
        "who": "string",
        "account": "integer",
        "joined": "timestamp",
        "seen": "timestamp",
        "calls": "integer",
        "spend": "number",
        "town": "string",
        "paperless": "boolean",
        "sex": "string",
        "offer": "string",
        "left": "string",
    }
    columns = {
        "who": [f"c{n}" for n in draw.permutation(ROWS)],
        "account": 10**9 + draw.permutation(ROWS),
        "joined": joined,
        "seen": seen,
        "calls": calls,
        "spend": [None if n % 11 == 0 else float(n % 97) for n in draw.permutation(ROWS)],
        "town": [f"town {n}" for n in draw.integers(0, 400, ROWS)],
        "paperless": draw.random(ROWS) < 0.5,
        "sex": draw.choice(["f", "m"], ROWS),
        "offer": np.where(left, draw.choice(["call", "mail"], ROWS), "none"),
        "left": np.where(left, "yes", "no"),
    }
    return types, columns


def houses() -> tuple[dict[str, str], dict[str, Any]]:
    """Prices with outliers: no time, no key, no groups; a copy of the price with noise."""
    draw = np.random.default_rng(6)
    area, age = draw.gamma(6, 18, ROWS), draw.uniform(0, 120, ROWS)
    price = area * 2_500 * (1.5 - age / 200) * draw.lognormal(0, 0.1, ROWS)
    price[draw.choice(ROWS, 4, replace=False)] *= 200
    columns = {"area": area, "roof": age, "tax": price * draw.lognormal(0, 0.02, ROWS)}
    return dict.fromkeys([*columns, "price"], "number"), {**columns, "price": price}
