"""The allow-list: what is outside is never asked for, however it is named, and is left out where it comes back by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.errors import CallError
from gatelodge_github import cursors
from gatelodge_github.gate import Gate, Writing
from gatelodge_github.names import REPO
from gatelodge_github.server import OFFERED
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.github.behind import before
from tests.github.emulator import PRIVATE, PUBLIC, SITE, WIDGET, Emulator
from tests.github.furnishing import SECRET_LINE, furnish
from tests.github.loopback import Answer
from tests.github.proxy import Proxy
from tests.github.questions import OUTSIDE
from tests.github.support import server


@pytest.fixture(scope="module")
def bed(emulator: Emulator) -> Generator[Proxy]:
    emulator.reset()
    furnish(emulator)
    with before(emulator) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("globs", "inside", "outside"),
    [
        ([], ["a/b", "A/b.c"], []),
        (["acme/widget"], ["acme/widget", "ACME/Widget"], ["acme/widget2", "acme/widge", "xacme/widget", "acme/x"]),
        (["Acme/*"], ["acme/a", "ACME/b.c", "acme/.github"], ["acme2/a", "ac/me"]),
        (["*/docs"], ["a/docs", "b/DOCS"], ["a/docs2", "docs/a"]),
        (["acme/{one,two}-*"], ["acme/one-x", "acme/TWO-"], ["acme/three-x", "acme/one"]),
        (["acme/[a-c]*"], ["acme/b", "acme/C1"], ["acme/d"]),
        (["acme/[!a]*"], ["acme/b"], ["acme/a", "acme/A"]),
        (["acme/**"], ["acme/x"], ["other/x"]),
        (["**/widget"], ["acme/widget"], ["acme/widgets"]),
        (["acme/widget", "acme/site"], ["acme/site"], ["acme/other"]),
    ],
)
def test_globs_match_names_in_any_letter_case_and_nothing_beside(
    globs: list[str], inside: list[str], outside: list[str]
) -> None:
    gate = Gate(globs, globs, "")
    assert [name for name in [*inside, *outside] if gate.reads(name)] == inside
    assert [name for name in inside if globs and gate.writes(name) is not Writing.YES] == []
    assert [name for name in outside if gate.writes(name) is not Writing.NO] == []


@pytest.mark.parametrize(
    "name",
    [
        "acme", "acme/", "/widget", "acme//widget", "acme/widget/", "acme/widget/x", "acme/..", "../acme", "acme/.",
        "acme%2fwidget", "acme/%2e%2e", "acme/widget%00", "acme/wid\nget", "acme/wid get", "acme/widget?x=1",
        "acme/widget#x", "acme\\widget", "https://github.com/acme/widget", "acme/wídget", "acme/widget\u200b",
        "@acme/widget", "acme:x/widget", "-/x", "_acme/x", "acme/" + "x" * 101, "a" * 101 + "/x", "\uff41cme/widget", ".a/b",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_with_an_example(name: str) -> None:
    gate = Gate([], [], "")
    assert not gate.reads(name)
    assert gate.writes(name) is Writing.NO
    with pytest.raises(CallError) as caught:
        gate.name(name)
    assert caught.value.code == "bad_repo"
    assert "octocat/hello-world" in str(caught.value)


def test_spaces_around_a_name_are_no_part_of_it_and_no_name_at_all_is_the_default() -> None:
    gate = Gate([], [], "acme/widget")
    assert gate.name(" acme/site ") == "acme/site"
    assert gate.name("") == gate.name("  ") == "acme/widget"
    with pytest.raises(CallError, match=r"no_repo.*Give repo"):
        Gate([], [], "").name("")


def test_a_default_outside_the_list_is_outside() -> None:
    gate = Gate(["acme/*"], [], "alice/public-repo")
    with pytest.raises(CallError, match=r"repo_not_allowed.*acme/\*"):
        gate.name("")
    assert gate.writes("alice/public-repo") is Writing.NO


@pytest.mark.parametrize(
    ("write", "default", "writes"),
    [
        ([], "", {"acme/widget": "ask", "acme/site": "ask"}),
        ([], "Acme/Widget", {"acme/widget": "yes", "ACME/WIDGET": "yes", "acme/site": "ask"}),
        (["acme/site"], "acme/widget", {"acme/widget": "no", "acme/site": "yes"}),
        (["*/*"], "", {"acme/widget": "yes"}),
        # What may not be read may not be written.
        (["*/*"], "", {"other/x": "no"}),
        ([], "other/x", {"other/x": "no"}),
    ],
)
def test_the_default_is_written_unasked_and_others_as_they_are_named(
    write: list[str], default: str, writes: dict[str, str]
) -> None:
    gate = Gate(["acme/*"], write, default)
    assert {name: str(gate.writes(name)) for name in writes} == writes
    for name, verdict in writes.items():
        if verdict == "no":
            with pytest.raises(CallError, match=r"repo_not_writable.*nothing was done"):
                gate.check_write(name)
        else:
            gate.check_write(name)


@pytest.mark.parametrize(
    ("globs", "qualifiers"),
    [
        ([], []),
        (["acme/widget", "bob/x"], ["repo:acme/widget", "repo:bob/x"]),
        (["acme/*"], ["user:acme"]),
        (["acme/w*", "acme/x?"], ["user:acme"]),
        (["acme/*", "*/x"], []),
        (["{a,b}/x"], []),
        (["[ab]/x"], []),
    ],
)
def test_a_search_is_narrowed_as_far_as_githubs_language_can(globs: list[str], qualifiers: list[str]) -> None:
    assert Gate(globs, [], "").qualifiers() == qualifiers


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.from_regex(REPO, fullmatch=True))
def test_no_text_gets_past_the_list_unless_it_is_a_plain_name_that_matches(text: str) -> None:
    gate = Gate(["acme/*"], [], "acme/widget")
    if gate.reads(text):
        assert re.fullmatch(r"(?i)acme/[A-Za-z0-9._-]{1,100}", text, re.ASCII)
        assert text.partition("/")[2] not in (".", "..")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "repo", [PRIVATE, PRIVATE.upper(), "alice/%70rivate-repo", "alice/public-repo/../private-repo"]
)
async def test_no_tool_asks_for_a_repository_outside_the_list(
    bed: Proxy, emulator: Emulator, tmp_path: Path, repo: str
) -> None:
    assert {name for name in OFFERED.tools if "repo" in parameters(name)} == set(OUTSIDE)
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, repos=[PUBLIC, "acme/*"]) as called:
        bed.forget()
        for name, arguments in OUTSIDE.items():
            told = await called.error(name, repo=repo, **arguments)
            assert re.search("repo_not_allowed|bad_repo", told), (name, told)
            assert SECRET_LINE not in told
    assert [request.target for request in bed.requests if "private" in request.target.lower()] == []
    assert bed.writes() == []


def parameters(name: str) -> set[str]:
    return set(OFFERED.tools[name].function.__code__.co_varnames[: OFFERED.tools[name].function.__code__.co_argcount])


@pytest.mark.anyio
async def test_what_may_be_read_may_not_be_written_unless_it_is_named(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC, write_repos=[PUBLIC]) as called:
        bed.forget()
        for name, tool in OFFERED.tools.items():
            if name in OUTSIDE and tool.nature.effect != "read":
                told = await called.error(name, repo=SITE, **OUTSIDE[name])
                assert re.search("repo_not_writable|denied_by_policy", told), (name, told)
        told = await called.error("create_repo", name="new")
        assert "repo_not_writable" in told
    assert bed.writes() == []


def moved_to(location: str) -> Callable[[Any, Any], Answer]:
    return lambda request, _: Answer(301, b"{}", {"Location": location, "Content-Type": "application/json"})


@pytest.mark.anyio
@pytest.mark.parametrize("by", ["name", "number", "answer"])
async def test_a_repository_that_was_renamed_out_of_the_list_is_outside(
    bed: Proxy, emulator: Emulator, tmp_path: Path, by: str
) -> None:
    number = emulator.call("GET", f"/repos/{PRIVATE}")["id"]
    target = {"name": f"/repos/{PRIVATE}", "number": f"/repositories/{number}"}
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repos=["acme/*"]) as called:
        bed.forget()
        if by == "answer":
            # GitHub itself answers under the new name.
            bed.serve("GET", r"/repos/acme/old", lambda request: bed.look(request, f"/repos/{PRIVATE}"))
        else:
            bed.serve("GET", r"/repositories/\d+", lambda request: bed.look(request, f"/repos/{PRIVATE}"))
            bed.fault("GET", r"/repos/acme/old(/.*)?", moved_to(f"{bed.url}{target[by]}"))
        told = await called.error("list_issues", repo="acme/old")
        assert "repo_not_allowed" in told
        assert "private" not in told
        bed.heal()
    assert [one.path for one in bed.requests if one.path.startswith(f"/repos/{PRIVATE}")] == []


@pytest.mark.anyio
async def test_search_shows_nothing_from_outside_whatever_the_query_says(
    bed: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repos=[WIDGET]) as called:
        for query in (
            "vault", f"vault repo:{PRIVATE}", f"vault REPO:{PRIVATE}", "vault user:alice", f'"vault" repo:"{PRIVATE}"',
            f"vault OR repo:{PRIVATE}", f"(vault) repo:{PRIVATE}", f"vault -repo:{WIDGET}", 'vault "', "plan user:alice",
        ):  # fmt: skip
            for kind in ("code", "issues", "commits", "repos"):
                failed, told = await called.call("search_github", query=query, kind=kind)
                assert failed == ("repo_not_allowed" in told), (query, told)
                assert SECRET_LINE not in told
                assert "private plan" not in told.lower()
                assert "shown 0" in told or failed or "acme/widget" in told


def question() -> list[object]:
    return ["list_issues", "alice/public-repo", {"state": "open"}]


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "é", "=", "e30", "W10", "bnVsbA", "W251bGwsbnVsbF0", "A" * 2000, "WyJ4Il0", "\0", "W1tdLCJ4Il0",
        cursors.make({"p": 1}, ["other"]), cursors.make({"p": -1}, question()), cursors.make({"p": True}, question()),
        cursors.make({"p": 10**7}, question()), cursors.make({"o": "1"}, question()), cursors.make({"n": 1.5}, question()),
        cursors.make({"a": 5}, question()), cursors.make({"a": None}, question()), cursors.make({"p": [1]}, question()),
    ],
)  # fmt: skip
def test_a_cursor_that_is_none_or_of_another_question_is_refused(cursor: str) -> None:
    with pytest.raises(CallError, match=r"bad_cursor: That is no cursor.*(leave|Leave)"):
        cursors.read(cursor, question())


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_no_text_crashes_the_reading_of_a_cursor(cursor: str) -> None:
    found = read(cursor)
    assert found == {} if not cursor else found == "bad_cursor"


def read(cursor: str) -> object:
    """The place, or the code of the error."""
    try:
        return cursors.read(cursor, question())
    except CallError as error:
        return error.code


def test_a_cursor_comes_back_as_it_was_made_and_says_nothing_of_the_question() -> None:
    place = {"p": 3, "n": 100, "o": 7, "a": "Y3Vyc29yOnYyOpHOAA=="}
    made = cursors.make(place, question())
    assert cursors.read(made, question()) == place
    assert cursors.read("", question()) == {}
    assert re.fullmatch(r"[\w-]{1,200}", made)


@pytest.mark.anyio
async def test_a_cursor_cannot_make_pages_larger_than_githubs(bed: Proxy, emulator: Emulator, tmp_path: Path) -> None:
    async with server(tmp_path, bed.url, emulator.tokens["alice"], repo=PUBLIC) as called:
        first = await called.record("list_issues", state="all", limit=1)
        bed.forget()
        asked = {
            "state": "all", "labels": "", "assignee": "", "creator": "", "milestone": "", "since": "", "sort": "created"
        }  # fmt: skip
        forged = cursors.make({"p": 1, "n": 5000, "o": 1}, ["list_issues", PUBLIC, asked])
        assert cursors.read(first["cursor"], ["list_issues", PUBLIC, asked])
        assert (await called.record("list_issues", state="all", cursor=forged))["shown"] > 0
    assert [one.query["per_page"] for one in bed.sent("GET", r".*/issues")] == [["100"]]
