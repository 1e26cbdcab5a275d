"""The secrets of an installation: from the environment, else made once; nothing else is taken."""

from pathlib import Path

import pytest

from tenure.errors import ConfigInvalid
from tenure.installation.keys import MASTER, PSEUDONYMS, SUBJECTS, InstallationKey

KEYS = (PSEUDONYMS, SUBJECTS, MASTER)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key.variable, raising=False)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.variable)
def test_made_once_and_the_same_for_all_who_share_the_home(
    key: InstallationKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = key.read(tmp_path)
    path = tmp_path / "keys" / key.file
    assert (len(made), made.hex(), key.read(tmp_path)) == (32, path.read_text(), made)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key.read(tmp_path / "elsewhere") != made
    monkeypatch.setenv(key.variable, made.hex())
    assert key.read(tmp_path / "third") == made
    assert not (tmp_path / "third").exists()
    monkeypatch.setenv(key.variable, "")  # an empty variable is none
    assert key.read(tmp_path) == made


def test_three_secrets_and_not_one(tmp_path: Path) -> None:
    assert len({key.read(tmp_path) for key in KEYS}) == 3


@pytest.mark.parametrize(
    ("key", "count", "is_good"),
    [
        *((key, count, count == 32) for key in (PSEUDONYMS, MASTER) for count in (31, 32, 33)),
        *((SUBJECTS, count, 16 <= count <= 64) for count in (15, 16, 17, 63, 64, 65)),
    ],
    ids=lambda value: getattr(value, "variable", value),
)
def test_lengths(
    key: InstallationKey,
    count: int,
    is_good: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(key.variable, "ab" * count)
    if is_good:
        assert key.read(tmp_path) == b"\xab" * count
        return
    with pytest.raises(ConfigInvalid, match="bytes in hexadecimal"):
        key.read(tmp_path)


@pytest.mark.parametrize(
    ("key", "what", "next_step"),
    [
        (
            PSEUDONYMS,
            "The key of the pseudonyms is not 32 bytes in hexadecimal.",
            "Correct TENURE_PSEUDONYM_KEY or keys/pseudonym.key of the home. With another key all "
            "pseudonyms change: what lies in the landing zone is published again.",
        ),
        (
            SUBJECTS,
            "The key of the subjects is not 16 to 64 bytes in hexadecimal.",
            "Correct TENURE_SUBJECT_KEY or keys/subject.key of the home. With another one, "
            "decisions about one person have another subject than before and than at other "
            "gateways.",
        ),
        (
            MASTER,
            "The master key is not 32 bytes in hexadecimal.",
            "Correct TENURE_MASTER_KEY or keys/master.key of the home. With another one, personal "
            "features that were logged before cannot be opened.",
        ),
    ],
    ids=lambda value: getattr(value, "variable", ""),
)
def test_what_is_said_and_never_the_secret(
    key: InstallationKey, what: str, next_step: str, tmp_path: Path
) -> None:
    """A broken file is told like a broken variable."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / key.file).write_text("no secret at all")
    with pytest.raises(ConfigInvalid) as caught:
        key.read(tmp_path)
    assert (caught.value.what, caught.value.next_step) == (what, next_step)
    assert "no secret at all" not in str(caught.value)
