"""Arrow columns whose values are replaced by pseudonyms."""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from tenure.lifecycle.data.sensitivity import Key, token


def tokenised(table: pa.Table, columns: Collection[str], key: Key) -> pa.Table:
    """The table with pseudonyms in these columns; a null stays null, each other value is hashed.

    A value is hashed as its text, so 7 of a Parquet file and "7" of a CSV file are the same.
    """
    for position, name in enumerate(table.column_names):
        if name in columns:
            table = table.set_column(position, name, _tokens(table.column(position), key))
    return table


def _tokens(column: pa.ChunkedArray, key: Key) -> pa.ChunkedArray:
    return pa.chunked_array([_of_chunk(part, key) for part in _text(column).chunks], pa.string())


def _of_chunk(values: pa.StringArray, key: Key) -> pa.StringArray:
    """Each different value is hashed once."""
    coded = values.dictionary_encode()
    known = [token(key, value) for value in coded.dictionary.to_pylist()]
    return pa.array(known, pa.string()).take(coded.indices)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        return pc.cast(column, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # nested, or bytes that are no text
        texts = [None if value is None else repr(value) for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
