"""Fixtures of the tests of `gatelodge install`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.support import Home


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home folder with nothing but a folder of notes; no variable of the machine moves a host's files."""
    for name in ("GITHUB_PERSONAL_ACCESS_TOKEN", "GITHUB_TOKEN", "CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path / "home", capsys)
