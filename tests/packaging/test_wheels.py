"""What is published works: the wheels are built, and a host's first minutes go through `uvx` and them alone.

That ``--help`` runs says little: when the SDK's 2.0 appeared, servers without an upper bound on it broke at the first
request, and such a check didn't see it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.wire import MODERN, Revision, connected

ROOT = Path(__file__).resolve().parents[2]
USER = dict(os.environ)
"""The environment before the fixture for all tests moves HOME: uv finds its cache and its settings by it."""

DEADLINE = 600

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(DEADLINE),
    pytest.mark.skipif(shutil.which("uv") is None or shutil.which("uvx") is None, reason="needs uv"),
]

PACKAGES = {
    "gatelodge_core": "gatelodge_core-",
    "gatelodge_filesystem": "gatelodge_filesystem-",
    "gatelodge_github": "gatelodge_github-",
    "gatelodge_postgres": "gatelodge_postgres-",
    "gatelodge_websearch": "gatelodge_websearch-",
}


@pytest.fixture
def as_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The environment of the person who runs the tests, but for their settings and state; a folder to serve."""
    for name in os.environ.keys() - USER.keys():
        monkeypatch.delenv(name)
    for name, value in USER.items():
        if name.startswith("GATELODGE_"):
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    served = tmp_path / "served"
    served.mkdir()
    (served / "notes.txt").write_text("the needle is here\n", encoding="utf-8")
    return served


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All members, built from their own source distributions, and what they depend on in uv's cache."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        ["uv", "build", "--all-packages", "--out-dir", str(folder)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Once with time for downloads, so that no test waits for them with the shorter patience it has for a server.
    ready = subprocess.run(
        uvx(folder, "gatelodge-filesystem", "--version"),
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert ready.returncode == 0, ready.stderr
    return folder


def environment() -> dict[str, str]:
    return {name: value for name, value in USER.items() if not name.startswith("GATELODGE_")}


def uvx(dist: Path, *command: str, package: str = "gatelodge-filesystem") -> list[str]:
    """How a person starts a server from wheels in a folder.

    The version doesn't change from build to build, so what uv remembers of it must not count.
    """
    fresh = ("gatelodge", *(name.replace("_", "-") for name in PACKAGES))
    return [
        "uvx", "--isolated", *(f"--refresh-package={name}" for name in fresh), "--python", sys.executable,
        "--find-links", str(dist), "--from", package, *command,
    ]  # fmt: skip


def run(*command: str) -> subprocess.CompletedProcess[str]:
    # Not in the checkout: there uvx could find the sources instead.
    return subprocess.run(
        command, cwd=Path(os.environ["XDG_STATE_HOME"]).parent, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip


def wheel(dist: Path, prefix: str) -> Path:
    (found,) = dist.glob(f"{prefix}*.whl")
    return found


def test_each_member_has_a_wheel_and_a_source_distribution(dist: Path) -> None:
    names = sorted(re.sub(r"-\d.*?(?=-py3|\.tar)", "", path.name) for path in dist.iterdir() if path.name[0] != ".")
    assert names == [
        "gatelodge-py3-none-any.whl", "gatelodge.tar.gz",
        "gatelodge_core-py3-none-any.whl", "gatelodge_core.tar.gz",
        "gatelodge_filesystem-py3-none-any.whl", "gatelodge_filesystem.tar.gz",
        "gatelodge_github-py3-none-any.whl", "gatelodge_github.tar.gz",
        "gatelodge_postgres-py3-none-any.whl", "gatelodge_postgres.tar.gz",
        "gatelodge_websearch-py3-none-any.whl", "gatelodge_websearch.tar.gz",
    ]  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_has_all_modules_of_its_sources_and_nothing_else(dist: Path, package: str) -> None:
    (source,) = [*ROOT.glob(f"shared/src/{package}"), *ROOT.glob(f"servers/*/src/{package}")]
    wanted = {
        path.relative_to(source.parent).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel(dist, PACKAGES[package])) as archive:
        found = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
        licences = [name for name in archive.namelist() if name.endswith("/licenses/LICENSE")]
    assert found == wanted
    assert f"{package}/py.typed" in found
    assert len(licences) == 1


def test_help_and_version_run_from_the_wheels(dist: Path, as_the_user: Path) -> None:
    shown = run(*uvx(dist, "gatelodge-filesystem", "--help"))
    assert shown.returncode == 0, shown.stderr
    assert "--read-only" in shown.stdout
    version = run(*uvx(dist, "gatelodge-filesystem", "--version"))
    assert version.stdout.startswith("gatelodge-filesystem "), version.stderr


def test_what_runs_is_what_was_built(dist: Path, as_the_user: Path) -> None:
    code = (
        "import hashlib, importlib.util, json, pathlib\n"
        "found = {}\n"
        f"for package in {list(PACKAGES)!r}:\n"
        "    top = pathlib.Path(importlib.util.find_spec(package).origin).parent\n"
        "    for path in top.rglob('*.py'):\n"
        "        name = path.relative_to(top.parent).as_posix()\n"
        "        found[name] = hashlib.sha256(path.read_bytes()).hexdigest()\n"
        "print(json.dumps(found))\n"
    )
    ran = run(*uvx(dist, "python", "-I", "-c", code, package="gatelodge[all]"))
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == dict(modules(dist))


def modules(dist: Path) -> Iterator[tuple[str, str]]:
    for prefix in PACKAGES.values():
        with zipfile.ZipFile(wheel(dist, prefix)) as archive:
            for name in archive.namelist():
                if name.endswith(".py"):
                    yield name, hashlib.sha256(archive.read(name)).hexdigest()


def test_a_session_runs_from_the_wheels(dist: Path, as_the_user: Path, revision: Revision, tmp_path: Path) -> None:
    command = uvx(dist, "gatelodge-filesystem", str(as_the_user))
    with connected(command, "stdio", revision, env=outside_the_checkout()) as wire:
        listed = wire.request("tools/list")["result"]["tools"]
        assert {tool["name"] for tool in listed} >= {"list_roots", "read_file", "search_text", "edit_file"}
        assert "the needle is here" in wire.text("read_file", path=str(as_the_user / "notes.txt"))
        assert "notes.txt" in wire.text("search_text", pattern="needle")
        (tmp_path / "outside.txt").write_text("s3cr3t\n", encoding="utf-8")
        assert "s3cr3t" not in wire.error("read_file", path=str(tmp_path / "outside.txt"))


@pytest.mark.parametrize("server", ["postgres", "github", "websearch"])
def test_every_other_server_runs_from_the_wheels_too(dist: Path, as_the_user: Path, server: str) -> None:
    given = {"postgres": ["postgresql://nobody@127.0.0.1:1/none"], "github": ["--repo", "a/b"]}.get(server, [])
    name = f"gatelodge-{server}"
    warm = run(*uvx(dist, name, "--version", package=name))
    assert warm.stdout.startswith(f"{name} "), warm.stderr
    # Offline: what the first start brought is all that the next one needs. Then nothing can be asked for anew.
    tool, *words = [word for word in uvx(dist, name, *given, package=name) if not word.startswith("--refresh")]
    command = [tool, "--offline", *words]
    with connected(command, "stdio", MODERN, env=outside_the_checkout()) as wire:
        assert wire.request("tools/list")["result"]["tools"]
        if server == "postgres":
            assert wire.error("list_objects").startswith("unreachable:")
        elif server == "github":
            assert wire.error("get_repo", repo="no-name").startswith("bad_repo:")
        else:
            assert "duckduckgo: ready" in wire.text("show_engines")


def outside_the_checkout() -> Mapping[str, str]:
    """What keeps the checkout's sources and environment out of a process that starts in it."""
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": "", "VIRTUAL_ENV": ""}


def test_the_bundle_with_its_extra_starts_the_server(dist: Path, as_the_user: Path) -> None:
    shown = run(*uvx(dist, "gatelodge-filesystem", "--version", package="gatelodge[filesystem]"))
    assert shown.stdout.startswith("gatelodge-filesystem "), shown.stderr
