"""What is installed is what is pinned, whole."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from tests.clients import install as clients
from tests.clients.install import InstallError
from tests.github.install import GRAPHQL, RECORDINGS, Archive, lacking, lanes, main, pins, take


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, Archive]:
    """An archive with a folder of two files, one file more, and one that leads outside."""
    inside = tmp_path / "made"
    (inside / "data").mkdir(parents=True)
    for name in ("data/a.txt", "data/b.txt", "other.txt"):
        (inside / name).write_text(name)
    packed = tmp_path / "pack" / "made.tar.gz"
    packed.parent.mkdir()
    with tarfile.open(packed, "w:gz") as tar:
        tar.add(inside, "top")
        tar.add(inside / "other.txt", "../escaped.txt")
    return packed, Archive("made==1", sha256(packed.read_bytes()).hexdigest(), "top/data", RECORDINGS.name, 2)


def test_only_what_is_asked_for_is_taken(archive: tuple[Path, Archive], tmp_path: Path) -> None:
    take(*archive, tmp_path)
    taken = tmp_path / RECORDINGS.name
    assert {path.name: path.read_text() for path in taken.iterdir()} == {"a.txt": "data/a.txt", "b.txt": "data/b.txt"}
    assert not (tmp_path / "pack" / "escaped.txt").exists()


def test_an_archive_of_another_sum_or_content_is_refused(archive: tuple[Path, Archive], tmp_path: Path) -> None:
    packed, wanted = archive
    with pytest.raises(InstallError, match="SHA-256"):
        take(packed, replace(wanted, sha256="0" * 64), tmp_path)
    with pytest.raises(InstallError, match="2 files at top/data, not 3"):
        take(packed, replace(wanted, count=3), tmp_path)
    assert not (tmp_path / RECORDINGS.name).exists()


def test_what_was_cut_off_or_is_of_another_version_counts_as_absent(tmp_path: Path) -> None:
    (tmp_path / GRAPHQL.name).write_text("type Query")
    assert GRAPHQL.name in lacking(GRAPHQL.name, folder=tmp_path)
    mark = tmp_path / f"{GRAPHQL.name}.sha256"
    mark.write_text("0" * 64)
    assert GRAPHQL.name in lacking(GRAPHQL.name, folder=tmp_path)
    mark.write_text(GRAPHQL.sha256)
    assert lacking(GRAPHQL.name, folder=tmp_path) == ""
    package = tmp_path / "node_modules" / "emulate"
    package.mkdir(parents=True)
    # The name's newest version is another thing altogether.
    (package / "package.json").write_text('{"version": "1.0.2"}')
    assert "emulate" in lacking("emulate", folder=tmp_path)


def test_all_npm_pins_are_exact() -> None:
    assert pins()
    assert all(version.replace(".", "").isdigit() for version in pins().values())


def test_a_second_run_does_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if lacking(*pins(), RECORDINGS.name):
        pytest.skip("nothing is installed")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(clients, "find_node", lambda: pytest.fail("npm is asked for"))
    assert main([str(lanes())]) == 0
    assert "emulate@" in capsys.readouterr().out
