"""Install the authorization server of ``package.json``: ``python tests/auth/install.py [DIR]``; nothing if it is there.

Node.js and npm as for ``tests/clients``. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))

from tests.clients.install import InstallError, npm_install  # noqa: E402 - run as a script, the root isn't on the path

PINS = HERE / "package.json"


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
    npm_install(PINS, where)
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
