"""A gateway that scores by ONNX: what it answers, logs, replays, and does when the file is bad."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import Life
from sqlalchemy import select
from version_rows import onnx

from tenure.adapters.archive import Archive, ArchiveSource
from tenure.adapters.sql import versions
from tenure.adapters.sql.tables import incident
from tenure.installation import Installation
from tenure.layout import artifact_key, onnx_key
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.retirement.decommission import Manifest
from tenure.lifecycle.training.registry import onnx_statement_bytes
from tenure.usecases.decisions import replay
from tenure.usecases.decisions.replay import ReplayVerdict
from tenure.usecases.decisions.segments import compact, live_keys
from tenure.usecases.retirement import archive
from tenure.vocabulary import State, VersionRef, digest_bytes

pytestmark = pytest.mark.service
MODEL = "flight_late"
ASKED = 12


class AskingLife(Life):
    """A model whose versions have what training makes for ONNX: the file, signed."""

    lies: str = ""
    """A digest that the next version states for its file instead."""
    is_asking = True

    def train(self, ref: VersionRef, **columns: Any) -> None:
        if self.is_asking:
            with self.platform.database.begin() as c:
                row = replace(versions.row_by_id(c, ref.id), **columns)
            columns["facts"] = {**row.facts_json, "onnx": self._onnx(row)}
        super().train(ref, **columns)

    def _onnx(self, row: VersionRow) -> dict[str, Any]:
        from tenure.adapters.onnx_variant import convert
        from tenure.adapters.signing import Signer
        from tenure.adapters.skops_artifacts import load_verified
        from tenure.lifecycle.training.registry import statement_bytes

        settings, store = self.platform.settings, self.platform.store
        public = settings.signing_key.with_suffix(".pub")
        native = replace(row, signature=Signer(settings.signing_key).sign(statement_bytes(row)))
        data = convert(load_verified(store, native, public).steps[-1][1])
        digest = store.put(onnx_key(digest_bytes(data)), data)
        signature = Signer(settings.signing_key).sign(onnx_statement_bytes(row, digest))
        return onnx(self.lies or digest, signature)


@dataclass
class Scene:
    """A gateway whose model asks for ONNX, and a client."""

    platform: Installation
    life: AskingLife
    process: Any
    headers: dict[str, str]

    def onnx_digest(self, ref: VersionRef) -> str:
        with self.platform.database.begin() as c:
            return str(versions.row_by_id(c, ref.id).facts_json["onnx"]["file"]["digest"])

    def serve(self, ref: VersionRef, *, instead_of: VersionRef | None = None) -> None:
        """Give it all traffic."""
        moves = [(instead_of, State.SUPERSEDED)] if instead_of else []
        if instead_of:
            self.life.move(ref, State.CANARY)
        self.life.publish(ref, moves=[*moves, (ref, State.CHAMPION)])

    def ask(self, first: int = 0, count: int = ASKED) -> list[str]:
        """Decision ids of so many answers, each by a model."""
        ids = []
        for number in range(first, first + count):
            url, body = f"{self.process.url}/v2/models/{MODEL}/infer", self.life.example(number)
            answer = httpx.post(url, json=body, headers=self.headers, timeout=9)
            assert answer.status_code == 200, answer.text
            told = answer.json()["parameters"]
            assert told["fallback_level"] == "model", told
            ids += told["decision_ids"]
        return ids

    def variants(self) -> dict[str, str]:
        """As the gateway's own metadata say."""
        answer = httpx.get(f"{self.process.url}/v2/models/{MODEL}", headers=self.headers)
        return dict(answer.json()["variants"])

    def incidents(self) -> list[tuple[str, str, str]]:
        chosen = select(incident.c.kind, incident.c.subject, incident.c.summary)
        with self.platform.database.begin() as c:
            return [tuple(row) for row in c.execute(chosen)]


@pytest.fixture
def scene(
    platform: Installation, process_of: Any, keys: dict[str, str], tmp_path: Path
) -> Iterator[Scene]:
    include = tmp_path / "include"
    shutil.copytree(platform.settings.include, include)
    yaml = include / "configs" / "models" / f"{MODEL}.yaml"
    text = yaml.read_text()
    assert "serving: {" in text
    yaml.write_text(text.replace("serving: {", "serving: {onnx: {}, "))
    asking = Installation(replace(platform.settings, include=include))
    yield Scene(asking, AskingLife(asking), process_of(asking), {"Authorization": keys["score"]})
    asking.database.dispose()


@pytest.mark.exhaustive
def test_decisions_of_both_kinds_are_told_apart_and_replay(
    scene: Scene, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A native champion answers, then one by ONNX; files of the hour become one."""
    platform = scene.platform
    scene.life.is_asking = False
    first = scene.life.champion(1)
    scene.process.start()
    assert scene.variants() == {"1": "native"}
    native = scene.ask()
    eventually(lambda: list(live_keys(platform.store, "decisions/")))
    scene.life.is_asking = True
    second = scene.life.approved(2)
    scene.serve(second, instead_of=first)
    eventually(lambda: scene.variants() == {"2": "onnx"})
    by_onnx = scene.ask(ASKED)
    scene.process.stop()
    assert "load=ok version=flight_late@2" in (log := scene.process.log.read_text())
    assert " variant=onnx" in log

    shown = {one: replay.show(platform, one) for one in (native[0], by_onnx[0])}
    assert [row.variant for row in shown.values() if row] == ["native", "onnx"]

    def found() -> dict[str, int]:
        replayed = replay.replay(platform, [*native, *by_onnx])
        assert {one.difference for one in replayed} == {0.0}
        return {str(kind): sum(o.found is kind for o in replayed) for kind in ReplayVerdict}

    all_identical = dict.fromkeys(map(str, ReplayVerdict), 0) | {"identical": 2 * ASKED}
    assert found() == all_identical
    files = list(live_keys(platform.store, "decisions/"))
    assert len(files) > 1
    from tenure.usecases.decisions import segments

    monkeypatch.setattr(segments.Folder, "is_settled", lambda *_: True)
    folders = {key.rpartition("/")[0] for key in files}  # two when an hour began meanwhile
    assert compact(platform).files == (len(files) if len(folders) == 1 else 0)
    assert found() == all_identical

    # Without the file nobody claims what ONNX said; native decisions do not need it.
    key = onnx_key(scene.onnx_digest(second))
    data = platform.store.get(key)

    def kinds() -> tuple[set[ReplayVerdict], set[ReplayVerdict]]:
        seen = {one.decision_id: one.found for one in replay.replay(platform, both)}
        return {seen[one] for one in native}, {seen[one] for one in by_onnx}

    both = [*native, *by_onnx]
    platform.store.put(key, data[:-1] + b"!")
    assert kinds() == ({ReplayVerdict.IDENTICAL}, {ReplayVerdict.REFUSED})
    platform.store.delete(key)
    assert kinds() == ({ReplayVerdict.IDENTICAL}, {ReplayVerdict.GONE})

    # The archive has it.
    platform.store.put(key, data)
    keeper = Archive(platform.store)
    artifact = artifact_key(digest_of(scene, second))
    items = tuple(
        keeper.copy(ArchiveSource(name, one, f"archive/{MODEL}/2/{name}", None))
        for name, one in (("artifact", artifact), ("onnx", key))
    )
    place = f"archive/{MODEL}/2/manifest.json"
    digest = keeper.write_manifest(Manifest(MODEL, 2, {}, items), place)
    platform.store.delete(key)
    platform.store.delete(artifact)
    monkeypatch.setattr(archive, "_place", lambda *_: (place, digest))
    assert kinds() == ({ReplayVerdict.IDENTICAL}, {ReplayVerdict.IDENTICAL})


@pytest.mark.exhaustive
def test_a_swapped_file_costs_speed_and_nothing_else(scene: Scene, eventually: Any) -> None:
    """The version serves by scikit-learn, one incident is open; a champion keeps serving."""
    first = scene.life.approved(1)
    scene.life.lies = scene.onnx_digest(first)
    second = scene.life.approved(2)
    scene.serve(first)
    scene.process.start()
    assert scene.variants() == {"1": "onnx"}
    scene.serve(second, instead_of=first)
    eventually(lambda: scene.variants() == {"2": "native"})
    ids = scene.ask()
    ((kind, subject, summary),) = scene.incidents()
    assert (kind, subject) == ("variant_refused", f"{MODEL}@2")
    assert summary.endswith(
        "serves by scikit-learn, not by ONNX, flight_late@2: flight_late@2: the ONNX file's "
        "signature does not fit it and its version."
    )
    scene.process.stop()
    assert {one.found for one in replay.replay(scene.platform, ids)} == {ReplayVerdict.IDENTICAL}
    shown = replay.show(scene.platform, ids[0])
    assert shown is not None
    assert shown.variant == "native"


@pytest.mark.exhaustive
def test_a_runtime_that_crashes_on_rows_costs_one_answer(scene: Scene, eventually: Any) -> None:
    """Each process that scores by ONNX would die of its first rows; the next one is native."""
    place = f"model.score.{MODEL}@1.onnx"
    scene.process.env |= {"TENURE_ENV": "test", "TENURE_FAIL": f"{place}:kill"}
    scene.serve(scene.life.approved(1))
    scene.process.start()
    assert scene.variants() == {"1": "onnx"}
    url, body = f"{scene.process.url}/v2/models/{MODEL}/infer", scene.life.example(100)
    hit = httpx.post(url, json=body, headers=scene.headers, timeout=9).json()["parameters"]
    assert (hit["fallback_level"], hit["reason"]) == ("rule", "champion: process ended")
    eventually(lambda: scene.process.get("/v2/health/ready") == 200)
    assert scene.variants() == {"1": "native"}
    scene.ask()
    said = {kind: summary for kind, _, summary in scene.incidents()}
    assert set(said) == {"model_crashed", "variant_refused"}
    assert said["variant_refused"].endswith(
        f"not by ONNX, {MODEL}@1: its process ended while it scored by ONNX."
    )


def digest_of(scene: Scene, ref: VersionRef) -> str:
    with scene.platform.database.begin() as c:
        return str(versions.get_by_id(c, ref.id).artifact_digest)
