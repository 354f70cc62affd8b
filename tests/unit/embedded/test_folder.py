"""The secret key of a data folder."""

import stat
from pathlib import Path

from backhaul.embedded.folder import MEMORY, DataFolder


def test_the_secret_key_of_a_folder_stays_the_same_and_is_its_owners_alone(tmp_path: Path) -> None:
    with DataFolder(str(tmp_path / "data")) as folder:
        first = folder.secret_key

    with DataFolder(str(tmp_path / "data")) as folder:
        assert folder.secret_key == first
    assert len(first) >= 32
    assert stat.S_IMODE((tmp_path / "data" / "secret-key").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["lock", "secret-key"]


def test_a_platform_in_memory_has_a_new_secret_key_each_time() -> None:
    assert DataFolder(MEMORY).secret_key != DataFolder(MEMORY).secret_key
