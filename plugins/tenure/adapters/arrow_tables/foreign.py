"""Files that are neither CSV nor Parquet, whatever they are called: known by their first bytes."""

import re

_MAGIC = (
    (b"PK\x03\x04", "a ZIP archive or an office workbook (.xlsx, .ods)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office workbook (.xls)"),
    (b"\x1f\x8b", "a file that was packed by gzip twice"),
    (b"BZh", "a file that was packed by bzip2"),
    (b"\xfd7zXZ\0", "a file that was packed by xz"),
    (b"\x28\xb5\x2f\xfd", "a file that was packed by Zstandard"),
    (b"\x04\x22\x4d\x18", "a file that was packed by LZ4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"PAR1", "a Parquet file"),
    (b"PARE", "an encrypted Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"ORC", "an ORC file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"%PDF-", "a PDF document"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\xff\xfe\0\0", "UTF-32 text"),
    (b"\0\0\xfe\xff", "UTF-32 text"),
)
_TEXTS = (
    (re.compile(rb"\s*(<\?xml|<!doctype|<html|<table)", re.IGNORECASE), "XML or HTML"),
    (re.compile(rb"\s*(\{\s*\"|\[\s*[{\[])"), "JSON"),
)
_BOM = b"\xef\xbb\xbf"


def foreign(head: bytes) -> str | None:
    r"""What the file is, told by its first bytes (decompressed); None for what may be CSV.

    >>> foreign(b"PK\x03\x04..."), foreign(b"id,v")
    ('a ZIP archive or an office workbook (.xlsx, .ods)', None)
    """
    named = next((what for magic, what in _MAGIC if head.startswith(magic)), None)
    text = head.removeprefix(_BOM)
    return named or next((what for pattern, what in _TEXTS if pattern.match(text)), None)
