"""The data gate on S3 with faults on the way; snapshots that are the same everywhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import botocore.endpoint
import pytest
from http_proxy import Fault, HttpProxy, http_proxy

from tenure.errors import ArtifactRefused
from tenure.installation import Installation
from tenure.layout import snapshot_key
from tenure.usecases.audit.ledger import find_breaches


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpProxy]:
    class Time:
        sleep = staticmethod(lambda _: None)

    monkeypatch.setattr(botocore.endpoint, "time", Time)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with http_proxy(s3_server) as found:
        yield found


@pytest.fixture
def on_s3(gate: Any, proxy: HttpProxy, tmp_path: Path) -> Iterator[Any]:
    """The same dataset on a bucket of its own."""
    bucket = f"gate-{tmp_path.name}".lower().replace("_", "-")[:60].rstrip("-")
    boto3.client("s3", endpoint_url=proxy.url).create_bucket(Bucket=bucket)
    url = f"s3://{bucket}/home?endpoint_url={proxy.url}"
    platform = Installation(replace(gate.platform.settings, store_url=url))
    yield replace(gate, platform=platform)
    platform.database.dispose()


def test_it_goes_through_faults_to_one_snapshot(gate: Any, on_s3: Any, proxy: HttpProxy) -> None:
    """F39 and F40: bursts, and answers that are lost after the object was stored."""
    key = gate.drop([1.0, 99.0, 3.0])
    on_s3.platform.store.put_file(key, gate.store / key)
    proxy.faults = [
        Fault("GET", 503, "SlowDown"),
        Fault("HEAD", 500),
        Fault("PUT", loses_reply=True, query="/quarantine/"),
        Fault("PUT", 503, "SlowDown", query="/snapshots/"),
        Fault("PUT", loses_reply=True, query="data.parquet"),
        Fault("PUT", loses_reply=True, query="manifest.json"),
    ]

    service = on_s3.service
    assert service.discover() == [key]
    done = service.ingest(key, on_s3.run)

    assert proxy.faults == []
    assert (done.rows_ok, done.rows_quarantined) == (2, 1)
    names = [k.rpartition("/")[2] for k in on_s3.keys("snapshots/")]
    assert names == ["data.parquet", "manifest.json"]
    assert service.discover() == []
    landed = (gate.store / key).read_bytes()
    cache = on_s3.platform.settings.home / "cache"
    assert [p for p in cache.rglob("*") if p.is_file() and p.read_bytes() == landed] == []
    assert [one for one in find_breaches(on_s3.platform) if one.breaches] == []
    local = gate.service
    assert local.ingest(key, gate.run).snapshot == done.snapshot


def test_a_flipped_byte_is_found_on_read_and_named(gate: Any) -> None:
    done = gate.service.ingest(gate.drop([1.0, 2.0]), gate.run)
    key = snapshot_key("tiny", done.snapshot, "data.parquet")
    path = gate.store / key
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(ArtifactRefused, match=f"The object {key} has SHA-256"):
        gate.platform.store.fetch(key, done.snapshot)
    again = gate.drop([1.0, 2.0], "b.parquet")
    suite = gate.platform.settings.suites / "tiny.json"
    suite.write_text(json.dumps(json.loads(suite.read_text()), indent=1))  # new rules, same rows
    with pytest.raises(ArtifactRefused, match=key):
        gate.service.ingest(again, gate.run)


CODE = """
import sys
from datetime import date
from pathlib import Path
from tenure.config import load_dataset
from tenure.adapters.arrow_tables import read_batch, write_snapshot
from tenure.files import digest_file
include, source, draft = map(Path, sys.argv[1:])
dataset, _ = load_dataset(include, "tiny")
batch = read_batch(source, dataset.source, dataset.contract)
assert not batch.findings or all(f.holds for f in batch.findings), batch.findings
write_snapshot(batch.table, {}, draft)
print(digest_file(draft))
"""
MACHINES = [
    {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "0"},
    {"TZ": "Asia/Kathmandu", "LC_ALL": "de_DE.UTF-8", "PYTHONHASHSEED": "1"},
    {
        "TZ": "America/St_Johns",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "2",
        "OMP_NUM_THREADS": "3",
    },
]


def test_a_snapshot_has_the_same_digest_on_every_machine(gate: Any, tmp_path: Path) -> None:
    include = gate.platform.settings.include
    yaml = include / "configs/datasets/tiny.yaml"
    yaml.write_text(yaml.read_text().replace("settle_seconds: 0", "settle_seconds: 0, format: csv"))
    source = tmp_path / "a.csv"
    lines = [f"İ{i},2013-03-{1 + i % 28:02d}T02:30:00-05:00,{i / 7}" for i in range(500)]
    source.write_text("id,at,x\n" + "\n".join(lines), "utf-8")

    digests = {run(machine, include, source, tmp_path) for machine in MACHINES}

    assert len(digests) == 1


def run(machine: dict[str, str], include: Path, source: Path, tmp_path: Path) -> str:
    draft = tmp_path / f"draft-{machine['PYTHONHASHSEED']}"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(include), str(source), str(draft)],
        env=os.environ | machine | {"PYTHONPATH": str(Path(__file__).parents[4] / "plugins")},
        cwd=draft.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()
