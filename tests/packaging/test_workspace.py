"""The workspace holds together: lockstep versions, bounded dependencies, a lock that fits, no index addresses."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = [ROOT / "pyproject.toml", ROOT / "shared/pyproject.toml", *sorted(ROOT.glob("servers/*/pyproject.toml"))]


def load(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def requirements(path: Path) -> list[Requirement]:
    table = load(path)
    texts: list[str] = [*table["project"].get("dependencies", [])]
    for group in table["project"].get("optional-dependencies", {}).values():
        texts += group
    for group in table.get("dependency-groups", {}).values():
        texts += group
    return [Requirement(text) for text in texts]


def members() -> dict[str, str]:
    return {load(path)["project"]["name"]: load(path)["project"]["version"] for path in PROJECTS}


def locked() -> dict[str, Version]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {
        canonicalize_name(name): Version(version)
        for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    }


def test_all_members_have_one_version() -> None:
    assert len(set(members().values())) == 1, members()


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_members_pin_each_other_exactly(path: Path) -> None:
    versions = members()
    for requirement in requirements(path):
        if requirement.name in versions and not requirement.extras:
            assert str(requirement.specifier) == f"=={versions[requirement.name]}", requirement


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_every_dependency_has_an_upper_bound(path: Path) -> None:
    versions = members()
    for requirement in requirements(path):
        if requirement.name not in versions:
            assert {item.operator for item in requirement.specifier} & {"<", "==", "~="}, requirement


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_the_lock_satisfies_the_projects(path: Path) -> None:
    pinned, versions = locked(), members()
    for requirement in requirements(path):
        if requirement.name in versions:
            continue
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{requirement}: run `uv run poe lock`"
        assert requirement.specifier.contains(pinned[name], prereleases=True), f"{requirement}: run `uv run poe lock`"


def test_every_locked_requirement_is_hashed() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in block, block


def test_no_committed_file_names_a_package_index() -> None:
    # Written in pieces, so that this file doesn't either.
    hosts = "|".join(["py" + r"pi\.org", "files.python" + "hosted", "registry.np" + "mjs", "deb.deb" + r"ian\.org"])
    found = subprocess.run(
        ["git", "grep", "-nIlE", hosts], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout == ""


def test_lock_files_with_addresses_are_ignored() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "uv.lock", "tests/clients/package-lock.json"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ignored.stdout.split() == ["uv.lock", "tests/clients/package-lock.json"]


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_every_distribution_has_the_licence_and_the_python_range(path: Path) -> None:
    project = load(path)["project"]
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11,<3.15"
    assert (path.parent / "LICENSE").read_text(encoding="utf-8").strip().startswith("Apache License")


def test_no_dependency_is_under_a_copyleft_licence_we_may_not_use() -> None:
    from importlib.metadata import distribution

    for name in locked():
        try:
            found = distribution(name)
        except ModuleNotFoundError:
            continue  # for another platform or Python
        metadata = found.metadata
        words = " ".join([*(metadata.get_all("License-Expression") or []), *(metadata.get_all("Classifier") or [])])
        # Of a choice of licences one takes the one that fits: "MPL-1.1 OR GPL-2.0-only" is the first of them.
        choices = words.split(" OR ")
        assert not all(re.search(r"\b(A?GPL|GNU (Affero )?General Public License)", words) for words in choices), (
            name,
            words,
        )
