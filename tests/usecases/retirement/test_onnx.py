"""The ONNX file of a version is archived with it, and gone with it."""

from collections.abc import Callable
from typing import Any

import pytest
from version_rows import onnx

from tenure.adapters.sql import decommissions, versions
from tenure.errors import ArchiveIncomplete
from tenure.installation import Installation
from tenure.layout import onnx_key
from tenure.lifecycle.retirement.decommission import StepAction
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.retirement.archive import restore
from tenure.usecases.retirement.decommissioning import Decommissioning
from tenure.vocabulary import RunRef, State, VersionRef, digest_bytes

MODEL = "flight_late"
STEPS = (StepAction.NOTIFY, StepAction.ARCHIVE, StepAction.DELETE, StepAction.RECORD)
DATA = b"trees as ONNX"
COPY = f"archive/{MODEL}/1/artifact.onnx"

pytestmark = pytest.mark.service


@pytest.fixture
def with_onnx(platform: Installation, make_version: Callable[..., VersionRef]) -> Any:
    """Makes a version that may retire, with an ONNX file."""

    def make(number: int = 1, **changes: Any) -> VersionRef:
        digest = platform.store.put(onnx_key(digest_bytes(DATA)), DATA)
        return make_version(number, onnx=onnx(digest, **changes))

    return make


def retired(retire: Decommissioning, run: RunRef, number: int = 1) -> None:
    retire.request(number, reason="old", successor="", run=run)
    retire.confirm(number, agrees=True, person="grace")
    for action in STEPS:
        retire.do(action, number, run)


def test_archived_and_deleted(
    platform: Installation, retire: Decommissioning, with_onnx: Any, run: RunRef, tmp_path: Any
) -> None:
    with_onnx()
    key = onnx_key(digest_bytes(DATA))
    retire.request(1, reason="old", successor="", run=run)
    question, _ = retire.ask(1) or ("", [])
    assert key in question
    retire.confirm(1, agrees=True, person="grace")
    for action in STEPS:
        retire.do(action, 1, run)
    left = [one for one in platform.store.list("") if not one.startswith("archive/")]
    assert not [one for one in left if one.endswith((".onnx", ".skops"))]
    assert platform.store.get(COPY) == DATA
    restore(platform, MODEL, 1, tmp_path)
    assert tmp_path.joinpath(*key.split("/")).read_bytes() == DATA
    assert verify_ledger(platform, invariants=True).ok


def test_a_file_that_another_version_needs_is_kept(
    platform: Installation, retire: Decommissioning, with_onnx: Any, run: RunRef
) -> None:
    """Two trainings on the same rows write one file."""
    with_onnx(1)
    with_onnx(2)
    retired(retire, run, 1)
    assert platform.store.exists(onnx_key(digest_bytes(DATA)))
    retired(retire, run, 2)
    assert not platform.store.exists(onnx_key(digest_bytes(DATA)))


def test_a_flipped_byte_in_the_archive_stops_the_deletion(
    platform: Installation, retire: Decommissioning, with_onnx: Any, run: RunRef
) -> None:
    with_onnx()
    retire.request(1, reason="old", successor="", run=run)
    retire.confirm(1, agrees=True, person="grace")
    retire.do(StepAction.NOTIFY, 1, run)
    retire.do(StepAction.ARCHIVE, 1, run)
    platform.store.put(COPY, DATA[:-1] + b"!")
    with pytest.raises(ArchiveIncomplete, match=r"onnx: archive/.*artifact\.onnx has 13 bytes"):
        retire.do(StepAction.DELETE, 1, run)
    assert platform.store.exists(onnx_key(digest_bytes(DATA)))


def test_a_variant_that_did_not_pass_is_no_part_of_the_archive(
    platform: Installation, retire: Decommissioning, with_onnx: Any, run: RunRef
) -> None:
    ref = with_onnx(verdict="failed", file=None)
    retired(retire, run)
    assert not platform.store.exists(COPY)
    with platform.database.begin() as c:
        found = versions.get_by_id(c, ref.id)
        assert decommissions.shared_artifact_keys(c, 0) == []
    assert found.state is State.DELETED
