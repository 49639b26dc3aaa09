"""A root, a secret beside it, and both ways of pinning."""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gatelodge_core.sandbox._opener import KernelOpener, Opener, WalkOpener
from gatelodge_core.sandbox._syscalls import openat2_works
from gatelodge_core.sandbox.jail import Jail

CANARY = b"canary-outside-the-root"
INSIDE = b"inside"


def openers() -> list[Opener]:
    return [KernelOpener(), WalkOpener()] if openat2_works() else [WalkOpener()]


@dataclass(frozen=True)
class Grounds:
    """A root and what lies beside it."""

    root: Path
    outside: Path
    jail: Jail

    def read(self, rel: str) -> bytes:
        fd = self.jail.open_file(rel)
        with os.fdopen(fd, "rb") as source:
            return source.read()


def lay_out(base: Path) -> tuple[Path, Path]:
    root, outside = base / "root", base / "outside"
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "a" / "file").write_bytes(INSIDE)
    (root / "a" / "b" / "c" / "deep").write_bytes(INSIDE)
    outside.mkdir()
    (outside / "secret").write_bytes(CANARY)
    (base / "root-sibling").mkdir()
    (base / "root-sibling" / "secret").write_bytes(CANARY)
    return root, outside


@pytest.fixture(params=openers(), ids=lambda opener: opener.level)
def grounds(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Grounds]:
    root, outside = lay_out(tmp_path)
    with Jail.pin(str(root), writable=True, opener=request.param) as jail:
        yield Grounds(root, outside, jail)
