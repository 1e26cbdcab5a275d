"""The report page of a validation and the page of a dataset, as a browser gets them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tenure.layout import drawn_key
from tenure.lifecycle.data.quality import Finding
from tenure.verdicts import Severity

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow

NASTY = '<script>document.title="owned"</script>'


def section(text: str, title: str) -> str:
    """The block of a page below a heading."""
    found = re.search(rf"<h2>{re.escape(title)}.*?</section>", text, re.DOTALL)
    assert found is not None, title
    return found[0]


def test_a_failed_batch_says_what_broke_what_is_safe_and_what_to_do(
    client: TestClient, shop: Any
) -> None:
    shop.batch("2013-01", no_price=1)
    failed = shop.batch("2013-02", no_price=8, strange=2)
    text = client.get(f"/report/{failed}").text
    for words in (
        "Validation of orders 2013-02",
        "2 of 7 checks do not hold.",
        "40 rows in",
        "0 published, 32 good rows wait for the repaired batch",
        "8 quarantined",
        "Nothing of this batch was published. Training keeps snapshot",
        "of batch 2013-01.",
        "ask ada to drop the repaired file",
        "the steward sam moves it on the <a href=",
        "another rule is edited in <code>include/expectations/orders.json</code>",
        "price may be missing in at most 10% of the rows",
        "Without a price nothing is sold",
        "8 of 40 nulls (20.0%)",
        "at most 10%",
        "landing/orders/2013-02.parquet",
        "none: the batch failed",
        'aria-label="2 batches, broken in 1"',
        "<title>2013-01: passed, 2.5</title>",
        "<title>2013-02: failed, 20</title>",
    ):
        assert words in text, words
    assert text.index("Does not hold") < text.index("Failing rows") < text.index("<h2>Holds")
    assert "email has the form <code>.+@.+</code>" in section(text, "Holds")
    assert "max_quarantined" not in text


def test_a_good_batch_says_so(client: TestClient, shop: Any) -> None:
    text = client.get(f"/report/{shop.batch('2013-01')}").text
    assert "All 7 checks hold." in text
    assert "40 published" in text
    assert "Nothing to do: snapshot" in text
    assert "Does not hold" not in text
    assert "Failing rows" not in text
    assert "first batch" in text


LOST = Finding(
    "schema",
    "price",
    Severity.WARNING,
    holds=False,
    observed="no such column; it is not published, flight_late cannot train on this batch",
    allowed="number",
    columns=("price",),
)
NO_VALUE = Finding(
    "expect_column_min_to_be_between",
    "price",
    Severity.CRITICAL,
    holds=False,
    observed="no value",
    allowed="at least 0",
    columns=("price",),
    is_inconclusive=True,
)


@pytest.mark.parametrize(
    ("found", "no_price", "word"),
    [
        ([LOST], 0, "partly usable"),
        ([replace(LOST, severity=Severity.INFO)], 0, "passed"),
        ([], 0, "passed"),
        ([LOST], 30, "failed"),
    ],
)
def test_a_batch_that_stops_a_model_is_never_plain_green(
    client: TestClient, shop: Any, found: list[Finding], no_price: int, word: str
) -> None:
    report = shop.batch("2013-01", no_price=no_price, more=found)
    for path in ("/", "/dataset/orders", f"/report/{report}"):
        text = client.get(path).text
        found_chip = re.search(r'class="chip (partly_usable|passed|failed)"([^>]*)>([^<]+)</', text)
        assert found_chip is not None
        css, title, said = found_chip.groups()
        named = f"2013-01 {word}".removesuffix(" passed") if path == "/" else word
        assert (css, said) == (word.replace(" ", "_"), named), path
        assert (f'title="2013-01: {word}, ' in title) is (path == "/")


def test_a_partly_usable_batch_says_what_to_do(client: TestClient, shop: Any) -> None:
    text = client.get(f"/report/{shop.batch('2013-01', more=[LOST])}").text
    assert '<article class="card partly_usable">' in text
    assert "flight_late cannot train on this batch" in section(text, "Does not hold")
    assert "ask ada for the repaired file, under the same name" in text
    assert "the steward sam gives it an entry under <code>contract.renames</code>" in text


def test_a_report_of_a_batch_that_was_judged_again_says_so(client: TestClient, shop: Any) -> None:
    refused = shop.batch("2013-01", no_price=30)
    assert "judged again" not in client.get(f"/report/{refused}").text
    repaired = shop.batch("2013-01")
    text = client.get(f"/report/{refused}").text
    assert "This batch was judged again" in text
    assert f'href="/tenure/report/{repaired}">open the newest report' in text
    assert "judged again" not in client.get(f"/report/{repaired}").text


def test_a_rule_without_a_value_is_not_called_broken(client: TestClient, shop: Any) -> None:
    text = client.get(f"/report/{shop.batch('2013-01', more=[NO_VALUE])}").text
    assert "1 of 8 checks had no value to look at." in text
    assert "not hold" not in text
    assert "All 8 checks hold" not in text
    assert "price: column min to be between" in section(text, "Could not be judged")
    text = client.get(f"/report/{shop.batch('2013-02', no_price=8, more=[NO_VALUE])}").text
    assert "1 of 8 checks does not hold. 1 of 8 checks had no value to look at." in text


def test_failing_rows_have_their_numbers_their_reasons_and_no_personal_value(
    client: TestClient, shop: Any
) -> None:
    report = shop.batch("2013-01", no_price=25, bad_email=1)
    rows = section(client.get(f"/report/{report}").text, "Failing rows")
    assert "The first 20 of 25" in rows
    assert rows.count("<tr><td") == 20
    assert '<td data-label="Row">20</td>' in rows
    assert '<td data-label="id">2013-01-0</td>' in rows
    assert '<td data-label="price" class="blamed">missing</td>' in rows
    assert '<td data-label="email" class="blamed">••••</td>' in rows
    assert "nobody" not in rows
    assert "example.org" not in rows
    assert "in no contract" not in rows


def test_a_restricted_dataset_shows_no_value_at_all(client: TestClient, shop: Any) -> None:
    shop.sensitivity = "restricted"
    text = client.get(f"/report/{shop.batch('2013-01', no_price=8, strange=2)}").text
    rows = section(text, "Failing rows")
    assert "the dataset is restricted" in rows
    assert "2013-01-0" not in rows
    assert '<td data-label="id">••••</td>' in rows
    assert "2 of 40 unknown values (5.0%)" in text
    assert "such as" not in text
    assert "mean 29" not in text
    assert "a value that is not shown" in text


def test_a_column_that_became_personal_is_hidden_in_old_reports(
    client: TestClient, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = shop.batch("2013-01", no_price=8)
    assert "2013-01-0" in client.get(f"/report/{old}").text
    module = __import__(type(shop).__module__, fromlist=["YAML"])
    stricter = module.YAML.replace(
        "id: {type: string,", "id: {type: string, sensitivity: personal,"
    )
    monkeypatch.setattr(module, "YAML", stricter)
    shop.batch("2013-02")
    assert "2013-01-0" not in client.get(f"/report/{old}").text


def test_the_steward_sees_what_changed_in_the_suite(client: TestClient, shop: Any) -> None:
    first = shop.batch("2013-01")
    shop.limit = 0.8
    text = client.get(f"/report/{shop.batch('2013-02')}").text
    news = section(text, "What changed in the suite since batch 2013-01")
    assert "loosened: price, nulls: at most 10% → at most 20%" in news
    assert "What changed" not in client.get(f"/report/{first}").text


def test_an_old_report_knows_nothing_of_later_batches(client: TestClient, shop: Any) -> None:
    first = shop.batch("2013-01")
    shop.batch("2013-02", no_price=9)
    assert "2013-02" not in client.get(f"/report/{first}").text


def test_the_history_ends_after_thirty_batches(client: TestClient, shop: Any) -> None:
    for number in range(32):
        newest = shop.batch(f"b{number:02d}")
    text = client.get(f"/report/{newest}").text
    assert 'aria-label="30 batches, broken in 0"' in text
    assert "b01:" not in text
    assert "<title>b02: passed, 0</title>" in text


@pytest.mark.parametrize("damage", ["gone", "broken", "huge"])
def test_a_quarantine_file_that_cannot_be_read_does_not_hide_the_verdict(
    client: TestClient, shop: Any, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = shop.batch("2013-01", no_price=8)
    (key,) = shop.platform.store.list("quarantine/")
    if damage == "gone":
        shop.platform.store.delete(key)
    elif damage == "broken":
        shop.platform.store.fetch(key).chmod(0o600)
        shop.platform.store.fetch(key).write_bytes(b"PAR1 no more")
    else:
        monkeypatch.setattr("tenure.views.failing_rows.MAX_BYTES", 10)
    answer = client.get(f"/report/{report}")
    assert answer.status_code == 200
    words = {"gone": "ObjectMissing", "broken": "Arrow", "huge": "bytes are too many to show here"}
    assert words[damage] in section(answer.text, "Failing rows")


def test_what_strangers_wrote_is_never_run(client: TestClient, shop: Any) -> None:
    report = shop.batch("2013-01", no_price=8, strange=3)
    for path in (f"/report/{report}", "/dataset/orders", "/"):
        text = client.get(path).text
        assert NASTY not in text
        assert text.count("<script") == text.count("</script>") == 1  # ours, with a src
    assert "&lt;script&gt;document.title=" in client.get(f"/report/{report}").text


def test_data_docs_get_a_sandbox_without_scripts(client: TestClient, shop: Any) -> None:
    report = shop.batch("2013-01")
    assert "Data Docs" not in client.get(f"/report/{report}").text
    shop.platform.store.put(drawn_key(report), b"<p>drawn</p>")
    text = client.get(f"/report/{report}").text
    assert f'<iframe class="drawn" sandbox="" loading="lazy" title="Data Docs" src="/tenure/report/{report}/drawn">' in text  # fmt: skip # noqa: E501
    answer = client.get(f"/report/{report}/drawn")
    assert answer.content == b"<p>drawn</p>"
    assert answer.headers["content-security-policy"] == (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'"
    )


def test_the_page_of_a_dataset_tells_its_people_batches_and_contract(
    client: TestClient, shop: Any
) -> None:
    good, bad = shop.batch("2013-01"), shop.batch("2013-02", no_price=8)
    text = client.get("/dataset/orders").text
    for words in (
        "The dataset has no YAML any more. Below is the config that judged last.",
        "ada",
        "sam",
        "of 2013-01, 40 rows",
        f'href="/tenure/report/{good}"',
        f'href="/tenure/report/{bad}"',
        '<span class="chip warning">personal</span>',
        "in euros",
        "No model names this dataset",
    ):
        assert words in text, words


def test_the_page_of_a_dataset_of_yaml_names_its_rules_and_readers(client: TestClient) -> None:
    text = client.get("/dataset/flights").text
    for words in (
        'href="/tenure/model/flight_late"',
        "temp may be missing in at most 2% of the rows",
        "month is between 1 and 12",
        "No batch yet.",
    ):
        assert words in text, words


def test_the_overview_leads_to_the_dataset(client: TestClient, shop: Any) -> None:
    shop.batch("2013-01")
    assert 'href="/tenure/dataset/orders"' in client.get("/").text


@pytest.mark.parametrize("name", ["unknown", "a__b", "%2e%2e", NASTY])
def test_a_dataset_that_is_not_there_is_a_plain_404(client: TestClient, name: str) -> None:
    answer = client.get(f"/dataset/{name}")
    assert answer.status_code == 404
    assert NASTY not in answer.text


def test_who_may_not_see_the_dag_sees_neither_page(
    client: TestClient, shop: Any, guard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = shop.batch("2013-01")
    monkeypatch.setattr(guard, "hidden", frozenset({"orders__ingest_data"}))
    for path in ("/dataset/orders", f"/report/{report}", f"/report/{report}/drawn"):
        assert client.get(path).status_code == 403


def test_rows_of_a_repaired_batch_do_not_wait(client: TestClient, shop: Any) -> None:
    broken = shop.batch("2013-03", no_price=30)
    assert "wait for the repaired batch" in client.get(f"/report/{broken}").text
    shop.batch("2013-03")
    page = client.get(f"/report/{broken}").text
    assert "wait for the repaired batch" not in page
    assert "0 published, the batch was repaired since" in page
    assert "is published" in page
