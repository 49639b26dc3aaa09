"""Write docker/needs.toml, the distributions that each server's image needs, or check that it is up to date.

    python scripts/container_needs.py            write
    python scripts/container_needs.py --check    exit with 1 if it is stale

It follows our pyproject.toml files, then the metadata of what is installed here, as Python 3.13 on Linux would.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
NEEDS = ROOT / "docker" / "needs.toml"
SERVERS = {
    "filesystem": "gatelodge-filesystem[media,ripgrep]",
    "postgres": "gatelodge-postgres",
    "github": "gatelodge-github",
    "websearch": "gatelodge-websearch[pdf]",
}
"""What an image installs, by server; each has the shared store besides."""
STORE = "gatelodge-core[store]"
_IMAGE = {"python_version": "3.13", "python_full_version": "3.13.5", "sys_platform": "linux", "os_name": "posix", "platform_system": "Linux", "implementation_name": "cpython"}  # fmt: skip


def closure(*roots: str) -> set[str]:
    """Names of all distributions that some requirements lead to, without our own.

    Raises:
        PackageNotFoundError: One isn't installed here, so what it needs can't be known.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(root) for root in roots]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in _requires(name, extra):
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({**_IMAGE, "extra": extra}):
                    waiting.append(needed)
        if not name.startswith("gatelodge"):
            found.add(name)
    return found


def _requires(name: str, extra: str) -> list[str]:
    """What a distribution asks for; ours as it is written now, whatever is installed."""
    if not name.startswith("gatelodge-"):
        return requires(name) or []
    folder = name.removeprefix("gatelodge-")
    file = ROOT / ("shared" if folder == "core" else f"servers/{folder}") / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    return project["optional-dependencies"][extra] if extra else project["dependencies"]


def written() -> str:
    """The file's text."""
    needs = {server: closure(root, STORE) for server, root in SERVERS.items()}
    common = set[str].intersection(*needs.values())
    tables = {"common": common, **{server: names - common for server, names in needs.items()}}
    text = "# Written by scripts/container_needs.py: what each image installs from requirements.lock.\n"
    for table, names in tables.items():
        text += f"{table} = [\n" + "".join(f'    "{name}",\n' for name in sorted(names)) + "]\n"
    return text


def main(arguments: list[str]) -> int:
    """Write or check; the exit status."""
    try:
        made = written()
    except PackageNotFoundError as error:
        sys.stderr.write(f"{error.name} isn't installed; run `uv sync` first\n")
        return 1
    stale = not NEEDS.exists() or NEEDS.read_text(encoding="utf-8") != made
    if stale and "--check" in arguments:
        sys.stderr.write("docker/needs.toml is stale; run `python scripts/container_needs.py`\n")
        return 1
    NEEDS.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
