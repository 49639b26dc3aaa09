"""The live server: attacked from inside, and by callers with one of its two walls taken down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.sandbox import _landlock

from tests.sandbox._attacks import Grounds
from tests.support.wire import MODERN, StdioWire, Transport, Wire, connected, python_module

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not _landlock.abi(), reason="this kernel has no Landlock to confine with"
)
SECRET = "canary-behind-both-walls"
REFUSED = ("EPERM", "EACCES", "ENOSYS", "ENOMEM", "MemoryError", "EAFNOSUPPORT", "EINVAL", "ESRCH", "EMFILE")


def furnish(base: Path) -> list[str]:
    for name in ("notes", "src", "outside"):
        (base / name).mkdir(parents=True)
    (base / "outside" / "secret").write_text(SECRET, encoding="utf-8")
    (base / "outside" / "empty").mkdir()
    (base / "notes" / "a.txt").write_text("inside\n", encoding="utf-8")
    (base / "notes" / "link").symlink_to("../outside/secret")
    (base / "notes" / "door").symlink_to("../outside")
    (base / "notes" / "root").symlink_to("/")
    return [str(base / "notes"), f"{base / 'src'}:ro", "--state-dir", str(base / "state")]


def server(*arguments: str) -> list[str]:
    return python_module("tests.sandbox.probed_server", *arguments)


def escapes(base: Path) -> list[tuple[str, dict[str, Any]]]:
    """Calls that would show or change what is outside."""
    paths = ["notes/link", "notes/door/secret", f"notes/root{base}/outside/secret", "notes/../outside/secret",
             f"{base}/notes/../outside/secret", "src/../outside/secret", "notes/root/proc/self/environ",
             "notes/root/etc/passwd", f"{base}/outside/secret"]  # fmt: skip
    reads: list[tuple[str, dict[str, Any]]] = [("read_file", {"path": path}) for path in paths]
    folders = ["notes/door", "notes/..", "notes/../outside", f"notes/root{base}/outside"]
    reads += [("list_directory", {"path": path}) for path in folders]
    reads += [("search_text", {"path": path, "pattern": "canary"}) for path in folders]
    reads += [("find_files", {"path": path, "globs": ["*"]}) for path in folders]
    writes: list[tuple[str, dict[str, Any]]] = [
        ("write_file", {"path": path, "content": "pwned"})
        for path in ("notes/door/new", "notes/../outside/new2", f"notes/root{base}/outside/new3", "src/new")
    ]
    return reads + writes


def leaks(wire: Wire, base: Path) -> tuple[int, int]:
    """How many calls showed a secret, and how many changed something."""
    shown = 0
    for name, arguments in escapes(base):
        answer = json.dumps(wire.tool(name, **arguments))
        shown += SECRET in answer or "root:x:0:0" in answer or "PATH=" in answer or '\\"secret\\"' in answer
    changed = sorted(path.name for path in (base / "outside").iterdir()) != ["empty", "secret"]
    return shown, changed + (base / "src" / "new").exists()


@pytest.mark.parametrize(
    ("jail", "kernel", "held"), [(True, True, True), (True, False, True), (False, True, True), (False, False, False)]
)
def test_each_wall_holds_alone_what_gets_through_without_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jail: bool, kernel: bool, held: bool
) -> None:
    if not jail:
        monkeypatch.setenv("TESTS_NO_JAIL", "1")
    base = tmp_path / "g"
    arguments = furnish(base)
    with connected(server(*arguments, "--sandbox", "on" if kernel else "off"), "stdio", MODERN) as wire:
        assert "inside" in wire.text("read_file", path="notes/a.txt")
        assert (leaks(wire, base) == (0, 0)) is held
        assert "inside" in wire.text("read_file", path="notes/a.txt")


ATTACKS = ["exec of a shell", "ptrace", "reading ~/.ssh", "reading /etc/passwd", "reading a secret", "writing outside",
           "creating outside", "truncating outside", "mode outside", "TCP to a port", "UDP", "abstract socket",
           "Unix socket", "4 GiB", "core limit", "more descriptors", "user namespace", "io_uring",
           "reading the environment", "signal to the parent", "memory of another"]  # fmt: skip


def test_attacks_from_inside_the_live_server_are_refused_and_it_goes_on_serving(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "id_ed25519").write_text("key", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    base = tmp_path / "g"
    arguments = furnish(base)
    grounds = Grounds(root=str(base / "notes"), outside=str(base / "outside"), port=9, other_port=9, abstract="x")
    with connected(server(*arguments, "--sandbox", "on"), transport, MODERN) as wire:
        found = json.loads(wire.text("probe", deeds=ATTACKS, grounds=json.dumps(vars(grounds))))
        assert {deed: verdict for deed, verdict in found.items() if verdict not in REFUSED} == {}
        assert "inside" in wire.text("read_file", path="notes/a.txt")
        assert "created" in wire.text("write_file", path="notes/new.txt", content="x\n")
        assert wire.record("list_roots")["roots"]
    assert (base / "outside" / "secret").read_text(encoding="utf-8") == SECRET


def test_a_thread_started_too_early_keeps_the_server_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_THREAD", "1")
    done = subprocess.run(
        server(*furnish(tmp_path / "g")), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 2
    assert "2 threads run already" in done.stderr


def test_a_required_sandbox_that_is_switched_off_keeps_the_server_from_starting(tmp_path: Path) -> None:
    command = server(*furnish(tmp_path / "g"), "--sandbox", "off", "--require-sandbox")
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 2
    assert "--require-sandbox" in done.stderr


def test_the_level_is_in_the_journal(tmp_path: Path) -> None:
    base = tmp_path / "g"
    with connected(server(*furnish(base), "--require-sandbox"), "stdio", MODERN) as wire:
        wire.record("list_roots")
    (path,) = (base / "state" / "journal").glob("*.jsonl")
    header = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert header["sandbox"] == f"landlock {_landlock.abi()} (files, ports, scopes), seccomp, rlimits"


def test_a_secret_is_gone_from_the_environment_once_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TOY_TOKEN", "canary-in-the-environment")
    with connected(python_module("tests.support.toy"), "stdio", MODERN) as wire:
        assert isinstance(wire, StdioWire)
        wire.text("echo_text", text="x")
        environment = Path(f"/proc/{wire.server.process.pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"canary" not in environment
