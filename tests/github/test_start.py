"""What is loaded when the server has started and nobody has called it: no client library, whatever the credential."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.github.credential_support import key, private_file, token

_STARTED = """
import json, sys
from gatelodge_github.server import build
from gatelodge_github.settings import GithubSettings
build(GithubSettings.load(json.loads(sys.argv[1])))
print(json.dumps(sorted(sys.modules)))
"""
HEAVY = {"github", "requests", "urllib3", "jwt", "nacl", "keyring"}


@pytest.mark.parametrize("app", [False, True])
def test_no_client_library_is_loaded_before_the_first_request(tmp_path: Path, app: bool) -> None:
    held = (
        ["--app-id", "12345", "--app-installation-id", "100", "--app-key-file", private_file(tmp_path / "key", key())]
        if app
        else ["--token-file", private_file(tmp_path / "token", token())]
    )
    arguments = ["--state-dir", str(tmp_path / "state"), "--toolsets", "all", *held]
    ran = subprocess.run(
        [sys.executable, "-c", _STARTED, json.dumps(arguments)], capture_output=True, text=True, timeout=120, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert "gatelodge_github" in loaded
    # An App's key is read, and so checked, before confinement.
    assert loaded & HEAVY == ({"jwt"} if app else set[str]())
