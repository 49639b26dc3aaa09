"""Small file systems in memory, to be filled."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Generator[None]:
    """A tmpfs at a new folder, until the end; the test is skipped where none can be mounted.

    Args:
        place: The folder; it is made.
        options: Of the mount, such as ``size=64k``.
    """
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)
