"""An environment of its own for the fastmcp client, whose dependencies differ: ``python tests/clients/lane.py [DIR]``.

`fastmcp.lock` pins all of it with hashes. Nothing is done if it is there. Standard library only, and uv.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))

from tests.clients.install import InstallError, run  # noqa: E402 - run as a script, the root isn't on the path

LOCK = HERE / "fastmcp.lock"
SECONDS = 600


def folder() -> Path:
    """Where it is: ``TESTS_FASTMCP``, or below ``.lanes`` beside the tests."""
    return Path(os.environ.get("TESTS_FASTMCP") or HERE / ".lanes" / "fastmcp")


def python(where: Path) -> Path:
    """Its interpreter."""
    return where / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def lacking() -> str:
    """Why it can't be used; empty if it can."""
    there = python(folder()).exists() and _mark(folder()) == _sum()
    return "" if there else f"fastmcp is not installed in {folder()}: run `uv run python tests/clients/lane.py`"


def install(where: Path) -> None:
    """Make it, unless it is there.

    Raises:
        InstallError: There is no uv, or it failed.
    """
    if python(where).exists() and _mark(where) == _sum():
        return
    where.mkdir(parents=True, exist_ok=True)
    uv = _uv()
    run("uv venv", [*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(where)], HERE, SECONDS)
    pip = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python(where))]
    run("uv pip install", [*pip, "--require-hashes", "--requirement", str(LOCK)], HERE, SECONDS)
    # Last of all, so that what was cut off counts for nothing.
    (where / "lock.sha256").write_text(_sum(), encoding="ascii")


def _sum() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def _mark(where: Path) -> str:
    try:
        return (where / "lock.sha256").read_text(encoding="ascii")
    except OSError:
        return ""


def _uv() -> list[str]:
    base: str = getattr(sys, "_base_executable", sys.executable)
    for command in (["uv"], [base, "-m", "uv"], [sys.executable, "-m", "uv"], ["python3", "-m", "uv"]):
        try:
            done = subprocess.run([*command, "--version"], capture_output=True, timeout=60, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return command
    raise InstallError("there is no uv: python3 -m pip install uv")


def main(arguments: Sequence[str]) -> int:
    """Install; exit status 1 if that failed."""
    try:
        install(Path(arguments[0]) if arguments else folder())
    except InstallError as error:
        sys.stderr.write(f"lane.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
