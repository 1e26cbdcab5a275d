"""Segments survive being cut anywhere."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.gateway.log import wal
from tenure.gateway.log.shipper import Shipper

RECORDS = [b"one", b"two" * 40, b"\x00" * 9, b"four"]


def bytes_of(records: list[bytes]) -> bytes:
    return wal.MAGIC + b"".join(wal.frame(record) for record in records)


def whole_before(cut: int) -> list[bytes]:
    """What a reader must find in the first `cut` bytes, by the lengths alone."""
    position, found = len(wal.MAGIC), []
    for record in RECORDS:
        position += 8 + len(record)
        if position <= cut:
            found.append(record)
    return found


def test_cut_at_every_byte() -> None:
    data = bytes_of(RECORDS)
    for cut in range(len(data) + 1):
        payloads, good = wal.read_frames(data[:cut])
        assert payloads == whole_before(cut)
        assert good <= cut
        assert wal.read_frames(data[:good])[0] == payloads


def test_every_flipped_byte_is_noticed() -> None:
    data = bytes_of(RECORDS)
    for position in range(len(data)):
        corrupt = bytearray(data)
        corrupt[position] ^= 0x41
        payloads, _ = wal.read_frames(bytes(corrupt))
        assert payloads == RECORDS[: len(payloads)]
        assert len(payloads) < len(RECORDS)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.binary(max_size=40))
def test_garbage_at_the_end(records: list[bytes], garbage: bytes) -> None:
    payloads, _ = wal.read_frames(bytes_of(records) + garbage)
    assert payloads[: len(records)] == records


def test_a_hole_of_zeros_is_not_a_record() -> None:
    assert wal.read_frames(bytes_of([b"x"]) + bytes(64)) == ([b"x"], len(bytes_of([b"x"])))


def test_empty_record_is_refused() -> None:
    with pytest.raises(ValueError, match="empty payload"):
        wal.frame(b"")


def test_recover_cuts_seals_and_drops(tmp_path: Path) -> None:
    (tmp_path / "000000001-a.open").write_bytes(bytes_of(RECORDS) + wal.frame(b"torn")[:-1])
    (tmp_path / "000000002-b.open").write_bytes(wal.MAGIC[:3])
    (tmp_path / "000000003-c.open").write_bytes(bytes_of([]))
    (tmp_path / "000000004-d.wal").write_bytes(bytes_of([b"sealed before"]))
    sealed = wal.recover(tmp_path)
    assert [path.name for path in sealed] == ["000000001-a.wal"]
    assert sealed[0].read_bytes() == bytes_of(RECORDS)
    assert [p.name for p in wal.sealed_segments(tmp_path)] == ["000000001-a.wal", "000000004-d.wal"]
    assert wal.next_number(tmp_path) == 5
    assert wal.recover(tmp_path) == []


def test_segment_appends_and_seals(tmp_path: Path) -> None:
    segment = wal.Segment(tmp_path / "000000001-a.open")
    assert segment.is_empty
    segment.append(wal.frame(b"one"), sync=True)
    segment.append(wal.frame(b"two"), sync=False)
    path = segment.close()
    assert path is not None
    assert path.read_bytes() == bytes_of([b"one", b"two"])


def test_empty_segment_leaves_nothing(tmp_path: Path) -> None:
    assert wal.Segment(tmp_path / "000000001-a.open").close() is None
    assert list(tmp_path.iterdir()) == []


def test_failed_write_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = wal.Segment(tmp_path / "000000001-a.open")
    segment.append(wal.frame(b"one"), sync=True)
    real, calls = os.write, []

    def half_then_full(descriptor: int, data: memoryview) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", half_then_full)
    with pytest.raises(OSError, match="No space"):
        segment.append(wal.frame(b"two"), sync=True)
    monkeypatch.undo()
    assert not segment.is_broken
    segment.append(wal.frame(b"three"), sync=True)
    path = segment.close()
    assert path is not None
    assert wal.read_frames(path.read_bytes())[0] == [b"one", b"three"]


def test_failed_sync_breaks_the_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = wal.Segment(tmp_path / "000000001-a.open")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output"):
        segment.append(wal.frame(b"one"), sync=True)
    assert segment.is_broken


def test_segment_that_cannot_begin_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match="No space"):
        wal.Segment(tmp_path / "000000001-a.open")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"tenure1\n" + wal.frame(b"answered"), []),
        (b"\x00" * 64, []),
        (bytes_of([b"one"]) + b"\x04\x00\x00\x00\x00\x00\x00\x00two!" + wal.frame(b"x"), [b"one"]),
    ],
    ids=["damaged magic", "zeros", "flipped in the middle"],
)
def test_recover_leaves_what_was_whole_once_to_the_shipper(
    tmp_path: Path, data: bytes, kept: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "000000001-a.open").write_bytes(data)
    (path,) = wal.recover(tmp_path)
    assert path.read_bytes() == data
    shipped: list[bytes] = []
    assert Shipper(tmp_path, lambda _name, rows, **_: shipped.extend(rows)).ship_all()
    assert shipped == kept
    (aside,) = wal.damaged_files(tmp_path)
    assert (aside.name, aside.read_bytes()) == ("000000001-a.wal", data)
    assert wal.sealed_segments(tmp_path) == list(tmp_path.glob("*.open")) == []
    assert "segment=damaged" in caplog.text


@pytest.mark.parametrize("cut", range(1, 8 + 4))
def test_a_torn_tail_alarms_nobody(tmp_path: Path, cut: int) -> None:
    torn = wal.frame(b"torn")[:cut]
    (tmp_path / "000000001-a.open").write_bytes(bytes_of([b"one"]) + torn)
    (path,) = wal.recover(tmp_path)
    assert path.read_bytes() == bytes_of([b"one"])
    assert wal.damaged_files(tmp_path) == []


def test_what_could_not_be_synced_is_cut_off_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was refused, so a restart must not find it; what was answered before stays."""
    segment = wal.Segment(tmp_path / "000000001-a.open")
    segment.append(wal.frame(b"answered"), sync=False)

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="Input/output"):
        segment.append(wal.frame(b"refused"), sync=True)
    path = segment.close()
    assert path is not None
    assert wal.read_frames(path.read_bytes())[0] == [b"answered"]


def test_what_the_disk_does_not_give_back_keeps_no_gateway_from_its_start(tmp_path: Path) -> None:
    (tmp_path / "000000001-a.open").mkdir()  # reading it is an OSError, renaming it is not
    (tmp_path / "000000002-b.open").write_bytes(bytes_of([b"whole"]))
    assert [path.name for path in wal.recover(tmp_path)] == ["000000002-b.wal"]
    assert [path.name for path in wal.unshippable(tmp_path)] == ["000000001-a.wal"]
