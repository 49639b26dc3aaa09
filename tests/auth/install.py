"""Install the authorization server of ``package.json``: ``python tests/auth/install.py [DIR]``; nothing if it is there.

Node.js and npm as for ``tests/clients``. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))

from tests.clients.install import InstallError, find_node  # noqa: E402 - run as a script, the root isn't on the path

PINS = HERE / "package.json"
SECONDS = 600


def folder() -> Path:
    """Where it is: ``TESTS_AUTH``, or beside the tests."""
    return Path(os.environ.get("TESTS_AUTH") or HERE)


def lacking(where: Path | None = None) -> str:
    """Why it can't be used; empty if it can."""
    place = where or folder()
    pins: dict[str, str] = json.loads(PINS.read_text("utf-8"))["dependencies"]
    for name, version in pins.items():
        try:
            found = json.loads((place / "node_modules" / name / "package.json").read_text("utf-8"))["version"]
        except (OSError, ValueError, KeyError):
            found = "none"
        if found != version:
            return f"{name}@{version} is not in {place} (found: {found}): run `python tests/auth/install.py`"
    return ""


def install(where: Path) -> None:
    """Bring a folder to the pinned version.

    Raises:
        InstallError: There is no npm, or it failed.
    """
    if not lacking(where):
        return
    node = find_node()
    if node.npm is None:
        raise InstallError(f"there is no npm beside {node.binary}: run this with `uv run python ...`")
    where.mkdir(parents=True, exist_ok=True)
    if where.resolve() != HERE:
        shutil.copyfile(PINS, where / PINS.name)
    # No lock file, as for the clients: it would hold the addresses of an index.
    arguments = ["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    environment = {**os.environ, "PATH": os.pathsep.join([str(node.binary.parent), os.environ.get("PATH", os.defpath)])}
    try:
        done = subprocess.run(
            [str(node.binary), str(node.npm), *arguments], cwd=where, env=environment, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, stdout=sys.stderr,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InstallError(f"npm didn't end within {SECONDS} s; try again") from None
    if done.returncode != 0:
        raise InstallError(f"npm ended with status {done.returncode}; see above")
    if wrong := lacking(where):
        raise InstallError(wrong)


def main(argv: Sequence[str] | None = None) -> int:
    """Install, and say where; exit status 1 if that failed."""
    parser = argparse.ArgumentParser(description="Install the authorization server that tests get tokens from.")
    parser.add_argument("directory", nargs="?", type=Path, default=folder(), help="where node_modules goes")
    directory: Path = parser.parse_args(argv).directory
    try:
        install(directory)
    except InstallError as error:
        sys.stderr.write(f"install.py: {error}\n")
        return 1
    sys.stdout.write(f"in {directory}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
