"""The clients are pinned, and the installer says what is wrong rather than use something else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.clients import install
from tests.clients._hosts import absence


def manifest(directory: Path, name: str, version: str) -> None:
    path = directory / "node_modules" / name / "package.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"name": name, "version": version}), encoding="utf-8")


def test_every_client_is_pinned_to_one_version() -> None:
    assert install.pins()
    for name, version in install.pins().items():
        assert re.fullmatch(r"\d+\.\d+\.\d+(-alpha\.\d+)?", version), (name, version)


def test_a_missing_client_and_one_of_another_version_are_both_told(tmp_path: Path) -> None:
    first, second, *others = install.pins().items()
    manifest(tmp_path, first[0], "0.0.1")
    for name, version in others:
        manifest(tmp_path, name, version)
    assert install.outdated(tmp_path) == [
        f"{first[0]}@{first[1]} (found: 0.0.1)",
        f"{second[0]}@{second[1]} (found: none)",
    ]


def test_a_manifest_cut_short_counts_as_missing(tmp_path: Path) -> None:
    for name, version in install.pins().items():
        manifest(tmp_path, name, version)
    name, version = next(iter(install.pins().items()))
    (tmp_path / "node_modules" / name / "package.json").write_bytes(b'{"version"')
    assert install.outdated(tmp_path) == [f"{name}@{version} (found: none)"]


def test_nothing_is_done_where_all_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in install.pins().items():
        manifest(tmp_path, name, version)
    monkeypatch.setattr(install, "find_node", lambda: pytest.fail("looked for Node.js"))
    install.install(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["node_modules"]


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs sh")
def test_a_node_that_is_too_old_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(tmp_path / "node", "echo v20.1.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType] - never called with more
    assert install.main([str(tmp_path / "target")]) == 1
    told = capsys.readouterr().err
    assert "is 20.1.0, the clients need 22.19.0" in told
    assert "uv run python" in told
    assert not (tmp_path / "target").exists()


def test_without_any_node_the_reason_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType,reportUnknownArgumentType] - never called with more
    assert "uv run python" in absence()
