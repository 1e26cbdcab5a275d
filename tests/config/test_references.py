"""Everything that one file says of another: each rule with its file, its line and its sentence."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flight_configs import flight_configs

from tenure.config import load_all, load_dataset, load_model
from tenure.config.models import Label
from tenure.config.problems import BrokenFile, Problem
from tenure.config.references import broken, column_faults, label_fault, require_trainable
from tenure.config.suites import check
from tenure.lifecycle.data.sources import ColumnType

TODAY = date(2026, 11, 28)
MODEL, DATASET, PLATFORM = (
    "configs/models/flight_late.yaml",
    "configs/datasets/flights.yaml",
    "configs/platform.yaml",
)
ARRIVALS = "outcomes: {dataset: arrivals}\nsubject_column:"
OUTCOMES = """\
name: arrivals
description: What became of flights.
owner: ada
steward: sam
time_column: observed_at
suite: flights
contract:
  columns:
    decision_id: {type: string}
    label: {type: boolean}
    observed_at: {type: timestamp}
"""


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """A copy of the house's configs, as far as they are about flight_late."""
    return flight_configs(tmp_path / "include")


def spoil(include: Path, name: str, old: str, new: str) -> int:
    """Replace once; returns the line."""
    path = include / name
    body = path.read_text()
    assert body.count(old) >= 1, old
    path.write_text(body.replace(old, new, 1))
    return body[: body.index(old)].count("\n") + 1


def found(include: Path) -> list[Problem]:
    configs = load_all(include)
    assert configs.problems == []
    return broken(include, configs, TODAY)


def training(old: str) -> tuple[str, str]:
    return "parameters: {max_iter: 100, max_leaf_nodes: 15,", f"parameters: {{{old}, "


def estimator(name: str) -> tuple[str, str]:
    return "estimator: hist_gradient_boosting", f"estimator: {name}"


ONE_WORD = {
    "dataset that is not there": (
        MODEL,
        ("dataset: flights", "dataset: fligths"),
        "dataset 'fligths' has no valid YAML",
    ),
    "numeric feature that is not there": (
        MODEL,
        ("numeric: [hour,", "numeric: [huor,"),
        "huor is not in the contract of flights",
    ),
    "categorical feature that is not there": (
        MODEL,
        ("categorical: [carrier,", "categorical: [carier,"),
        "carier is not in the contract of flights",
    ),
    "label that is not there": (
        MODEL,
        ("label: {column: late,", "label: {column: tardy,"),
        "tardy is not in the contract of flights",
    ),
    "subject that is not there": (
        MODEL,
        ("subject_column: flight_id", "subject_column: flight"),
        "flight is not in the contract of flights",
    ),
    "protected attribute that is not there": (
        MODEL,
        ("attributes: [carrier,", "attributes: [airline,"),
        "airline is not in the contract of flights",
    ),
    "numeric feature that is text": (
        MODEL,
        ("numeric: [hour,", "numeric: [flight_id,"),
        "flight_id is string in the contract of flights, and no numeric feature",
    ),
    "numeric feature that is a time": (
        MODEL,
        ("numeric: [hour,", "numeric: [scheduled_at,"),
        "scheduled_at is timestamp in the contract of flights, and no numeric feature",
    ),
    "label that is a time": (
        MODEL,
        ("label: {column: late,", "label: {column: scheduled_at,"),
        "the label scheduled_at is timestamp: it must be boolean, or 0 and 1",
    ),
    "random split on data with time": (
        MODEL,
        ("  gap_hours: 24", "  split: random"),
        "training.split random on data with time: rows of flights that come later (by "
        "scheduled_at) would teach about earlier ones; take temporal, or grouped with group_column",
    ),
    "stratified split on data with time": (
        MODEL,
        ("  gap_hours: 24", "  split: stratified"),
        "training.split stratified on data with time: rows of flights that come later (by "
        "scheduled_at) would teach about earlier ones; take temporal, or grouped with group_column",
    ),
    "tried parameter out of bounds": (
        MODEL,
        ("  gap_hours: 24", "  search: {parameters: {max_leaf_nodes: [15, 1]}}"),
        "max_leaf_nodes of hist_gradient_boosting must be a whole number from 2, got 1",
    ),
    "date that is a text": (
        MODEL,
        ("  numeric: [hour,", "  dates: [flight_id]\n  numeric: [hour,"),
        "flight_id is string in the contract of flights, and no date of which parts are read",
    ),
    "time of the model that is none": (
        MODEL,
        ("  gap_hours: 24", "  time_column: flight_id"),
        "flight_id is string in the contract of flights, and no time",
    ),
    "time of the model that is no column": (
        MODEL,
        ("  gap_hours: 24", "  time_column: landed_at"),
        "landed_at is not in the contract of flights",
    ),
    "weight that is no number": (
        MODEL,
        ("  gap_hours: 24", "  sample_weight: scheduled_at"),
        "scheduled_at is timestamp in the contract of flights, and no weight of rows",
    ),
    "group that is no column": (
        MODEL,
        ("  gap_hours: 24", "  group_column: pilot\n  split: grouped"),
        "pilot is not in the contract of flights",
    ),
    "estimator that is not there": (
        MODEL,
        estimator("hist_gradient_bosting"),
        "there is no estimator 'hist_gradient_bosting': name one of hist_gradient_boosting, "
        "additive_boosting, random_forest, logistic_regression, or an entry point "
        "package.module:function",
    ),
    "entry point without its module": (
        MODEL,
        estimator('"tenure_nowhere.models:make"'),
        "'tenure_nowhere.models:make': there is no module 'tenure_nowhere.models'",
    ),
    "parameter that is not there": (
        MODEL,
        training("max_iters: 100"),
        "hist_gradient_boosting takes no parameter 'max_iters'. Allowed: loss, learning_rate",
    ),
    "parameter out of bounds": (
        MODEL,
        training("max_iter: 0"),
        "max_iter of hist_gradient_boosting must be a whole number from 1, got 0",
    ),
    "quorum that nobody can meet": (
        MODEL,
        ("risk_tier: limited", "risk_tier: high"),
        "risk tier high needs 2 approvers besides the owner ada; platform.yaml lists 1 (grace)",
    ),
    "owner who is the only approver": (
        MODEL,
        ("owner: ada", "owner: Grace"),
        "risk tier limited needs 1 approvers besides the owner Grace; platform.yaml lists 0 "
        "(nobody)",
    ),
    "webhook to a host that is not listed": (
        MODEL,
        ('webhook: "env:TENURE_DEMO_WEBHOOK"', 'webhook: "https://evil.example/x"'),
        "consumer passenger_app: The webhook host 'evil.example' is not in webhook_hosts",
    ),
    "notices of silence to a host that is not listed": (
        PLATFORM,
        ("webhook_hosts: [127.0.0.1]", "watch: {webhook: 'https://evil.example/x'}"),
        "The webhook host 'evil.example' is not in webhook_hosts",
    ),
    "webhook without a variable": (
        MODEL,
        ('webhook: "env:TENURE_DEMO_WEBHOOK"', 'webhook: "env:"'),
        "consumer passenger_app: `env:` must be followed by a variable's name",
    ),
    "outcomes that are not there": (
        MODEL,
        ("subject_column:", ARRIVALS),
        "outcomes: dataset 'arrivals' has no valid YAML",
    ),
    "outcomes of another kind": (
        MODEL,
        ("subject_column:", "outcomes: {dataset: flights}\nsubject_column:"),
        "outcomes: flights has no column decision_id or request_id",
    ),
    "role without a member": (
        PLATFORM,
        ("operator: [olga]", "operator: []"),
        "the role operator has no member, and 1 model needs it",
    ),
}


@pytest.mark.parametrize("case", ONE_WORD)
def test_one_word_is_wrong(include: Path, case: str) -> None:
    name, change, message = ONE_WORD[case]
    line = spoil(include, name, *change)
    (first, *_) = found(include)
    assert first.path == include / name
    assert first.line == line
    assert first.message.startswith(message)


def test_the_configs_of_the_house_fit_together(include: Path) -> None:
    assert found(include) == []


def test_a_dataset_without_a_time_cannot_be_trained_on(include: Path) -> None:
    line = spoil(include, DATASET, "time_column: ", "entity_column: ")
    text = (include / DATASET).read_text().splitlines()
    assert text[line - 1].startswith("entity_column")
    said = [one.message for one in found(include)]
    assert said == [
        "dataset flights has no time_column: training.split temporal needs one; without time it "
        "may be stratified, grouped or random"
    ]
    config, _ = load_model(include, "flight_late")
    with pytest.raises(BrokenFile, match="no time_column"):
        require_trainable(include, config, date(2026, 1, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("decision_id: {type: string}", "decision_id: {type: number}", "is number, not string or"),
        ("label: {type: boolean}", "label: {type: timestamp}", "label of arrivals is timestamp:"),
        ("label: {type: boolean}", "label: {type: string}", None),
        ("label: {type: boolean}", "labels: {type: boolean}", "arrivals has no column label"),
        (
            "decision_id: {type: string}",
            "decision_id: {type: string, sensitivity: personal}",
            "decision_id of arrivals is personal",
        ),
        ("time_column: observed_at\n", "", None),
        ("label: {type: boolean}", "label: {type: integer}", None),
        ("decision_id: {type: string}", "request_id: {type: string}", None),
    ],
)
def test_outcomes_that_land(include: Path, old: str, new: str, said: str | None) -> None:
    path = include / "configs/datasets/arrivals.yaml"
    path.write_text(OUTCOMES.replace(old, new))
    line = spoil(include, MODEL, "subject_column:", ARRIVALS)
    problems = found(include)
    assert [one.line for one in problems] == ([line] if said else [])
    assert all(said in one.message for one in problems if said)


@pytest.mark.parametrize(
    ("kind", "declared", "said"),
    [
        ("boolean", {}, None),
        ("integer", {}, None),
        ("string", {}, None),
        ("timestamp", {}, "it must be boolean, or 0 and 1"),
        ("boolean", {"positive": True}, None),
        ("boolean", {"positive": "yes"}, None),
        ("boolean", {"positive": 1}, "`positive` '1' is none of its values"),
        ("boolean", {"positive": "true", "negative": "no"}, "`positive` 'true' is none of its"),
        ("integer", {"positive": 2}, None),
        ("integer", {"positive": 2.0, "negative": -1}, None),
        ("integer", {"positive": "2"}, None),
        ("integer", {"positive": 2.5}, "none of its values is ever '2.5'"),
        ("integer", {"positive": "yes", "negative": "no"}, "is ever 'yes' or 'no'"),
        ("integer", {"positive": 2, "negative": "no"}, "none of its values is ever 'no'"),
        ("integer", {"positive": True}, "none of its values is ever 'true'"),
        ("number", {"positive": 2.5}, None),
        ("number", {"positive": "2.50"}, "none of its values is ever '2.50'"),
        ("string", {"positive": "2.50"}, None),
        ("timestamp", {"positive": "2013-07-01T00:00:00Z"}, None),
        ("timestamp", {"positive": "2013-07-01"}, "none of its values is ever '2013-07-01'"),
    ],
)
def test_a_label_that_no_value_of_its_type_can_be(
    kind: ColumnType, declared: dict[str, Any], said: str | None
) -> None:
    fault = label_fault(Label(column="y", **declared), kind)
    if said is None:
        assert fault is None
    else:
        assert fault is not None
        assert fault.startswith(f"the label y is {kind}: ")
        assert said in fault


@pytest.mark.parametrize("kind", ["boolean", "string"])
def test_a_file_of_outcomes_without_any_positive(include: Path, kind: str) -> None:
    """What is not positive there has no name, so the file would be refused; false has one."""
    text = OUTCOMES.replace("label: {type: boolean}", f"label: {{type: {kind}}}")
    (include / "configs/datasets/arrivals.yaml").write_text(text)
    spoil(include, MODEL, "subject_column:", ARRIVALS)
    line = spoil(include, MODEL, "label: {column: late,", "label: {column: late, positive: late,")
    said = [(one.line, one.message) for one in found(include)]
    expected = (
        "outcomes: without label.negative beside 'late' a file that holds no positive outcome "
        "would be refused"
    )
    assert said == ([] if kind == "boolean" else [(line, expected)])


def test_a_name_that_has_ended_is_told_from_its_day_on(include: Path) -> None:
    spoil(
        include, DATASET, "contract:", "contract:\n  renames: {fare: {to: temp, until: 2026-11-27}}"
    )
    spoil(include, MODEL, "numeric: [hour, minute, day_of_week, distance, temp,", "numeric: [fare,")
    configs = load_all(include)
    assert broken(include, configs, date(2026, 11, 27)) == []
    (problem,) = broken(include, configs, TODAY)
    assert problem.message == "fare is called temp, and the old name ended on 2026-11-27"


def test_one_person_cannot_retire(include: Path) -> None:
    spoil(include, PLATFORM, "decommissioner: [dora, grace]", "decommissioner: [ada]")
    spoil(include, PLATFORM, "operator: [olga]", "operator: [Ada]")
    (problem,) = found(include)
    assert problem.message.startswith("no version can be retired: ada would have to ask and to")


@pytest.mark.parametrize(
    "cron", ["61 * * * *", "", "daily", "0 6 * *", "0 0 30 2 *", "@once", "* * * * * * * *"]
)
@pytest.mark.parametrize("name", [MODEL, DATASET])
def test_a_schedule_that_never_fires(include: Path, cron: str, name: str) -> None:
    path = include / name
    lines = [one for one in path.read_text().splitlines() if not one.startswith("schedule:")]
    path.write_text("\n".join([*lines, f'schedule: "{cron}"']) + "\n")
    load: Callable[[Path, str], object] = load_model if name == MODEL else load_dataset
    with pytest.raises(BrokenFile) as refused:
        load(include, path.stem)
    (problem,) = refused.value.problems
    assert problem.line == len(lines) + 1
    assert "is no cron expression that ever fires" in problem.message


@pytest.mark.parametrize("cron", ["0 6 * * *", "* * * * * */20", "@daily", "0 0 29 2 *"])
def test_a_schedule_that_fires(include: Path, cron: str) -> None:
    spoil(include, MODEL, '"0 6 * * *"', f'"{cron}"')
    assert load_model(include, "flight_late")[0].schedule == cron


def test_a_suite_that_two_datasets_share_says_which_one_it_does_not_fit(include: Path) -> None:
    (include / "configs/datasets/arrivals.yaml").write_text(OUTCOMES)
    _, problems = check(include, TODAY)
    assert problems
    assert all(p.path == include / "expectations/flights.json" for p in problems)
    assert all(p.message.endswith("(in dataset arrivals, which shares it)") for p in problems)


def test_columns_are_one_rule_for_check_and_training(include: Path) -> None:
    spoil(include, MODEL, "numeric: [hour,", "numeric: [flight_id, huor,")
    model, dataset = load_model(include, "flight_late")[0], load_dataset(include, "flights")[0]
    faults = list(column_faults(model, dataset, TODAY))
    assert [one.said for one in faults] == [one.message for one in found(include)]
    assert [(one.column, one.is_absent) for one in faults] == [("huor", True), ("flight_id", False)]


@pytest.mark.parametrize(
    "case",
    [
        "dataset that is not there",
        "random split on data with time",
        "estimator that is not there",
        "entry point without its module",
        "parameter that is not there",
        "parameter out of bounds",
    ],
)
def test_a_training_is_refused_by_the_same_sentence(include: Path, case: str) -> None:
    name, change, message = ONE_WORD[case]
    spoil(include, name, *change)
    config, _ = load_model(include, "flight_late")
    with pytest.raises(BrokenFile) as refused:
        require_trainable(include, config, date(2026, 1, 1))
    assert refused.value.problems == found(include)
    assert refused.value.problems[0].message.startswith(message)


WAIVER = "{by: ada, reason: The board has seen it., expires: 2026-05-31}"


@pytest.mark.parametrize(
    ("estimator", "waiver", "day", "said"),
    [
        ("logistic_regression", None, date(2026, 5, 31), None),
        ("additive_boosting", None, date(2026, 5, 31), None),
        (
            "random_forest",
            None,
            date(2026, 5, 31),
            "random_forest cannot be read by people: risk tier high takes logistic_regression or "
            "additive_boosting, or training.waiver with by, reason and expires",
        ),
        ("random_forest", WAIVER, date(2026, 5, 31), None),
        (
            "random_forest",
            WAIVER,
            date(2026, 6, 1),
            "the waiver of ada for random_forest ended on 2026-05-31: risk tier high takes "
            "logistic_regression or additive_boosting",
        ),
    ],
)
def test_a_model_of_high_risk_is_one_that_people_can_read(
    include: Path, estimator: str, waiver: str | None, day: date, said: str | None
) -> None:
    more = f"\n  waiver: {waiver}" if waiver else ""
    spoil(include, MODEL, "risk_tier: limited", "risk_tier: high")
    spoil(include, MODEL, "  gap_hours: 24", f"  gap_hours: 24{more}")
    spoil(include, MODEL, "estimator: hist_gradient_boosting", f"estimator: {estimator}")
    spoil(include, MODEL, "  parameters: {max_iter: 100, ", "  parameters: {} # ")
    config, _ = load_model(include, "flight_late")
    if said is None:
        require_trainable(include, config, day)
        return
    with pytest.raises(BrokenFile) as refused:
        require_trainable(include, config, day)
    (problem,) = refused.value.problems
    assert problem.message == said
    assert problem.line > 13
