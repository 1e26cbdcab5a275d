"""Values of any Arrow type become pseudonyms; nulls and other columns stay."""

import re
from typing import Any

import pyarrow as pa
import pytest

from tenure.adapters.pseudonyms import tokenised
from tenure.lifecycle.data.sensitivity import Key

KEY = Key.of_dataset(b"k" * 32, "loans")
COLUMNS: dict[str, Any] = {
    "text": pa.chunked_array([["x", None], ["x", "y"]]),
    "dictionary": pa.array(["x", None, "x", "y"]).dictionary_encode(),
    "integer": pa.array([1, None, 1, 2]),
    "nested": pa.array([[1], None, [1], [2]]),
    "bytes that are no text": pa.array([b"\xff", None, b"\xff", b"a"]),
    "time": pa.array([1, None, 1, 2], pa.timestamp("us", "UTC")),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_equal_values_get_equal_pseudonyms(name: str) -> None:
    table = pa.table({"other": [1, 2, 3, 4], name: COLUMNS[name]})
    found = tokenised(table, {name}, KEY)
    first, null, again, another = found[name].to_pylist()
    assert null is None
    assert first == again != another
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert found["other"] == table["other"]


def test_a_number_has_the_pseudonym_of_its_text() -> None:
    columns = {"parquet": pa.array([7, 10**17]), "csv": pa.array(["7", str(10**17)])}
    found = tokenised(pa.table(columns), {"parquet", "csv"}, KEY)
    assert found["parquet"] == found["csv"]


@pytest.mark.parametrize("column", [pa.chunked_array([], pa.int64()), pa.chunked_array([[]])])
def test_no_rows(column: Any) -> None:
    found = tokenised(pa.table({"a": column.cast(pa.int64())}), {"a"}, KEY)
    assert (found.num_rows, found.schema.field("a").type) == (0, pa.string())
