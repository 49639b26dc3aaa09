"""One script gives everything a new version, and nothing of the old one stays."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from bump import bump, files
from products import ROOT, version


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The files that have the version, in a folder of their own."""
    for path in files(ROOT):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return tmp_path


def test_each_file_has_the_new_version_and_no_dependency_of_others_changes(copied: Path) -> None:
    old = version()
    changed = bump(copied, "7.8.9")
    assert changed == [path for path in files(copied) if old in (ROOT / path.relative_to(copied)).read_text("utf-8")]
    for path in changed:
        was = (ROOT / path.relative_to(copied)).read_text(encoding="utf-8").splitlines()
        now = path.read_text(encoding="utf-8").splitlines()
        assert len(was) == len(now)
        for before, after in zip(was, now, strict=True):
            assert after == before or (old in before and after == before.replace(old, "7.8.9"))
            assert not re.search(rf'gatelodge.*"{re.escape(old)}"|gatelodge.*=={re.escape(old)}', after)
        if path.suffix == ".json":
            assert json.loads(path.read_text(encoding="utf-8"))["info"]["version"] == "7.8.9"


@pytest.mark.parametrize("wrong", ["0.0.1", "next", "v2.0.0", "2.0.0 "])
def test_a_version_that_is_none_or_not_later_is_refused_and_nothing_changes(copied: Path, wrong: str) -> None:
    before = {path: path.read_bytes() for path in files(copied)}
    with pytest.raises(ValueError, match=r"version|later"):
        bump(copied, wrong)
    assert {path: path.read_bytes() for path in files(copied)} == before
