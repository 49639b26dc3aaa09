"""Files that a person names and that are no plain files; and a home folder that is named by nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from gatelodge_core import inputs
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.policy import load as load_policy

from tests.support.toy import ToySettings
from tests.support.wire import MODERN, PATIENCE, Server, StdioWire, python_module

if sys.platform == "win32":
    pytest.skip("there are no such files on Windows", allow_module_level=True)

import pwd

LOADS: list[Callable[[str], object]] = [lambda path: ToySettings.load(["--config", path]), load_policy]


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    return path


def test_a_named_pipe_is_read_to_its_end_whoever_comes_first(fifo: str) -> None:
    writer = threading.Thread(target=Path(fifo).write_text, args=("max_sessions = 5\n",), daemon=True)
    writer.start()
    assert ToySettings.load(["--config", fifo]).max_sessions == 5
    writer.join(PATIENCE)


@pytest.mark.parametrize("load", LOADS)
def test_a_named_pipe_that_nobody_writes_to_is_refused(
    monkeypatch: pytest.MonkeyPatch, fifo: str, load: Callable[[str], object]
) -> None:
    monkeypatch.setattr(inputs, "WAIT_SECONDS", 0.1)
    with pytest.raises(SettingsError, match="nobody wrote to its end within"):
        load(fifo)


def test_a_pipe_that_is_held_open_is_refused_too(monkeypatch: pytest.MonkeyPatch, fifo: str) -> None:
    monkeypatch.setattr(inputs, "WAIT_SECONDS", 0.1)
    held = os.open(fifo, os.O_RDWR)
    try:
        os.write(held, b"max_sessions = 5\n")
        with pytest.raises(SettingsError, match="nobody wrote to its end within"):
            ToySettings.load(["--config", fifo])
    finally:
        os.close(held)


@pytest.mark.parametrize("load", LOADS)
def test_a_pipe_that_was_read_before_is_no_empty_file(load: Callable[[str], object]) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    try:
        with pytest.raises(SettingsError, match="nothing was written to it"):
            load(f"/dev/fd/{reading}")
    finally:
        os.close(reading)


def test_what_has_no_end_is_refused_and_what_is_empty_is_not() -> None:
    with pytest.raises(SettingsError, match="bytes at most"):
        ToySettings.load(["--config", "/dev/zero"])
    assert ToySettings.load(["--config", "/dev/null"]).max_sessions == 64


def test_a_process_substitution_sets_what_it_says_on_stdio_too(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    server = python_module("gatelodge_filesystem", str(tmp_path / "root"), "--state-dir", str(tmp_path / "state"))
    started = Server(["bash", "-c", 'exec "$@" --config <(echo "read_only = true")', "bash", *server])
    try:
        wire = StdioWire(started, MODERN)
        tools = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
        assert "read_file" in tools
        assert "write_file" not in tools
        assert wire.request("tools/call", {"name": "write_file", "arguments": {}})["error"]["code"] == -32602
    finally:
        started.end()


def test_an_empty_home_is_none(tmp_path: Path) -> None:
    # Refused with the path that `~` stands for: nothing is served, and nothing made anywhere.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "GATELODGE_"))}
    command = python_module("gatelodge_filesystem", "~/no such folder", "--state-dir", str(tmp_path))
    done = subprocess.run(
        command,
        env={**environment, "HOME": ""},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert f"{pwd.getpwuid(os.getuid()).pw_dir}/no such folder" in done.stderr


def test_a_state_folder_in_no_home_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_STATE_DIR", "~nobody-of-this-name/state")
    with pytest.raises(SettingsError, match="no such home folder; set HOME, or --state-dir"):
        _ = ToySettings.load([]).state_path
