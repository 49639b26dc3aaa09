"""Give all distributions a new version: ``python scripts/bump.py 0.2.0``.

It changes each ``pyproject.toml`` (its own version, and the exact pins between members), the surface files and the images'
tags, then writes what is made from them: ``server.json``, ``manifest.json``. The version is checked, and must be a later one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]


def files(root: Path) -> list[Path]:
    """All files in which the version is written by hand or by another tool."""
    projects = [root / "pyproject.toml", root / "shared/pyproject.toml", *sorted(root.glob("servers/*/pyproject.toml"))]
    images = [root / "docker/Dockerfile", root / "docker/compose.yaml", root / "docker/.env.example"]
    images += sorted(root.glob("docker/kubernetes/*/kustomization.yaml"))
    return [*projects, *sorted(root.glob("servers/*/src/*/surface.json")), *(path for path in images if path.exists())]


def bumped(text: str, old: str, new: str) -> str:
    """A file's text with the new version: its own, and the pins of members; nobody else's."""
    old = re.escape(old)
    text = re.sub(rf'^version = "{old}"$', f'version = "{new}"', text, flags=re.MULTILINE)
    text = re.sub(rf'(\$\{{TAG:-|TAG=|newTag: |image\.version="){old}(?=[}}"\s]|$)', rf"\g<1>{new}", text)
    text = re.sub(rf'(gatelodge[a-z-]*(?:\[[a-z,]+\])?)=={old}"', rf'\g<1>=={new}"', text)
    return re.sub(rf'("name": ?"gatelodge-[a-z]+",\s*"title": ?"[^"]*",\s*"version": ?)"{old}"', rf'\g<1>"{new}"', text)


def bump(root: Path, new: str) -> list[Path]:
    """Write the new version everywhere below `root`; the files that changed.

    Raises:
        ValueError: It is no version, or no later one.
    """
    found = re.search(r'^version = "([^"]+)"$', (root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError("pyproject.toml has no version")
    try:
        later = Version(new) > Version(found[1])
    except InvalidVersion:
        raise ValueError(f"{new!r} is no version: write one like 1.2.3") from None
    if not later or str(Version(new)) != new:
        raise ValueError(f"{new} must be later than {found[1]}, and written as {Version(new)}")
    changed: list[Path] = []
    for path in files(root):
        text = path.read_text(encoding="utf-8")
        made = bumped(text, found[1], new)
        if made != text:
            path.write_text(made, encoding="utf-8")
            changed.append(path)
    return changed


def main(arguments: list[str]) -> int:
    """Bump, and write what follows; exit status 1 if that failed."""
    try:
        (new,) = arguments
        changed = bump(ROOT, new)
    except ValueError as error:
        sys.stderr.write(f"bump.py: {error}\n")
        return 1
    sys.stdout.write("".join(f"{path.relative_to(ROOT)}\n" for path in changed))
    return subprocess.run([sys.executable, str(ROOT / "scripts/generate_docs.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
