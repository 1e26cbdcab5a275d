"""The record comes first, so that no file of the log is nobody's."""

import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.adapters.sql import log_segments
from tenure.adapters.sql.database import Database
from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.vocabulary import digest_bytes

pytestmark = pytest.mark.service
KEY = "decisions/model=m/date=2026-05-01/hour=12/gw-1.parquet"


def parquet(*values: int) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"n": list(values)}), sink)
    return sink.getvalue()


@pytest.fixture
def gateway(platform: Installation) -> Iterator[Installation]:
    """The same installation under the role of the gateways."""
    url = platform.settings.database_url.replace("postgres@", "tenure_gateway@")
    made = Installation(platform.settings)
    made.__dict__["database"] = Database(url)
    yield made
    made.database.dispose()


def recorded(platform: Installation) -> list[Any]:
    with platform.database.begin() as connection:
        return log_segments.below(connection, "decisions/")


def test_a_gateway_records_what_it_ships(platform: Installation, gateway: Installation) -> None:
    data = parquet(1, 2, 3)
    for _ in range(2):  # again after a crash: the same record
        RecordedFiles(gateway, "gw").put(KEY, data)
    (row,) = recorded(platform)
    assert (row.key, row.digest, row.rows, row.replaces) == (KEY, digest_bytes(data), 3, None)
    assert platform.store.get(KEY) == data


def test_other_bytes_under_the_same_key_have_a_record_of_their_own(platform: Installation) -> None:
    """Personal features are sealed anew when a segment is shipped again."""
    for value in (1, 2):
        RecordedFiles(platform, "gw").put(KEY, parquet(value))
    assert [one.digest for one in recorded(platform)] == [
        digest_bytes(parquet(value)) for value in (1, 2)
    ]


def test_killed_between_record_and_object_it_is_shipped_again(
    platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(platform.store, "put", die)
        with pytest.raises(KeyboardInterrupt):
            RecordedFiles(platform, "gw").put(KEY, parquet(1))
    assert len(recorded(platform)) == 1
    assert not platform.store.exists(KEY)
    RecordedFiles(platform, "gw").put(KEY, parquet(1))
    assert len(recorded(platform)) == 1


@pytest.mark.parametrize(
    "statement",
    ["UPDATE log_segment SET rows = 0", "DELETE FROM log_segment", "TRUNCATE log_segment"],
)
def test_nobody_changes_a_record(platform: Installation, statement: str) -> None:
    RecordedFiles(platform, "gw").put(KEY, parquet(1))
    with (
        pytest.raises(StateConflict, match="log_segment is append-only"),
        platform.database.begin() as connection,
    ):
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM log_segment",
        "UPDATE log_segment SET rows = 0",
        "INSERT INTO log_segment (key, model, digest, rows, writer, recorded_at) "
        "VALUES ('k', 'm', 'd', 1, 'w', now())",
    ],
)
def test_a_gateway_may_do_no_more_than_add(gateway: Installation, statement: str) -> None:
    with (
        pytest.raises(Exception, match="permission denied"),
        gateway.database.begin() as connection,
    ):
        connection.execute(text(statement))
