"""No guard is an assertion: with `python -O` all of them hold, and the server doesn't start at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.github import faults
from tests.github.bench import token
from tests.github.credential_support import private_file
from tests.github.loopback import as_json
from tests.github.proxy import Proxy, proxying


@pytest.mark.parametrize("flag", ["-O", ""])
def test_without_assertions_every_guard_holds(elsewhere: Proxy, tmp_path: Path, flag: str) -> None:
    with proxying(None) as github:
        for status in (301, 302, 307, 308):
            github.fault("GET", f"/(repos/o/r|bare)/{status}", faults.moved(f"{elsewhere.url}/repos/o/x", status))
        github.fault("GET", "/repos/o/moved", faults.moved(f"{elsewhere.url}/repositories/1"))
        github.serve("GET", "/repos/o/r", lambda request: as_json({"full_name": "o/r"}))
        held = private_file(tmp_path / "token", token())
        command = [sys.executable, *([flag] if flag else []), "-m", "tests.github.optimized", github.url, elsewhere.url]
        done = subprocess.run([*command, str(tmp_path / "state"), held], capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, str] = json.loads(done.stdout)
        assert found.pop("optimized") == ("1" if flag else "0")
        start = found.pop("start")
        assert start == "start Python without -O: it takes checks out of the client library" if flag else "started"
        alone = found.pop("pygithub alone")
        foreign = ("redirect 301", "redirect 302", "redirect 307", "redirect 308", "facts", "download", "feed")
        assert found == {
            **dict.fromkeys(foreign, "foreign_url"),
            "traversal": "foreign_url",
            "query": "bad_path",
            "another": "repo_not_allowed",
            "absolute": "bad_path",
            "mutation as a query": "read_only",
            "read-only write": "read_only",
            "ordinary": "done",
            "hosts": "refused",
        }
        assert [one.method for one in github.requests if one.method != "GET"] == []
        # PyGithub alone goes there once its assertions are gone, and takes the token along.
        assert alone == ("done" if flag else "AssertionError")
        assert [one.token for one in elsewhere.requests] == ([token()] if flag else [])


def test_the_command_does_not_start_without_assertions(tmp_path: Path) -> None:
    command = [sys.executable, "-O", "-m", "gatelodge_github", "--state-dir", str(tmp_path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "start Python without -O" in done.stderr
    assert done.stdout == ""
