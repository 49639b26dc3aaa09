"""Servers by others, at the exact versions of ``clients/package.json``, installed when a benchmark first needs them.

As `tests.clients.install` does it: npm beside the locked Node.js, no install script of any package, no lock file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.install import INSTALL_SECONDS, InstallError, find_node

HERE = Path(__file__).resolve().parent / "clients"
PINS = HERE / "package.json"
_NPM = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


def pins() -> dict[str, str]:
    """The packages, with their versions."""
    return json.loads(PINS.read_text(encoding="utf-8"))["dependencies"]


def script(name: str, directory: Path = HERE) -> Path | None:
    """The script that a package's command runs; None unless the pinned version is installed."""
    folder = directory / "node_modules" / name
    try:
        manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if manifest.get("version") != pins()[name]:
        return None
    (found,) = manifest["bin"].values()
    return folder / found


def install(directory: Path = HERE) -> None:
    """Bring `directory` to the pinned versions; nothing is done if it has them.

    Raises:
        InstallError: There is no Node.js or npm, or npm failed.
    """
    if all(script(name, directory) for name in pins()):
        return
    sys.stderr.write(f"installing {', '.join(f'{name}@{version}' for name, version in pins().items())}\n")
    node = find_node()
    if node.npm is None:
        raise InstallError(f"there is no npm beside {node.binary}: run this with `uv run python ...`")
    directory.mkdir(parents=True, exist_ok=True)
    if directory.resolve() != HERE:
        shutil.copyfile(PINS, directory / PINS.name)
    path = os.pathsep.join([str(node.binary.parent), os.environ.get("PATH", os.defpath)])
    try:
        done = subprocess.run(
            [str(node.binary), str(node.npm), *_NPM],
            cwd=directory, env={**os.environ, "PATH": path}, stdout=sys.stderr, timeout=INSTALL_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InstallError(f"npm didn't end within {INSTALL_SECONDS} s; try again") from None
    if done.returncode != 0 or not all(script(name, directory) for name in pins()):
        raise InstallError(f"npm ended with status {done.returncode}; see above")
