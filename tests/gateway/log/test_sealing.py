"""Local keys of personal features outlive everything on the disk that they seal."""

import asyncio
import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from waiting import wait_for

from tenure.gateway.app import Gateway
from tenure.gateway.log import wal
from tenure.gateway.log import writer as log_module
from tenure.usecases.serving.subject_keys import LOCAL_KEY_SECONDS, LocalKeys


class Vault:
    """The keys of a real vault, without a database behind them."""

    def __init__(self, keys: LocalKeys) -> None:
        self.forget = keys.forget


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def keys(world: Any, now: list[float]) -> LocalKeys:
    return LocalKeys(world.folder / "keys", lambda: "k1", lambda: now[0])


@pytest.fixture
def gateway(world: Any, keys: LocalKeys) -> Iterator[Gateway]:
    first = world.gateway()
    first.close()
    made = Gateway(replace(first.parts, vault=Vault(keys)))
    yield made
    made.close()


def look_around(gateway: Gateway) -> None:
    shipper = gateway.shippers["decisions"]
    shipper._look_around(shipper.ship_all())


def broken(_descriptor: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_key_goes_when_all_is_stored(
    world: Any, gateway: Gateway, keys: LocalKeys, now: list[float]
) -> None:
    name, _ = keys.current()
    now[0] = LOCAL_KEY_SECONDS + 1
    look_around(gateway)
    assert not (world.folder / "keys" / f"{name}.key").exists()


def test_no_key_goes_while_the_log_holds_what_it_could_not_seal(
    world: Any, gateway: Gateway, keys: LocalKeys, now: list[float]
) -> None:
    """The next start finds the segment, and has to open what is in it."""
    name, _ = keys.current()
    log = gateway.logs["decisions"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "ROTATE_SECONDS", 0.05)
        patch.setattr(os, "fdatasync", broken)
        asyncio.run(log.append(b"sealed", sync=False))  # answered when the kernel has it
        wait_for(lambda: log.failure is not None)
    assert list((world.folder / "wal" / "decisions").glob("*.open")) != []
    now[0] = LOCAL_KEY_SECONDS + 1
    look_around(gateway)
    assert (world.folder / "keys" / f"{name}.key").exists()


def test_no_key_goes_while_a_segment_lies_aside(
    world: Any, gateway: Gateway, keys: LocalKeys, now: list[float]
) -> None:
    name, _ = keys.current()
    aside = world.folder / "wal" / "decisions" / "unshippable"
    aside.mkdir()
    (aside / "000000001-a.wal").write_bytes(wal.MAGIC + wal.frame(b"no record"))
    now[0] = LOCAL_KEY_SECONDS + 1
    look_around(gateway)
    assert (world.folder / "keys" / f"{name}.key").exists()
    (aside / "000000001-a.wal").unlink()
    look_around(gateway)
    assert not (world.folder / "keys" / f"{name}.key").exists()
