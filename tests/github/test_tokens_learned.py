"""Tokens that the server comes to hold while it runs are masked by value in whatever GitHub says back, also in success."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gatelodge_github.credentials import AppCredential
from gatelodge_github.server import build
from gatelodge_github.settings import GithubSettings
from mcp import Client

from tests.auth.served import BearerWire
from tests.github.credential_support import key, private_file
from tests.github.loopback import Answer, Request, as_json
from tests.github.proxy import Proxy, proxying
from tests.github.support import text_of
from tests.github.test_tokens import LEGACY, Kept, files_under, leaks
from tests.support.wire import MODERN, StdioWire, python_module

REPO = "alice/echo"
NEWER = LEGACY[::-1]


@pytest.fixture
def echo() -> Generator[Proxy]:
    """A GitHub in which an issue repeats the token that it was asked with."""

    def repeated(request: Request) -> Answer:
        said = f"asked with {request.token}"
        user = {"login": "alice", "type": "User"}
        issue = {"number": 1, "state": "open", "title": said, "body": said, "user": user, "author_association": "OWNER"}
        return as_json(issue, X_Said=request.token)

    about = {"full_name": REPO, "private": False, "visibility": "public", "default_branch": "main"}
    with proxying(None) as made:
        made.serve("GET", f"/repos/{REPO}", lambda request: as_json(about))
        made.serve("GET", f"/repos/{REPO}/issues/1", repeated)
        made.serve("GET", f"/repos/{REPO}/collaborators/alice/permission", lambda request: as_json({}))
        made.serve("GET", "/user", lambda request: as_json({"login": request.token, "type": "User"}))
        yield made


def test_a_token_that_was_put_into_its_file_later_is_in_no_answer_log_or_journal(echo: Proxy, tmp_path: Path) -> None:
    path = private_file(tmp_path / "token", LEGACY)
    state = tmp_path / "state"
    arguments = ["--state-dir", str(state), "--api-url", echo.url, "--repo", REPO, "--token-file", path,
                 "--log-level", "debug"]  # fmt: skip
    server = Kept(python_module("gatelodge_github", *arguments))
    try:
        wire = StdioWire(server, MODERN)
        assert "asked with [redacted: " in wire.text("get_issue", number=1)
        private_file(Path(path), NEWER)
        assert "asked with [redacted: " in wire.text("get_issue", number=1)
        wire.text("get_me")
        wire.error("get_issue", number=2)
    finally:
        server.end()
    assert {request.token for request in echo.requests} == {LEGACY, NEWER}
    places = {"stdout": b"".join(server.lines), "stderr": server.stderr().encode(), **files_under(state)}
    # The cache keeps what GitHub said, for its owner alone.
    places = {name: data for name, data in places.items() if "github.sqlite" not in name}
    for secret in (LEGACY, NEWER):
        assert leaks(secret, places) == []


@pytest.mark.anyio
async def test_an_apps_token_of_any_shape_is_masked_and_so_is_its_successor(echo: Proxy, tmp_path: Path) -> None:
    made: list[str] = []

    def exchange(jwt: str, installation: int, seconds: float) -> dict[str, str]:
        made.append((LEGACY, NEWER)[len(made)])
        return {"token": made[-1], "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}

    credential = AppCredential("12345", 100, key())
    settings = GithubSettings.model_validate({"state_dir": str(tmp_path), "api_url": echo.url, "repo": REPO})
    lodge = build(settings, credential)
    credential.bind(exchange)
    assert lodge.life is not None
    async with lodge.life(), Client(lodge.mcp, cache=None) as client:
        for at in range(2):
            text = text_of(await client.call_tool("get_issue", {"number": 1}))
            assert "asked with [redacted: " in text
            assert len(made) == at + 1
            credential.refused(made[-1])


def test_over_http_each_key_has_its_account_and_sees_no_token_at_all(echo: Proxy, tmp_path: Path) -> None:
    state = tmp_path / "state"
    settings = tmp_path / "gatelodge.toml"
    accounts = {"ci": LEGACY, "nightly": NEWER}
    settings.write_text(
        "".join(
            f'[github.accounts."key:{name}"]\ntoken_file = {json.dumps(private_file(tmp_path / name, held))}\n'
            for name, held in accounts.items()
        )
    )
    keys = dict[str, str]()
    for name in (*accounts, "stranger"):
        made = subprocess.run(
            [*python_module("gatelodge_core.cli.__main__"), "keys", "add", "--name", name, "--scope", "github:read",
             "--keys-file", str(state / "keys.json")],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        keys[name] = made.stdout.split()[-1]
    arguments = ["--state-dir", str(state), "--api-url", echo.url, "--repo", REPO, "--config", str(settings),
                 "--auth", "keys", "--http", "127.0.0.1:0", "--log-level", "debug"]  # fmt: skip
    # What the starter's own environment holds is lent to nobody.
    server = Kept(python_module("gatelodge_github", *arguments), {"GITHUB_TOKEN": "f" * 40})
    said: list[str] = []
    try:
        url = server.wait_for_stderr(r"listening on (http://\S+)").group(1)
        for name in (*accounts, "stranger"):
            wire = BearerWire(url, MODERN, keys[name])
            wire.open()
            if name in accounts:
                said += [wire.text("get_issue", number=1), wire.text("get_me")]
                assert "asked with [redacted: " in said[-2]
            else:
                assert "no_credential" in wire.error("get_issue", number=1)
    finally:
        server.signal(signal.SIGTERM)
        server.end()
    assert {request.token for request in echo.requests} == {LEGACY, NEWER}
    places = {"said": "\n".join(said).encode(), "stderr": server.stderr().encode(), **files_under(state)}
    places = {name: data for name, data in places.items() if "github.sqlite" not in name}
    for secret in (LEGACY, NEWER, "f" * 40):
        assert leaks(secret, places) == []
