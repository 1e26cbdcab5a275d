"""The shipped model of high risk: its data as published, and its audit before and after."""

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tenure.config import load_dataset, parse_model
from tenure.demo.mortgages import BATCHES, write_batch
from tenure.settings import REPOSITORY
from tenure.usecases.evaluation.evidence import audit_scored
from tenure.usecases.training.fitting import fit_files, wanted_columns
from tenure.verdicts import Report, Verdict

INCLUDE = REPOSITORY / "include"
YAML = (INCLUDE / "configs" / "models" / "mortgage_approval.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("mortgages")
    return [write_batch(folder, number) for number in range(1, BATCHES + 1)]


def test_four_artificial_quarters_are_the_source(batches: list[Path]) -> None:
    rows = pd.concat(map(pd.read_parquet, batches))
    assert (len(rows), rows.application_id.nunique()) == (1_989, 1_989)
    rate = rows.approved.astype(float).groupby(rows.race == "white").mean()
    assert (round(rate[False], 3), round(rate[True], 3)) == (0.708, 0.908)
    assert rows.race.value_counts().to_dict() == {"white": 1_681, "black": 197, "not recorded": 111}
    assert (rows.hispanic == (rows.race == "not recorded")).all()


@pytest.mark.parametrize("number", [0, BATCHES + 1])
def test_there_is_no_other_quarter(tmp_path: Path, number: int) -> None:
    with pytest.raises(ValueError, match=r"1…4"):
        write_batch(tmp_path, number)


def audited(text: str, batches: list[Path], folder: Path) -> Report:
    config = parse_model(text)
    dataset, _ = load_dataset(INCLUDE, config.dataset)
    wanted = wanted_columns(config, dataset)
    made = fit_files(config, wanted, batches, name="mortgage_approval@1", choice=None)
    path = folder / "holdout.parquet"
    path.write_bytes(made.reference)
    bias: Any = config.bias
    return audit_scored(config, bias, path, subject="m@1", today=date(2026, 12, 1))


def test_it_fails_its_audit_as_it_stands(batches: list[Path], tmp_path: Path) -> None:
    report = audited(YAML, batches, tmp_path)
    assert report.verdict is Verdict.FAILED
    race = next(check for check in report.checks if check.subject == "race")
    assert (race.verdict, race.value) == (Verdict.FAILED, pytest.approx(0.70, abs=0.03))


def test_with_the_line_that_it_offers_the_gap_is_smaller(
    batches: list[Path], tmp_path: Path
) -> None:
    assert YAML.count("  # mitigation: {method: exponentiated_gradient") == 1
    report = audited(YAML.replace("  # mitigation:", "  mitigation:"), batches, tmp_path)
    race = next(check for check in report.checks if check.subject == "race")
    assert race.value == pytest.approx(0.93, abs=0.03)
