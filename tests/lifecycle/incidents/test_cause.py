"""The same cause has the same key, whoever meets it; another one has another."""

import pytest

from tenure.errors import DataRejected, GateFailed, ServiceUnreachable, TenureError
from tenure.lifecycle.incidents.cause import broken_columns, cause_of_card
from tenure.lifecycle.incidents.failure_card import describe, killed_card
from tenure.verdicts import Check, Verdict
from tenure.vocabulary import RunRef

INGEST = RunRef("flights__ingest_data", "r1", "ingest", 2)
TRAIN = RunRef("m__train_model", "r1", "evaluate")


def key(error: BaseException, run: RunRef = TRAIN, *broken: str, **about: str) -> str:
    return cause_of_card(describe(error, **about), run, broken).key  # type: ignore[arg-type]


def said(kind: type[TenureError], what: str) -> TenureError:
    return kind(what, still_safe="s", next_step="n")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param(
            key(said(ServiceUnreachable, "MLflow: http://mlflow:5000/a gave 503 for m1.")),
            key(said(ServiceUnreachable, "No answer: http://mlflow:5000/b?run=7"), INGEST),
            True,
            id="one service, two tasks",
        ),
        pytest.param(
            key(said(ServiceUnreachable, "http://mlflow:5000 is away")),
            key(said(ServiceUnreachable, "http://store:9000 is away")),
            False,
            id="two services",
        ),
        pytest.param(
            key(said(ServiceUnreachable, "The database does not answer: refused. It waited 5 s.")),
            key(said(ServiceUnreachable, "The database does not answer: refused. It waited 9 s.")),
            True,
            id="what changes with each try",
        ),
        pytest.param(
            key(KeyError(f"run {'a' * 64}")),
            key(KeyError(f"run {'b' * 64}"), INGEST),
            True,
            id="a bug, two tasks",
        ),
        pytest.param(key(KeyError("a")), key(KeyError("b")), False, id="two bugs"),
        pytest.param(
            key(said(DataRejected, "march"), INGEST, "temp", dataset="flights"),
            key(said(DataRejected, "april"), INGEST, "temp", dataset="flights"),
            True,
            id="one column, two batches",
        ),
        pytest.param(
            key(said(DataRejected, "x"), INGEST, "temp", dataset="flights"),
            key(said(DataRejected, "x"), INGEST, "wind", dataset="flights"),
            False,
            id="two columns",
        ),
        pytest.param(
            key(said(GateFailed, "x"), TRAIN, model="m"),
            key(said(GateFailed, "x"), RunRef("m__train_model", "r1", "bias"), model="m"),
            False,
            id="two gates",
        ),
        pytest.param(
            key(said(GateFailed, "x"), TRAIN, *(f"c{n}" for n in range(7)), model="m"),
            key(said(GateFailed, "x"), TRAIN, *(f"c{n}" for n in range(8)), model="m"),
            False,
            id="many columns",
        ),
        pytest.param(
            cause_of_card(killed_card(TRAIN), TRAIN).key,
            cause_of_card(killed_card(TRAIN, try_number=2, tries=3), TRAIN).key,
            True,
            id="killed twice",
        ),
        pytest.param(
            cause_of_card(killed_card(TRAIN), TRAIN).key,
            cause_of_card(killed_card(INGEST), INGEST).key,
            False,
            id="two tasks killed",
        ),
    ],
)
def test_keys(one: str, other: str, *, is_same: bool) -> None:
    assert (one == other) is is_same


def test_a_cause_is_named_for_people() -> None:
    broken = ("temp", "wind")
    assert key(said(DataRejected, "x"), INGEST, *broken, dataset="flights") == (
        "DataRejected:flights:temp,wind"
    )
    assert key(KeyError("x")) == "KeyError:'x'"
    assert key(said(GateFailed, "x"), TRAIN, model="m") == "GateFailed:m:evaluate"
    assert cause_of_card(killed_card(TRAIN), TRAIN).key == "Killed:m__train_model.evaluate"


def test_columns_of_failed_checks_or_what_they_are_about() -> None:
    checks = [
        Check("nulls", Verdict.FAILED, "12%", "2%", columns=("temp",)),
        Check("range", Verdict.PASSED, "1", "2", columns=("wind",)),
        Check("rows", Verdict.INCONCLUSIVE, "3", "10", subject="the table"),
        Check("roc_auc", Verdict.FAILED, "0.5", "0.6"),
    ]
    assert broken_columns(checks) == ("roc_auc", "temp", "the table")
