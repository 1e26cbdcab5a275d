"""From rows of any kind to a version that answers: without time, without a key, with dates."""

import io
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from any_table import ROWS, houses, made, people, trained

from tenure.adapters.serving_frame import scorer
from tenure.adapters.skops_artifacts import load_verified
from tenure.adapters.training_rows import read_shard
from tenure.config.suites import check
from tenure.errors import ConfigInvalid
from tenure.lifecycle.serving import Signature
from tenure.verdicts import Verdict
from tenure.vocabulary import digest_bytes

TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def publish(world: Any, types: Mapping[str, str], columns: Mapping[str, Any], *more: str) -> str:
    """The dataset `loans` with these columns, and one batch of them; returns its digest."""
    contract = "".join(f"    {name}: {{type: {kind}}}\n" for name, kind in types.items())
    path = world.platform.settings.configs / "datasets" / "loans.yaml"
    text = "name: loans\ndescription: any\nowner: ada\nsteward: sam\nsuite: loans\n"
    path.write_text(f"{text}{''.join(more)}contract:\n  columns:\n{contract}")
    (world.platform.settings.configs / "models" / "loan_ok.yaml").unlink()
    table = pa.table({n: pa.array(columns[n], TYPES[kind]) for n, kind in types.items()})
    target = io.BytesIO()
    pq.write_table(table, target)
    world.publish(1, rows=table.num_rows, content=target.getvalue())
    return digest_bytes(target.getvalue())


def test_two_classes_without_time(world: Any) -> None:
    publish(world, *people(), "entity_column: who\n")
    found = made(world, "left")
    features = found.model.features
    assert features.numeric == ("calls", "spend")
    assert features.categorical == ("town", "paperless")
    assert features.dates == ("joined", "seen")
    assert found.left_out == {
        "who": "names whom a row is about",
        "account": "differs in every row: it seems to name rows",
        "sex": "is protected: its groups are audited",
        "offer": "gives left away (each of its values goes with one)",
    }
    assert (found.model.task, found.model.training.split) == ("binary", "stratified")
    assert any("--time takes joined or seen" in one for one in found.decided)
    assert "town (" in found.text
    settings = world.platform.settings
    _, problems = check(settings.include, world.platform.clock.now().date())
    assert [one for one in problems if one.path == found.path] == []
    row, verdicts = trained(world)
    assert verdicts[0] == Verdict.PASSED
    facts = row.facts
    assert facts.features.dates == ("joined", "seen")
    assert "joined" not in facts.categories
    assert facts.time_column is None
    assert facts.metrics["roc_auc"] > 0.7  # the month is a part of a date


def test_the_same_dates_score_alike_everywhere(world: Any) -> None:
    """A snapshot, a request and a reference file spell a date in their ways."""
    digest = publish(world, *people(), "entity_column: who\n")
    made(world, "left")
    row, _ = trained(world)
    platform = world.platform
    key = platform.settings.signing_key.with_suffix(".pub")
    signature = Signature.from_facts(row.facts)
    shard = read_shard(
        platform.store.fetch(f"snapshots/loans/{digest}/data.parquet", digest),
        0,
        ROWS,
        numeric=signature.numeric,
        categorical=signature.categorical,
        subject="who",
        time=None,
        keys=(),
        kinds=signature.kinds,
    )
    assert shard.keys.column_names == ["row"]
    estimator = load_verified(platform.store, row, key)
    direct = scorer(
        estimator,
        numeric=signature.numeric,
        categorical=signature.categorical,
        examples=signature.examples(),
    )
    plain = shard.features.astype(object).where(shard.features.notna(), None)
    rows = list(plain.itertuples(index=False, name=None))
    assert direct(rows) == estimator.predict_proba(shard.features)[:, 1].tolist()


def test_numbers_without_time_key_or_groups(world: Any) -> None:
    publish(world, *houses())
    found = made(world, "price")
    model = found.model
    assert (model.task, model.training.split, model.subject_column) == (
        "regression",
        "random",
        None,
    )
    assert model.features.numeric == ("area", "roof")
    assert "price away" in found.left_out["tax"]
    assert model.training.parameters == {"loss": "absolute_error"}
    assert model.bias.attributes == ("area",)
    assert len(model.bias.edges["area"]) == 3
    assert (model.monitoring.metric, model.canary.metrics[1].event) == ("mae", "absolute_error")
    assert model.evaluation.conformal is None
    assert "evaluation.conformal: too few rows" in "\n".join(found.confirm)
    _, verdicts = trained(world)
    assert verdicts[0] == Verdict.PASSED


def test_five_classes_without_time(world: Any) -> None:
    """The file is sorted by the class, as such files are."""
    draw = np.random.default_rng(7)
    kind = np.sort(draw.integers(0, 5, ROWS))
    names = np.array(["adelie", "chinstrap", "emperor", "gentoo", "king"])[kind]
    columns = {
        "length": kind + draw.normal(0, 0.9, ROWS),
        "genus": np.char.add("g. ", names),
        "sex": draw.choice(["f", "m"], ROWS),
        "species": names,
    }
    kinds = {"length": "number", "genus": "string", "sex": "string", "species": "string"}
    publish(world, kinds, columns)
    found = made(world, "species")
    model = found.model
    assert (model.task, model.training.split) == ("multiclass", "stratified")
    assert found.left_out["genus"].startswith("gives species away")
    assert model.serving.fallback_class == next(iter(found.draft.target.label.counts))  # type: ignore[union-attr]
    accuracy, loss = model.evaluation.gates
    assert accuracy.minimum is not None
    assert 0.2 < accuracy.minimum < 0.3
    assert loss.maximum == pytest.approx(np.log(5), abs=0.02)
    row, verdicts = trained(world)
    assert verdicts[0] == Verdict.PASSED
    assert row.facts.class_names == tuple(sorted(set(names)))


def test_the_time_of_a_model_may_be_another(world: Any) -> None:
    """Rows are split by a column that is not the dataset's; ONNX scores parts of dates alike."""
    types, columns = people()
    columns["seen"] = [moment + timedelta(hours=9) for moment in columns["joined"]]
    publish(world, types, columns, "entity_column: who\ntime_column: joined\n")
    found = made(world, "left", time="seen", task="binary")
    assert found.model.training.time_column == "seen"
    assert found.left_out["seen"] == "says when, not what"
    assert found.model.features.dates == ("joined",)
    assert found.decided[0] == "Task: binary (as you said)."
    found.path.write_text(found.text.replace("serving:\n", "serving:\n  onnx: {}\n"))
    row, verdicts = trained(world)
    assert verdicts[0] == Verdict.PASSED
    assert row.facts.time_column == "seen"
    assert row.facts.onnx is not None
    assert row.facts.onnx.verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"label": "spend", "positive": "3"}, "97 different values"),
        ({"label": "town"}, "375 different texts in 1,200 rows name rows, not classes"),
        ({"label": "joined"}, "it holds moments, and no task predicts one"),
        ({"label": "town", "task": "regression"}, "it is string, and a regression predicts"),
        ({"label": "spend", "task": "regression", "positive": "3"}, "has no positive value"),
        ({"label": "left", "time": "town"}, "time: town is string in loans, not timestamp"),
        ({"label": "left", "time": "never"}, "time: loans has no column 'never'"),
        ({"label": "left", "time": "seen"}, "seen of loans has no value in 30 of 1,200 rows"),
    ],
)
def test_what_no_task_can_predict(world: Any, other: dict[str, Any], words: str) -> None:
    publish(world, *people())
    with pytest.raises(ConfigInvalid) as refused:
        made(world, **other)
    assert words in refused.value.what
    assert refused.value.next_step
    assert not Path(world.platform.settings.configs / "models" / "any.yaml").exists()
