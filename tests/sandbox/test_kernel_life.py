"""How confinement is entered, what is left behind, and what a thread, a crash or an old kernel makes of it."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from gatelodge_core.sandbox import _landlock, profiles

if sys.platform != "linux":
    pytest.skip("confinement by the kernel is Linux's", allow_module_level=True)

needs_landlock = pytest.mark.skipif(_landlock.abi() < 1, reason="this kernel has no Landlock")
pytestmark = needs_landlock

PRELUDE = """
import json, os, signal, socket, sys, threading
from gatelodge_core.sandbox import _landlock, kernel, profiles
from gatelodge_core.sandbox.kernel import confine, scrub
root = sys.argv[1]
profile = profiles.filesystem([], [root], root)
"""


def start(code: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(code), str(folder)],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, folder: Path, **environment: str) -> str:
    with start(code, folder, **environment) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip()


def test_a_thread_started_too_early_is_refused(tmp_path: Path) -> None:
    code = """
        go = threading.Event()
        threading.Thread(target=go.wait, daemon=True).start()
        try:
            confine(profile)
        except kernel.ConfinementError as error:
            print(error)
        go.set()
    """
    said = run(code, tmp_path)
    assert said.startswith("2 threads run already")


def test_a_process_refused_for_its_threads_was_not_changed(tmp_path: Path) -> None:
    code = """
        go = threading.Event()
        threading.Thread(target=go.wait, daemon=True).start()
        try:
            confine(profile)
        except kernel.ConfinementError:
            print(len(os.listdir("/")) > 0, os.listdir(root))
        go.set()
    """
    assert run(code, tmp_path) == "True []"


def test_a_layer_without_effect_is_noticed(tmp_path: Path) -> None:
    # As under a kernel, or a sandbox around us, that answers yes and does nothing.
    code = """
        _landlock.enter = lambda *_: None
        try:
            confine(profile)
        except kernel.ConfinementError as error:
            print(error)
    """
    assert run(code, tmp_path) == "confinement doesn't hold: landlock: / can be opened"


@pytest.mark.parametrize("abi", [0, 1, 2, 3, 4, 5, 6])
def test_an_older_kernel_gives_what_it_has_and_the_rest_is_named(abi: int, tmp_path: Path) -> None:
    if _landlock.abi() < abi:
        pytest.skip(f"this kernel has ABI {_landlock.abi()}")
    code = f"""
        _landlock.abi = lambda: {abi}
        found = confine(profiles.websearch(root))
        print(json.dumps([found.landlock_fs, found.landlock_net, found.landlock_scopes, found.missing, found.seccomp]))
    """
    fs, net, scopes, missing, seccomp = json.loads(run(code, tmp_path))
    assert (fs, net, scopes, seccomp) == (abi >= 1, abi >= 4, abi >= 6, True)
    text = "\n".join(missing)
    assert ("has none" in text) == (abi == 0)
    assert ("truncating" in text) == (0 < abi < 3)
    assert ("TCP ports needs ABI 4" in text) == (0 < abi < 4)
    assert ("ioctl" in text) == (0 < abi < 5)
    assert ("signals" in text) == (0 < abi < 6)


def test_an_unknown_processor_is_told_and_the_rest_holds(tmp_path: Path) -> None:
    code = """
        from gatelodge_core.sandbox import _seccomp
        _seccomp.ARCHITECTURES = {}
        found = confine(profile)
        print(json.dumps([found.seccomp, found.complete, found.summary()]))
    """
    seccomp, complete, summary = json.loads(run(code, tmp_path))
    assert (seccomp, complete) == (False, False)
    assert "missing: seccomp: no filter for" in summary


def test_a_crash_leaves_no_core(tmp_path: Path) -> None:
    crash = """
        import resource
        {confine}
        os.kill(os.getpid(), signal.SIGABRT)
    """
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    for folder, confine, dumped in (("free", "", True), ("held", "confine(profile)", False)):
        (tmp_path / folder).mkdir()
        lift = "resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)\n        "
        process = start(crash.format(confine=lift + confine), tmp_path / folder)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -os.WTERMSIG(status)
        assert os.WTERMSIG(status) == signal.SIGABRT
        if dumped and not os.WCOREDUMP(status):
            pytest.skip(f"nothing dumps core here ({pattern})")
        assert os.WCOREDUMP(status) == dumped
        if pattern.startswith("core"):
            assert any(name.startswith("core") for name in os.listdir(tmp_path / folder)) == dumped


@pytest.mark.skipif(platform.machine() != "x86_64", reason="int 0x80 is of x86")
def test_a_32_bit_system_call_is_refused(tmp_path: Path) -> None:
    code = """
        import ctypes, mmap
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
        call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        {confine}
        print(call() == os.getpid(), call())
    """
    with start(code.format(confine=""), tmp_path) as process:
        out, _ = process.communicate(timeout=60)
    if not out.startswith("True"):
        pytest.skip("this kernel runs no 32-bit calls")
    assert run(code.format(confine="confine(profile)"), tmp_path) == "False -1"


def test_a_socket_bound_before_is_served_after(tmp_path: Path) -> None:
    code = """
        import asyncio
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        confine(profile.serving())
        print(bound.getsockname()[1], flush=True)

        async def main():
            done = asyncio.Event()

            async def answer(reader, writer):
                writer.write(await reader.readline())
                await writer.drain()
                writer.close()
                done.set()

            async with await asyncio.start_server(answer, sock=bound):
                await done.wait()

        asyncio.run(main())
    """
    with start(code, tmp_path) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"hello\n")
            assert client.recv(10) == b"hello\n"
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_an_accepted_connection_is_no_way_out(tmp_path: Path) -> None:
    """A TCP socket can be disconnected (AF_UNSPEC) and connected elsewhere, without socket(2)."""
    code = """
        import errno
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        other = socket.create_connection(bound.getsockname())
        target = bound.getsockname()
        confine(profile.serving())
        held, _ = bound.accept()
        for step in (lambda: other.connect(target), lambda: held.connect(target)):
            try:
                step()
                print("connected")
            except OSError as error:
                print(errno.errorcode[error.errno])
    """
    assert run(code, tmp_path).split() == ["EPERM", "EPERM"]


def test_secrets_are_gone_from_the_process_as_others_see_it(tmp_path: Path) -> None:
    code = """
        secret = os.environ["TEST_TOKEN"]
        assert secret
        {scrub}
        assert ("TEST_TOKEN" in os.environ) != {gone}
        print("ready", flush=True)
        sys.stdin.readline()
    """
    for gone in (False, True):
        scrub = 'scrub(["TEST_TOKEN", "TEST_UNSET"])' if gone else ""
        process = start(
            code.format(scrub=scrub, gone=gone), tmp_path, TEST_TOKEN="hunter2-secret", TEST_TOKEN_NAME="stays"
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            seen = Path(f"/proc/{process.pid}/environ").read_bytes()
            process.communicate("\n", timeout=30)
        assert process.returncode == 0
        assert (b"hunter2-secret" in seen) != gone
        assert (b"TEST_TOKEN=" in seen) != gone
        assert b"TEST_TOKEN_NAME=stays" in seen


def test_the_temporary_folder_is_private_and_of_this_process(tmp_path: Path) -> None:
    code = """
        import stat, tempfile
        first = confine(profile).scratch
        print(stat.S_IMODE(os.stat(first).st_mode) == 0o700, tempfile.gettempdir() == first == os.environ["TMPDIR"])
        tempfile.mkdtemp()
        print(first)
    """
    mode, path = run(code, tmp_path).splitlines()
    assert mode == "True True"
    assert Path(path).parent.parent == tmp_path
    assert not Path(path).exists()


def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    wait = """
        print(confine(profile).scratch, flush=True)
        sys.stdin.readline()
    """
    with start(wait, tmp_path) as killed, start(wait, tmp_path) as living:
        assert killed.stdout is not None
        assert living.stdout is not None
        left, own = Path(killed.stdout.readline().strip()), Path(living.stdout.readline().strip())
        (left / "data").write_text("x")
        killed.kill()
        killed.communicate(timeout=30)
        assert left.exists()
        run("confine(profile)", tmp_path)
        assert not left.exists()
        assert own.exists()
        living.communicate("\n", timeout=30)
    assert not own.exists()


def test_a_temporary_folder_that_somebody_else_made_is_not_used(tmp_path: Path) -> None:
    trap = tmp_path / f"gatelodge-{os.getuid()}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    trap.symlink_to(elsewhere)
    path = run("print(confine(profile).scratch)", tmp_path)
    assert trap.name not in Path(path).parts
    assert not any(elsewhere.iterdir())


def test_the_folder_a_program_was_started_in_is_not_granted(tmp_path: Path) -> None:
    code = """
        sys.path.insert(0, root)
        print(root in profiles.python_files(), os.path.dirname(root) in profiles.python_files())
    """
    assert run(code, tmp_path) == "False False"


def test_a_loader_is_found_where_there_is_one(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n" + "#" * 100)
    assert profiles.loader(str(script)) is None
    found = profiles.loader(os.path.realpath(sys.executable))
    assert found is None or Path(found).exists()
    shell = profiles.loader(os.path.realpath("/bin/sh"))
    assert shell is None or "ld-" in shell
