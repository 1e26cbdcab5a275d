"""docs/models.md, "From a file to the first answer", typed by somebody who knows nothing else.

Each command is the one that was printed before it; what a person fills in is a name and a column.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from rich.console import Console
from waiting import wait_for

from tenure.demo.airflow_api import AirflowUser
from tenure.settings import REPOSITORY, Settings
from tenure.stack import processes
from tenure.stack.endpoints import VARIABLES, StackEndpoints
from tenure.stack.logins import airflow_passwords

pytestmark = [pytest.mark.e2e, pytest.mark.exhaustive, pytest.mark.timeout(4000)]

ROWS = 4_000
FILE = "flats.tsv"
"""Not the suffix that a landing folder takes: what is printed copies it under another name."""
FILLED_IN = {"NAME": "rent", "COLUMN": "rent_eur"}


def flats(folder: Path) -> None:
    """Rents: an id, a leak, a constant, two dates, values that are missing, a few outliers."""
    rng = np.random.default_rng(11)
    area, km = rng.gamma(6, 11, ROWS) + 14, rng.gamma(2, 2.3, ROWS)
    furnished = rng.random(ROWS) < 0.3
    rent = 120 + 9 * area * np.exp(0.1 * furnished - 0.04 * km) * rng.lognormal(0, 0.1, ROWS)
    rent[::400] *= 40
    day = np.datetime64("2024-01-01") + (np.arange(ROWS) // 6).astype("timedelta64[D]")
    free = day + rng.integers(0, 90, ROWS).astype("timedelta64[D]")
    table = {
        "listing": [f"L{n * 7:07}" for n in range(ROWS)],
        "listed_on": day,
        "free_from": pa.array(free, mask=rng.random(ROWS) < 0.1),
        "area_m2": area.round(1),
        "km": pa.array(km.round(2), mask=rng.random(ROWS) < 0.05),
        "furnished": np.where(furnished, "yes", "no"),
        "district": [f"district {n}" for n in rng.integers(0, 40, ROWS)],
        "country": ["NL"] * ROWS,
        "deposit": (3 * rent).round(2),
        "rent_eur": rent.round(2),
    }
    options = pyarrow.csv.WriteOptions(delimiter="\t", quoting_style="none")
    pyarrow.csv.write_csv(pa.table(table), folder / FILE, write_options=options)


def show(text: str) -> None:
    """What was typed and printed, for whoever reads a failure."""
    Console(width=200).print(text, markup=False, highlight=False)


@dataclass
class Stranger:
    """Somebody at a terminal; what she typed, and what was printed."""

    folder: Path
    environment: dict[str, str]
    typed: list[str] = field(default_factory=list)
    printed: str = ""
    stack: "subprocess.Popen[bytes] | None" = None

    @property
    def home(self) -> Path:
        return self.folder / "var"

    def type(self, line: str) -> str:
        """One command; what it printed."""
        show(f"$ {line}")
        self.typed.append(line)
        if line.startswith("tenure up"):
            self.stack = subprocess.Popen(
                ["tenure", "up"], cwd=self.folder, env=self.environment, start_new_session=True
            )
            return ""
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder if self.folder.exists() else self.folder.parent,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        show(f"{done.stdout}[{time.monotonic() - began:.0f} s]")
        assert done.returncode == 0, done.stdout
        self.printed += done.stdout
        return done.stdout

    def follow(self, output: str) -> str:
        """Type what was printed to be typed, and what that prints, until an approver is asked."""
        for line in commands_of(output):
            if line.startswith("KEY="):
                return output
            printed = self.type(re.sub(r"\b[A-Z]{4,}\b", lambda m: FILLED_IN[m[0]], line))
            if commands_of(printed):
                return self.follow(printed)
        raise AssertionError(f"nothing more to type after: {output}")

    def approve(self) -> None:
        """As grace, in Airflow."""
        url = Settings.from_environment({"TENURE_HOME": str(self.home)}).airflow_url
        grace = AirflowUser(url, "grace", airflow_passwords(self.home)["grace"])
        wait_for(lambda: bool(grace.open_questions()), seconds=120)
        time.sleep(6)  # reading; see Story._wait_answering
        for question in grace.open_questions():
            grace.answer(question, question["options"][0])
        grace.close()

    def leave(self) -> None:
        """Ctrl-C at `tenure up`."""
        if self.stack is not None:
            self.stack.send_signal(signal.SIGINT)
            self.stack.wait(120)


def commands_of(output: str) -> list[str]:
    """Lines that are indented by two blanks and begin as a command does."""
    starts = ("tenure ", "mkdir ", "cd ", "KEY=", "curl ")
    lines = [line[2:].partition("   # ")[0] for line in output.splitlines() if line[:2] == "  "]
    return [line for line in lines if line.startswith(starts)]


def documented() -> list[str]:
    """The commands of the document, without comments."""
    text = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    section = text.partition("## From a file to the first answer")[2]
    block = section.split("```")[1]
    return [line.partition("#")[0].strip() for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def stranger(one_stack: None) -> Iterator[Stranger]:
    # A short path: the name of a Unix socket must stay below 108 bytes.
    with tempfile.TemporaryDirectory(prefix="tenure-") as name:
        ports = StackEndpoints.free()
        chosen = {variable: str(getattr(ports, key)) for key, (variable, _) in VARIABLES.items()}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("TENURE_", "AIRFLOW_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        found = Stranger(Path(name) / "flats", {**kept, **chosen, "PATH": path})
        flats(Path(name))
        try:
            yield found
        finally:
            found.leave()
            leaders: dict[int, float] = {}
            assert processes.of_stack(found.home, leaders) == []


def test_a_file_becomes_an_answer(stranger: Stranger) -> None:
    folder = stranger.folder
    stranger.type(f"tenure init {folder}")
    output = stranger.type(f"tenure new dataset flats --from {folder.parent / FILE}")
    last = stranger.follow(output)
    assert re.search(r"- deposit gives rent_eur away", stranger.printed)
    assert "- listing names a row" in stranger.printed
    assert "- country has one value in all rows" in stranger.printed
    stranger.approve()
    asked = stranger.type("\n".join(commands_of(last)))
    answer = json.loads(asked.removeprefix('{"ready":true}'))
    found = {one["name"]: one["data"][0] for one in answer["outputs"]}
    assert list(found) == ["prediction", "lower", "upper"]
    assert found["lower"] < found["prediction"] < found["upper"]
    assert answer["parameters"]["fallback_level"] == "model"
    typed = iter("\n".join(stranger.typed).splitlines())
    for line in documented():
        words = line.split()[:3] if line.startswith("tenure new") else line.split()[:2]
        assert any(one.split()[: len(words)] == words for one in typed), f"not typed: {line}"
