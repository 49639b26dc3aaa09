"""Errors say what is missing, as far as GitHub tells, and never repeat a token that something between us and it echoes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from gatelodge_github.transport.client import without
from gatelodge_github.transport.failures import failure, message_of
from gatelodge_github.transport.request import Raw

from tests.github import faults
from tests.github.bench import hub, refusal, token
from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.loopback import Answer, Request
from tests.github.proxy import Proxy
from tests.github.recordings import find, replaying

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"
FINE = token("f", "github_pat_11AAAAAAA0")


async def error_with(proxy: Proxy, folder: Path, held: str, fault: Any) -> tuple[str, str, str]:
    """Code, message and hint of a read that meets a fault."""
    proxy.fault("GET", HERE, fault)
    async with hub(folder, proxy.url, held) as made:
        error = await refusal(made.desk().api.get(HERE))
    return error.code, error.message, error.hint


@pytest.mark.parametrize("status", [403, 404])
async def test_a_classic_token_is_told_its_scopes_and_those_it_needs(
    elsewhere: Proxy, tmp_path: Path, status: int
) -> None:
    fault = faults.refuses(status, "Not Found", X_OAuth_Scopes="public_repo, read:org", X_Accepted_OAuth_Scopes="repo")
    _, _, hint = await error_with(elsewhere, tmp_path, token(), fault)
    assert hint == "The token has the scopes public_repo, read:org; this needs one of repo."
    fault = faults.refuses(status, "Not Found", X_OAuth_Scopes="", X_Accepted_OAuth_Scopes="repo, gist")
    _, _, hint = await error_with(elsewhere, tmp_path, token(), fault)
    assert hint == "The token has the scopes none; this needs one of repo, gist."


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("issues=write", "issues: write"),
        ("pull_requests=write,contents=read", "pull_requests: write and contents: read"),
        ("pull_requests=write; issues=write", "pull_requests: write or issues: write"),
        ("a=read, b=write;c=read;", "a: read and b: write or c: read"),
    ],
)
async def test_a_fine_grained_token_is_told_the_permission_it_lacks(
    elsewhere: Proxy, tmp_path: Path, told: str, said: str
) -> None:
    code, message, hint = await error_with(elsewhere, tmp_path, FINE, faults.lacks_permission(told))
    assert code == "forbidden"
    assert message.endswith("GitHub says: Resource not accessible by personal access token")
    assert hint == f"The token needs the permission {said}, for this repository."


async def test_single_sign_on_is_told_with_the_page_for_the_person(elsewhere: Proxy, tmp_path: Path) -> None:
    page = "https://github.com/orgs/acme/sso?authorization_request=A4"
    fault = faults.refuses(
        403, "Resource protected by organization SAML enforcement.", X_GitHub_SSO=f"required; url={page}"
    )
    code, _, hint = await error_with(elsewhere, tmp_path, token(), fault)
    assert (code, hint) == ("sso_required", f"The person opens {page} once.")
    for odd in ("partial-results; organizations=1,2", "required; url=javascript:alert(1)", "required"):
        code, _, hint = await error_with(elsewhere, tmp_path, token(), faults.refuses(403, "x", X_GitHub_SSO=odd))
        assert code == "forbidden"
        assert "javascript" not in hint


async def test_an_outsider_learns_nothing_of_a_private_repository(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    async with hub(tmp_path, proxy.url, github.tokens["mallory"]) as made:
        private = await refusal(made.open(PRIVATE))
        absent = await refusal(made.open("alice/never-was"))
    assert str(private) == str(absent)
    assert private.code == "not_found"


async def test_without_a_credential_the_hint_is_to_have_one(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    async with hub(tmp_path, proxy.url) as made:
        # The emulator says 401.
        proxy.fault("GET", f"/repos/{PRIVATE}", faults.refuses(404, "Not Found"))
        hidden = await refusal(made.open(PRIVATE))
        proxy.fault("GET", HERE, faults.refuses(403, "x"))
        refused = await refusal(made.open(PUBLIC))
        proxy.fault("GET", HERE, faults.refuses(401, "Requires authentication"))
        unknown = await refusal(made.open(PUBLIC))
    assert hidden.hint == refused.hint == "There is no credential: private repositories and changes need one."
    assert "GITHUB_TOKEN" in unknown.hint


REFUSALS: list[tuple[int, dict[str, Any], str, str]] = [
        (400, {"message": "Problems parsing JSON"}, "invalid", "Problems parsing JSON"),
        (405, {"message": "Pull Request is not mergeable"}, "conflict", "not mergeable"),
        (406, {"message": "Sorry, the diff exceeded the maximum number of lines"}, "too_large", "exceeded"),
        (409, {"message": "is at abc but expected def"}, "conflict", "expected def"),
        (410, {"message": "Issues are disabled for this repo"}, "not_found", "Issues are disabled"),
        (415, {}, "refused", "status 415"),
        (422, {"message": "Validation Failed", "errors": [{"resource": "Issue", "field": "title", "code": "missing_field"}]}, "invalid", "Validation Failed; Issue title missing_field"),
        (422, {"message": "x", "errors": ["a", {"message": "No commits between main and main"}, 7, None, []]}, "invalid", "No commits between"),
        (422, {"message": "x", "errors": "odd"}, "invalid", "x"),
        (422, {"message": "Validation Failed", "errors": [{"code": "too_large"}]}, "too_large", "too_large"),
        (451, {"message": "Repository access blocked"}, "unavailable", "blocked"),
        (500, {}, "github_failed", "status 500"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code", "part"), REFUSALS)
async def test_each_refusal_has_its_code_and_githubs_own_words(
    elsewhere: Proxy, tmp_path: Path, status: int, body: dict[str, Any], code: str, part: str
) -> None:
    elsewhere.serve("GET", HERE, lambda request: Answer(status, json.dumps(body).encode()))
    async with hub(tmp_path, elsewhere.url, token()) as made:
        error = await refusal(made.desk().api.get(HERE))
    assert error.code == code
    assert part in error.message
    assert len(error.message) < 600
    assert "\n" not in str(error)


async def test_what_github_really_said_becomes_an_error_each_time(recordings: None, tmp_path: Path) -> None:
    """All recorded refusals of reads."""
    seen: set[str] = set()
    for status in (403, 404, 422):
        for one in find(r"/.*", status, "GET")[:25]:
            with replaying([one]) as replay:
                async with hub(tmp_path, replay.url, token(), cache_mb=0) as made:
                    path, _, query = one.request.target.partition("?")
                    if any(char in path for char in "[] "):
                        continue
                    params = {name: values[0] for name, values in Request("GET", f"?{query}").query.items()}
                    error = await refusal(made.desk().api.get(path, params))
            seen.add(error.code)
            assert error.message
            assert error.hint or error.code == "unavailable"
    assert {"not_found"} <= seen <= {"not_found", "forbidden", "rate_limited", "invalid", "sso_required", "too_large"}


@pytest.mark.parametrize("body", [None, list[str](), "x", {"message": None}, {"message": ["a"]}, {"errors": [[["x"]]]}, {"message": "a" * 9999}])  # fmt: skip
def test_a_refusal_of_any_shape_is_an_error_of_bounded_length(body: object) -> None:
    assert len(message_of(body)) <= 400
    assert len(str(failure(422, {}, body, "classic"))) < 600


# --- echoes

ODD = 'o"d\\t%ken' + "x" * 20
LEGACY = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize("held", [token(), FINE, LEGACY, ODD])
@pytest.mark.parametrize("kind", ["json", "escaped", "text", "html", "errors", "header"])
async def test_a_token_that_comes_back_in_an_error_is_taken_out(
    elsewhere: Proxy, tmp_path: Path, held: str, kind: str
) -> None:
    escaped = "".join(f"\\u{ord(char):04x}" for char in held)

    def echo(request: Request) -> Answer:
        said = request.token
        assert said == held
        bodies = {
            "json": json.dumps({"message": f"bad token {said}!"}),
            "escaped": '{"message": "bad token ' + escaped + '!"}',
            "text": f"bad token {said}!",
            "html": f"<html>{said}</html>",
            "errors": json.dumps({"message": "x", "errors": [{"field": said, "code": said}, f"a{said}b"]}),
            "header": json.dumps({"message": "x"}),
        }
        more = {"X-GitHub-SSO": f"required; url=https://x/{said}", "X-Accepted-GitHub-Permissions": said}
        return Answer(403, bodies[kind].encode(), more if kind == "header" else {})

    elsewhere.serve("GET", "/x", echo)
    elsewhere.serve("POST", "/x", echo)
    async with hub(tmp_path, elsewhere.url, held) as made:
        for asked in (made.desk().api.get("/x"), made.desk().api.write("POST", "/x", {}, check="x")):
            told = str(await refusal(asked))
            assert held not in told
            assert json.dumps(held)[1:-1] not in told
            assert "[token]" in told or kind in ("text", "html", "header")


def test_an_answer_keeps_its_sense_without_the_token() -> None:
    body = {"message": "é \ud83d", "n": 1.5, "list": [None, True]}
    raw = Raw(422, {"a": "b"}, json.dumps(body).encode())
    assert without(raw, token()).json() == body
    assert without(raw, "") is raw
    assert without(Raw(500, {}, b""), token()).body == b""
    assert without(Raw(500, {}, b"[" * 200_000), token()).body == b"[" * 200_000
    assert base64.b64encode(token().encode()) not in without(raw, token()).body
