"""What the server keeps can be fetched again: damage to it costs that, and no start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_websearch.folders import Folders
from gatelodge_websearch.store import Store


def _store(path: Path, _: Path) -> Store:
    return Store(str(path), 100_000)


def _folders(path: Path, folder: Path) -> Folders:
    return Folders([str(folder)], str(path))


@pytest.mark.parametrize("damage", ["overwritten", "cut"])
@pytest.mark.parametrize("kept", [_store, _folders])
def test_a_damaged_file_begins_anew(
    kept: Callable[[Path, Path], Store | Folders], damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, folder = tmp_path / "state.db", tmp_path / "notes"
    folder.mkdir()
    kept(path, folder).close()
    path.write_bytes(b"not a database" * 1000 if damage == "overwritten" else path.read_bytes()[:5000])
    kept(path, folder).close()
    assert f"{path} is damaged" in caplog.text
    assert path.stat().st_mode & 0o077 == 0
    caplog.clear()
    kept(path, folder).close()
    assert not caplog.text


@pytest.mark.parametrize("kept", [_store, _folders])
def test_a_file_that_can_not_be_opened_is_named_with_what_to_do(
    kept: Callable[[Path, Path], Store | Folders], tmp_path: Path
) -> None:
    path = tmp_path / "state.db"
    path.mkdir()
    with pytest.raises(SettingsError, match="--state-dir") as caught:
        kept(path, tmp_path)
    assert str(caught.value).startswith(str(path))
