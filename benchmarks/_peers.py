"""Servers and libraries to compare with, from the package index: exact versions, in an environment that is thrown away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FETCH = "mcp-server-fetch==2026.10.24"
DUCKDUCKGO = "duckduckgo-mcp-server==0.7.0"
READABILITY = ("readability-lxml==0.9", "markdownify==1.2.3", "lxml==6.1.3")


class Missing(Exception):
    """A peer can't be installed here."""


def install(folder: Path, *packages: str) -> Path:
    """Make an environment.

    Args:
        folder: Where; it is made.
        packages: What it gets, each with its version.

    Returns:
        The folder of its commands.

    Raises:
        Missing: There is no uv, or the packages can't be had.
    """
    uv = _uv()
    _run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    _run([*uv, "pip", "install", "--quiet", "--python", str(commands / "python"), *packages])
    return commands


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a peer gets: nothing of the caller's but the temporary folder, and no PATH.

    Without PATH a wrapper of Readability.js finds no Node, and so installs no packages at its first call.
    """
    return {"HOME": str(home), "PATH": "", "LANG": "C.UTF-8", "TMPDIR": str(home), "NO_PROXY": "*", **more}


def _uv() -> list[str]:
    found = shutil.which("uv")
    if found:
        return [found]
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if (
            python
            and subprocess.run([python, "-m", "uv", "--version"], capture_output=True, check=False).returncode == 0
        ):
            return [python, "-m", "uv"]
    raise Missing("uv is not installed")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise Missing(done.stderr.strip()[-400:])
