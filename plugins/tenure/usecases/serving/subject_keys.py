"""Where the keys of personal features come from, and who may open what they seal."""

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tenure.config import load_dataset, load_model
from tenure.errors import ConfigInvalid
from tenure.failpoints import failpoint
from tenure.files import made_once
from tenure.installation import Installation
from tenure.installation.keys import MASTER
from tenure.lifecycle.data.sensitivity import personal_columns
from tenure.ports import DecisionFilter
from tenure.settings import Settings
from tenure.vocabulary import op_key

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine

LOCAL_KEY_SECONDS = 600.0
"""How long a local key is used, and how long after its last use it is destroyed."""
_KEY_BYTES = 32
_HEXADECIMAL = re.compile(f"[0-9a-f]{{{2 * _KEY_BYTES}}}")
_LOOK_SECONDS = 1.0
_SUBJECTS_AT_ONCE = 5_000


class PersonalModels:
    """Which models read personal data, by their YAML and their dataset's, looked at every second.

    A model whose YAML was never readable counts as personal: too much sealing harms nobody.
    """

    def __init__(self, settings: Settings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._include = settings.include
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, bool]] = {}

    def __call__(self, model: str) -> bool:
        """Whether its features are sealed."""
        looked_at, known = self._known.get(model, (-_LOOK_SECONDS, True))
        now = self._monotonic()
        if now - looked_at >= _LOOK_SECONDS:
            known = self._read(model, known)
            self._known[model] = (now, known)
        return known

    def _read(self, model: str, known: bool) -> bool:
        try:
            config, _ = load_model(self._include, model)
            dataset, _ = load_dataset(self._include, config.dataset)
        except (OSError, ConfigInvalid):
            return known
        personal = personal_columns(dataset.contract)
        return dataset.sensitivity == "restricted" or not personal.isdisjoint(config.features.all)


class LocalKeys:
    """Keys that seal what waits on this disk; destroyed when nothing waits that needs them.

    Args:
        folder: Where they lie, one file each, readable by their owner.
        new_id: Ids that nobody can guess.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        folder: Path,
        new_id: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._new_id = new_id
        self._monotonic = monotonic
        self._keys: dict[str, bytes] = {}
        self._used: dict[str, float] = {}
        self._made: tuple[str, float] | None = None
        self._lock = threading.Lock()
        """Requests make keys in one thread, the shipper opens with them and forgets in another."""

    def current(self) -> tuple[str, bytes]:
        """Id and key to seal with now; durable before it is used."""
        with self._lock:
            now = self._monotonic()
            if self._made is None or now - self._made[1] >= LOCAL_KEY_SECONDS:
                name = self._new_id()
                text = made_once(self._folder / f"{name}.key", lambda: os.urandom(_KEY_BYTES).hex())
                self._keys[name] = bytes.fromhex(text)
                self._made = (name, now)
            name = self._made[0]
            self._used[name] = now
            return name, self._keys[name]

    def get(self, name: str) -> bytes | None:
        """The key of this id; None when it is gone, or its file is corrupt."""
        if name not in self._keys:
            path = self._folder / f"{name}.key"
            text = path.read_text(errors="replace").strip() if path.is_file() else ""
            if _HEXADECIMAL.fullmatch(text) is None:
                return None
            self._keys[name] = bytes.fromhex(text)
        return self._keys[name]

    def forget(self) -> None:
        """Destroy what was not used for a while; call it only when nothing waits."""
        with self._lock:
            now = self._monotonic()
            for path in self._folder.glob("*.key"):
                used = self._used.get(path.stem)
                if used is not None and now - used < LOCAL_KEY_SECONDS:
                    continue
                if self._made is not None and self._made[0] == path.stem:
                    self._made = None
                path.unlink(missing_ok=True)
                self._keys.pop(path.stem, None)
                self._used.pop(path.stem, None)


class SubjectVault:
    """Implements the gateway's `Vault` on local keys and the lifecycle database.

    Args:
        platform: The connected installation.
        folder: Where local keys lie.
    """

    def __init__(self, platform: Installation, folder: Path) -> None:
        self._platform = platform
        self._local = LocalKeys(folder, platform.ids.new)
        self.is_personal: Callable[[str], bool] = PersonalModels(platform.settings)

    def seal(self, features: bytes, *, about: str) -> tuple[str, bytes]:
        """Under the local key of now."""
        from tenure.adapters import sealing

        name, key = self._local.current()
        return name, sealing.seal(key, features, about=about)

    def open(self, key_id: str, sealed: bytes, *, about: str) -> bytes | None:
        """What `seal` sealed; None when its key is gone."""
        from tenure.adapters import sealing

        key = self._local.get(key_id)
        try:
            return None if key is None else sealing.unseal(key, sealed, about=about)
        except sealing.SealBroken:
            return None

    def seal_for_good(self, rows: Sequence[tuple[str, str, bytes]]) -> list[bytes | None]:
        """Under the key of each subject, made here if there is none; None where it is destroyed."""
        from tenure.adapters import sealing

        keys = subject_keys(self._platform, {subject for subject, _, _ in rows}, make=True)
        found: list[bytes | None] = []
        for subject, about, value in rows:
            key = keys.get(subject)
            found.append(None if key is None else sealing.seal(key, value, about=about))
        return found

    def forget(self) -> None:
        """Destroy old local keys."""
        self._local.forget()


def subject_keys(
    platform: Installation, subjects: set[str], *, make: bool = False
) -> dict[str, bytes | None]:
    """Data key of each pseudonym; None where it was destroyed.

    Whichever gateway writes a subject's key first has made it; the others take that one. In pieces:
    a transaction that takes longer than a gateway's patience would never be done.

    Raises:
        ConfigInvalid: The master key is another one.
    """
    from tenure.adapters import sealing
    from tenure.adapters.sql import subject_keys as table

    masters, names = MASTER.read_all(platform.settings.home), sorted(subjects)
    wrapped: dict[str, str | None] = {}
    for start in range(0, len(names), _SUBJECTS_AT_ONCE):
        piece = names[start : start + _SUBJECTS_AT_ONCE]
        with platform.database.begin() as connection:
            found = table.find(connection, piece)
            missing = [name for name in piece if name not in found] if make else []
            if missing:
                made = {n: sealing.wrap(masters[0], sealing.new_key(), about=n) for n in missing}
                table.add(connection, made)
                found |= table.find(connection, missing)
        wrapped |= found
    return {
        name: None if text is None else _unwrapped(masters, text, name)
        for name, text in wrapped.items()
    }


def _unwrapped(masters: Sequence[bytes], text: str, name: str) -> bytes:
    """The key of a subject, wrapped by the master key of now or by one before it."""
    from tenure.adapters import sealing

    for master in masters:
        with suppress(sealing.SealBroken):
            return sealing.unwrap(master, text, about=name)
    raise MASTER.refused("is not the one that wrapped the keys of subjects")


def destroy_keys(
    platform: Installation, subjects: Sequence[str], *, model: str, reason: str, actor: str
) -> None:
    """Make everything that was sealed about pseudonyms noise, and whatever comes later as well.

    What a gateway has not shipped yet is opened by nobody else, and shipped without its features.
    All of them or none; a second time changes nothing.
    """
    from tenure.adapters.sql import subject_keys as table

    with platform.database.begin() as connection:
        for subject in sorted(subjects):
            table.destroy(connection, subject, at=platform.clock.now())
            platform.ledger.note(
                connection,
                subject=f"subject:{subject}",
                actor=actor,
                body={"key": "destroyed", "model": model, "reason": reason},
                op_key=op_key("subject.erase", subject, {}),
            )
            failpoint("erase.destroyed")


def destroyed(platform: Installation, subject: str) -> bool:
    """Whether the key of a pseudonym was destroyed."""
    from tenure.adapters.sql import subject_keys as table

    with platform.database.begin() as connection:
        found = table.find(connection, [subject])
    return subject in found and found[subject] is None


def any_sealed(paths: Sequence[Path]) -> bool:
    """Whether one of these decision files has sealed features."""
    from tenure.adapters import sealed_files

    return sealed_files.any_sealed(paths)


def scanner(platform: Installation, paths: Sequence[Path]) -> "IbisEngine":
    """The engine for these decision files; it opens sealed features in memory, never on disk."""
    from tenure.adapters import sealed_files
    from tenure.adapters.ibis_engine import IbisEngine

    if not any_sealed(paths):
        return IbisEngine()

    def opened(decisions: DecisionFilter) -> Any:
        return sealed_files.opened(decisions, opener(platform))

    return IbisEngine(opened=opened)


def opener(
    platform: Installation,
) -> Callable[[Sequence[tuple[str, str, bytes]]], list[bytes | None]]:
    """Opens (pseudonym, decision id, sealed) each; None where the key was destroyed."""

    def open_all(rows: Sequence[tuple[str, str, bytes]]) -> list[bytes | None]:
        from tenure.adapters import sealing

        keys = subject_keys(platform, {subject for subject, _, sealed in rows if sealed})
        found: list[bytes | None] = []
        for subject, about, sealed in rows:
            key = keys.get(subject) if sealed else None
            found.append(None if key is None else sealing.unseal(key, sealed, about=about))
        return found

    return open_all
