"""A file nobody has seen becomes a dataset; good drops of it pass, broken ones do not."""

import csv
import gzip
import io
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure.adapters.arrow_tables import read_batch
from tenure.adapters.arrow_tables.peeking import reasons_of
from tenure.adapters.gx_validator import validate
from tenure.cli import app
from tenure.config import load_dataset
from tenure.config.suites import check, load_suite
from tenure.errors import ConfigInvalid, DataRejected
from tenure.installation import Installation
from tenure.lifecycle.data.quality import Judgement, Reason, judge
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.onboarding.new_dataset import DatasetSpec, create
from tenure.vocabulary import RunRef

ROWS = 300
RUN = RunRef("shop__ingest_data", "r", "ingest")
Row = dict[str, str]


def comma(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".replace(".", ",")


def rows(seed: int, first: int = 0) -> list[Row]:
    """Orders of an imaginary shop: 50 columns as a German office program exports them."""
    draw = random.Random(seed)
    found = []
    for i in range(first, first + ROWS):
        row = {
            "Auftrag-Nr.": f"{i:08d}",
            "Kunden-ID": f"K{draw.randrange(500):05d}",
            "Vorname": draw.choice(["Jürgen", "Zoë", "Анна", "Ümit"]),
            "E-Mail": f"person{i}@beispiel.org",
            "Geburtsdatum": f"{draw.randint(1, 28):02d}.{draw.randint(1, 12):02d}.19{50 + i % 50}",
            "Telefon": f"0{draw.randrange(10**9, 10**10)}",
            "Bestellt am": f"{draw.randint(1, 28):02d}.0{draw.randint(1, 3)}.2024 1{i % 10}:30",
            "PLZ": f"{draw.randrange(1000, 99999):05d}",
            "Stadt": draw.choice(["Köln", "Bonn", "Trier"]),
            "Land": draw.choice(["DE", "AT", "CH"]),
            "Betrag (€)": comma(draw.gauss(50, 9)),
            "Rabatt": "NA" if draw.random() < 0.1 else comma(draw.random(), 3),
            "Menge": str(draw.randint(1, 9)),
            "Zufrieden": draw.choice(["ja", "nein"]),
            "Notiz": f'Er sagte: "gut {draw.randrange(10**6)}";\nund ging.',
        }
        row |= {f"Maß {n}": comma(draw.gauss(10 + 20 * n, 1 + n)) for n in range(15)}
        row |= {f"Zahl {n}": str(draw.randint(0, 10 ** (1 + n % 5))) for n in range(10)}
        row |= {f"Art {n}": draw.choice([f"a{n}", f"b{n}", f"c{n}"]) for n in range(10)}
        found.append(row)
    assert len(found[0]) == 50
    return found


def written(table: list[Row], columns: list[str] | None = None) -> bytes:
    names = columns or list(table[0])
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, delimiter=";")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode("utf-16")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An installation with the dataset `shop`, made from one file."""
    folder = tmp_path_factory.mktemp("shop")
    settings = replace(
        Settings.from_environment({"TENURE_HOME": str(folder / "home")}), include=folder / "include"
    )
    (folder / "shop.csv").write_bytes(written(rows(1)))
    create(settings, DatasetSpec("shop", folder / "shop.csv", entity="Kunden-ID", owner="ada"))
    return settings


def test_the_contract_of_the_file(shop: Settings) -> None:
    config, _ = load_dataset(shop.include, "shop")
    columns = config.contract.columns

    form = config.source.csv
    assert (form.delimiter, form.encoding, form.decimal) == (";", "utf-16", ",")
    assert (form.nulls, form.true_words) == (("NA",), ("true", "ja"))
    assert form.times == ("%d.%m.%Y", "%d.%m.%Y %H:%M")
    assert (config.time_column, config.contract.key) == ("Bestellt am", ("Auftrag-Nr.",))
    assert config.entity_column == "Kunden-ID"
    assert {c: columns[c].type for c in ("Auftrag-Nr.", "PLZ", "Telefon")} == {
        "Auftrag-Nr.": "string",
        "PLZ": "string",
        "Telefon": "string",
    }
    assert (columns["Betrag (€)"].type, columns["Menge"].type) == ("number", "integer")
    assert (columns["Zufrieden"].type, columns["Bestellt am"].type) == ("boolean", "timestamp")
    assert (columns["Rabatt"].nullable, columns["Menge"].nullable) == (True, False)
    personal = {name for name, column in columns.items() if column.sensitivity == "personal"}
    assert personal == {"Vorname", "E-Mail", "Geburtsdatum", "Telefon"}
    text = (shop.configs / "datasets/shop.yaml").read_text("utf-8")
    assert text.count("to be confirmed") >= len(personal)
    assert {problem.path.name for problem in check(shop.include, date(2026, 11, 28))[1]} <= {
        "platform.yaml"
    }


def changed(table: list[Row], **cells: Callable[[Row], str]) -> list[Row]:
    return [row | {name: make(row) for name, make in cells.items()} for row in table]


def judged(settings: Settings, path: Path, table: list[Row], *columns: str) -> Judgement:
    """The verdict of the gate; with columns, of the expectations about them and the table."""
    config, _ = load_dataset(settings.include, "shop")
    suite = load_suite(settings.include, "shop", config.contract)
    looked_at = {*columns, "the table"}
    some = tuple(e for e in suite.expectations if not columns or e.subject in looked_at)
    path.write_bytes(written(table))
    batch = read_batch(path, config.source, config.contract)
    found = list(batch.findings)
    if batch.is_sound:
        found += validate(batch.table, replace(suite, expectations=some))
    return judge(batch.rows, found, config.quality)


BROKEN: dict[str, Callable[[list[Row]], list[Row]]] = {
    "null storm": lambda t: [r | ({"Rabatt": ""} if i % 2 else {}) for i, r in enumerate(t)],
    "null storm where there were none": lambda t: changed(t, Menge=lambda _: ""),
    "another unit": lambda t: changed(
        t, **{"Betrag (€)": lambda r: comma(float(r["Betrag (€)"].replace(",", ".")) * 1.45)}
    ),
    "cents": lambda t: changed(
        t, **{"Betrag (€)": lambda r: comma(float(r["Betrag (€)"].replace(",", ".")) * 100)}
    ),
    "new categories": lambda t: changed(t, Stadt=lambda r: r["Stadt"].upper()),
    "swapped categories": lambda t: changed(
        t, Stadt=lambda r: r["Land"], Land=lambda r: r["Stadt"]
    ),
    "swapped measures": lambda t: changed(
        t, **{"Maß 3": lambda r: r["Maß 9"], "Maß 9": lambda r: r["Maß 3"]}
    ),
    "swapped identifiers": lambda t: changed(
        t, PLZ=lambda r: r["Kunden-ID"], **{"Kunden-ID": lambda r: r["PLZ"]}
    ),
    "a tenth of the rows": lambda t: t[: ROWS // 10],
    "ten times the rows": lambda t: t * 10,
}


@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN.keys())
def test_an_obviously_broken_copy_fails(
    shop: Settings, tmp_path: Path, damage: Callable[[list[Row]], list[Row]]
) -> None:
    good = rows(1)
    broken = damage(good)
    touched = [c for c in good[0] if any(a[c] != b[c] for a, b in zip(good, broken, strict=False))]

    found = judged(shop, tmp_path / "a", broken, *(touched or ["the table"]))

    assert found.verdict == "failed"


def test_another_file_like_it_passes(shop: Settings, tmp_path: Path) -> None:
    found = judged(shop, tmp_path / "a", rows(2))

    assert [str(f) for f in found.findings if not f.holds] == []


@pytest.mark.service
class TestDrops:
    """Good and broken drops through real ingestion."""

    @pytest.fixture
    def platform(self, shop: Settings, settings: Settings) -> Iterator[Installation]:
        platform = Installation(replace(settings, include=shop.include))
        yield platform
        platform.database.dispose()

    @staticmethod
    def land(platform: Installation, name: str, content: bytes) -> None:
        path = platform.settings.home / "store/landing/shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1, 1))  # no longer being written

    def test_good_drops_are_published(self, platform: Installation) -> None:
        some = rows(5)
        some[6]["Menge"], some[7]["Bestellt am"] = "drei", "31.02.2024 10:00"
        columns = [*some[0]][::-1]
        ragged = written(some, columns).decode("utf-16") + "zu;kurz\n"
        self.land(platform, "1-other-month.csv", written(rows(4, first=1000)))
        self.land(platform, "2-few-bad-cells.csv", ragged.encode("utf-16"))
        self.land(platform, "3-packed.csv.gz", gzip.compress(written(rows(6, first=2000))))
        service = ingestion(platform, "shop")

        published = [service.ingest(key, RUN) for key in service.discover()]

        counts = [(p.rows_ok, p.rows_quarantined) for p in published]
        assert counts == [(300, 0), (298, 3), (300, 0)]
        assert len(list(platform.store.list("snapshots/shop/"))) == 6
        (aside,) = (k for k in platform.store.list("quarantine/shop/") if "2-few" in k)
        found = pq.read_table(platform.store.fetch(aside)).to_pylist()
        assert [(r["_row"], reasons_of(r["_reasons"])) for r in found] == [
            (7, (Reason("type", "Menge", ("Menge",), "integer"),)),
            (8, (Reason("type", "Bestellt am", ("Bestellt am",), "timestamp"),)),
            (301, (Reason("width", "the row", (), "50 cells, as the header"),)),
        ]
        assert found[2]["Notiz"] is None

    @pytest.mark.parametrize(
        ("damage", "says"),
        [
            ("null storm", r"Rabatt has 1.*nulls"),
            pytest.param("cents", r"Betrag \(€\) has", marks=pytest.mark.exhaustive),
            pytest.param(
                "swapped categories",
                "Stadt has 300 of 300 unknown values",
                marks=pytest.mark.exhaustive,
            ),
        ],
    )
    def test_broken_drops_are_refused(self, platform: Installation, damage: str, says: str) -> None:
        self.land(platform, "4-broken.csv", written(BROKEN[damage](rows(7))))
        service = ingestion(platform, "shop")
        (key,) = service.discover()

        with pytest.raises(DataRejected) as error:
            service.ingest(key, RUN)

        assert re.search(says, error.value.what)
        assert list(platform.store.list("snapshots/shop/")) == []


def wish(path: Path, **options: Any) -> DatasetSpec:
    return DatasetSpec(options.pop("name", "d"), path, owner="ada", **options)


@pytest.fixture
def empty(tmp_path: Path) -> Settings:
    """An installation without datasets, with the platform's roles."""
    include = tmp_path / "include"
    (include / "configs").mkdir(parents=True)
    platform = REPOSITORY / "include/configs/platform.yaml"
    (include / "configs/platform.yaml").write_bytes(platform.read_bytes())
    env = {"TENURE_HOME": str(tmp_path), "TENURE_INCLUDE": str(include)}
    return Settings.from_environment(env)


GOOD = "id,at,v\n" + "".join(f"r{i},2024-01-{1 + i % 28:02d}T00:00:00Z,{i}\n" for i in range(30))
REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "empty": ("", {}, "a.csv: found no header."),
    "header only": ("a,b\n", {}, "a.csv: found no row that could be a model of those to come."),
    "no name": ("a,,c\n1,2,3\n", {}, "a.csv: found a column without a name (column 2)."),
    "twice": ("a,b,a\n1,2,3\n", {}, "a.csv: found 2 columns called 'a' (columns 1, 3)."),
    "half a gzip": (gzip.compress(GOOD.encode())[:-9], {}, "a.csv: found a gzip file that is dam"),
    "half a Parquet": (b"PAR1abcd", {}, "a.csv: found Parquet"),
    "an open quote": ('a,b\n1,"2\n', {}, "a.csv: found a quote that is never closed"),
    "name": (GOOD, {"name": "../d"}, "'../d' is not an id."),
    "no such time": (GOOD, {"time": "when"}, "--time: a.csv has no column 'when'."),
    "no time": (GOOD, {"time": "v"}, "--time: v holds integer, not times."),
    "no such entity": (GOOD, {"entity": "who"}, "--entity: a.csv has no column 'who'."),
}


@pytest.mark.parametrize(("content", "options", "what"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(
    empty: Settings, tmp_path: Path, content: str | bytes, options: dict[str, Any], what: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)

    with pytest.raises(ConfigInvalid) as error:
        create(empty, wish(path, **options))

    assert error.value.what.startswith(what)
    assert error.value.still_safe == "Nothing was written."
    assert list(empty.include.rglob("*d.*")) == []


def test_what_is_no_file_is_refused(empty: Settings, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text(GOOD)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("link.csv", "pipe.csv", "none.csv", "include"):
        with pytest.raises(ConfigInvalid, match="no regular file"):
            create(empty, wish(tmp_path / name))


@pytest.mark.exhaustive
def test_nothing_is_overwritten(empty: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    create(empty, wish(path))
    before = {p: p.read_bytes() for p in empty.include.rglob("d.*")}

    with pytest.raises(ConfigInvalid) as error:
        create(empty, wish(path))

    assert error.value.what.startswith("d is there already: ")
    assert {p: p.read_bytes() for p in empty.include.rglob("d.*")} == before
    (empty.suites / "d.json").unlink()
    with pytest.raises(ConfigInvalid):
        create(empty, wish(path))
    assert not (empty.suites / "d.json").exists()


@pytest.mark.parametrize(("batch", "most"), [("month", 1500), ("day", 300), ("file", 1500)])
def test_the_next_file_may_have_more_rows(
    empty: Settings, tmp_path: Path, batch: str, most: int
) -> None:
    """One month as a sample says little of how many rows another one has."""
    rows = "".join(f"{n},2024-01-{1 + n % 30:02d}\n" for n in range(300))
    (tmp_path / "rides.csv").write_text("ride,at\n" + rows)
    made = create(empty, replace(wish(tmp_path / "rides.csv"), time="at", cut=batch))
    assert made.proposals[0].kwargs["max_value"] == most


def test_the_command(empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Months of a Parquet file: key, time and rows a month are found; check and lint agree."""
    monkeypatch.setenv("TENURE_HOME", str(empty.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(empty.include))
    days = [f"2024-{1 + i // 100:02d}-{1 + i % 28:02d}" for i in range(300)]
    table = pa.table(
        {
            "order_id": pa.array(range(300)),
            "sold_at": pa.array(days).cast(pa.timestamp("s")),
            "price": pa.array([10.0 + i % 7 for i in range(300)]),
        }
    )
    pq.write_table(table, tmp_path / "sales.parquet")
    line = ["new", "dataset", "sales", "--from", str(tmp_path / "sales.parquet")]

    done = CliRunner().invoke(app, [*line, "--batch", "month", "--json"])

    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["key"], answer["time_column"]) == (["order_id"], "sold_at")
    config, _ = load_dataset(empty.include, "sales")
    assert (config.steward, config.schedule, config.source.time_zone) == ("sam", "0 * * * *", "UTC")
    assert answer["batches"] == {
        "cut": "months of sold_at",
        "total": 3,
        "judged": 3,
        "passed": 3,
        "refused": [],
    }
    assert answer["expectations"][0]["kwargs"] == {"min_value": 42, "max_value": 300}
    assert answer["expectations"][0]["notes"] == (
        "100 rows in 3 batches. One batch is a month; the file this began with had 300 rows."
    )
    assert CliRunner().invoke(app, ["check"]).exit_code == 0
    assert CliRunner().invoke(app, ["suite", "lint", "sales"]).exit_code == 0
    wrong = CliRunner().invoke(app, [*line[:2], "s2", *line[3:], "--batch", "year"])
    assert (wrong.exit_code, "'year' is none of month, week, day, file" in wrong.output) == (
        2,
        True,
    )


def test_the_answer_for_people(
    empty: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_HOME", str(empty.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(empty.include))
    monkeypatch.setattr("tenure.cli.new.PATIENCE_SECONDS", 0.05)
    (tmp_path / "a.csv").write_text(GOOD.replace("id,", "email,"))

    done = CliRunner().invoke(app, ["new", "dataset", "d", "--from", str(tmp_path / "a.csv")])

    lines = done.stdout.splitlines()
    assert lines[0] == "30 rows, 3 columns, 5 expectations."
    assert lines[1].startswith("d batch a.csv: all 5 expectations hold; 30 rows published, 0 not.")
    assert lines[2] == "28 of 28 days of at would pass by these rules."
    assert "… judging" in done.stderr
    assert "  - email seems to hold an e-mail address: personal" in lines
    landing = empty.place("landing/d/")
    assert lines[-6:] == [
        "  tenure check",
        f"  mkdir -p {landing} && cp {tmp_path / 'a.csv'} {landing}a.csv",
        "  tenure up   # in a terminal of its own, in this folder; it stays until Ctrl-C",
        "  tenure ingest d --as ada",
        "Then a model:",
        "  tenure new model NAME --dataset d --label COLUMN",
    ]
