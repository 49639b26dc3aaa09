"""The hashed requirements of one server: those lines of requirements.lock that needs.toml names for it.

python requirements.py SERVER requirements.lock needs.toml > SERVER.lock

``common`` instead of a server gives what all of them need, so that images share a layer.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def chosen(server: str, lock: str, needs: dict[str, list[str]]) -> str:
    """The part of a lock that a server needs.

    Args:
        server: Its name, or ``common``.
        lock: The lock's text, in the form of pip's requirements with hashes.
        needs: Names of distributions, by server.

    Raises:
        ValueError: The lock lacks one of them.
    """
    entries: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in lock.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            lines = entries.setdefault(line.partition("==")[0].strip().lower(), [])
        lines.append(line)
    wanted = needs[server]
    if missing := [name for name in wanted if name not in entries]:
        raise ValueError(f"requirements.lock has no {', '.join(missing)}")
    return "".join(f"{line}\n" for name in wanted for line in entries[name])


if __name__ == "__main__":
    _, server, lock, needs = sys.argv
    sys.stdout.write(chosen(server, Path(lock).read_text("utf-8"), tomllib.loads(Path(needs).read_text("utf-8"))))
