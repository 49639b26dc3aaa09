"""Pages that attack their reader, and addresses it must not reach: the real server, in a network of loopback alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.sandbox.egress import Fetched
from gatelodge_websearch.charset import decode
from gatelodge_websearch.html.extract import extract
from gatelodge_websearch.reader import read
from httpx2 import Headers

from tests.sandbox.egress.corpus import REFUSED
from tests.sandbox.egress.site import OTHER, PUBLIC
from tests.sandbox.egress.test_namespace import in_a_namespace
from tests.websearch.hostile_site import CANARY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are no network namespaces")
OURS = ("bad_url", "secret_in_request", "invalid_arguments")
"""Codes of a URL that isn't looked at further."""
GROWTH_MB = 50


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    done = in_a_namespace(sys.executable, "-m", "tests.websearch.in_namespace", str(folder), seconds=240)
    if done is None:
        pytest.skip("network namespaces are not permitted here")
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


@pytest.mark.timeout(300)
def test_every_hostile_answer_is_read_or_refused_with_its_reason(record: dict[str, Any]) -> None:
    wrong = {
        name: text[:200]
        for name, text in record["found"].items()
        if not text.startswith(f"{record['errors'][name]}: " if name in record["errors"] else "ok <untrusted-")
    }
    assert wrong == {}
    assert len(record["found"]) >= 45
    assert "Foxes eat berries" in record["found"]["fine again"]


def test_no_hostile_answer_takes_much_memory(record: dict[str, Any]) -> None:
    assert {name: size for name, size in record["peaks"].items() if size > GROWTH_MB} == {}


def test_the_confined_server_reads_pdf_files(record: dict[str, Any]) -> None:
    assert "Foxes jump over dogs." in record["found"]["pdf"]


def test_every_internal_address_of_the_corpus_is_refused(record: dict[str, Any]) -> None:
    assert len(REFUSED) >= 100
    wrong = {
        url: record["refused"][url] for url, code in REFUSED if not record["refused"][url].startswith((code, *OURS))
    }
    assert wrong == {}


def test_every_redirect_inside_is_refused(record: dict[str, Any]) -> None:
    wrong = {
        url: text
        for url, text in record["redirected"].items()
        if not text.startswith(("blocked_address: ", "bad_url: ", "bad_port: "))
    }
    assert wrong == {}


def test_only_public_addresses_were_reached_and_nothing_from_inside_was_shown(record: dict[str, Any]) -> None:
    assert record["reached"] == [[OTHER, 80], [PUBLIC, 80]]
    assert CANARY not in json.dumps({name: record[name] for name in ("refused", "redirected")})


def test_a_name_that_changes_its_answer_leads_nowhere_else(record: dict[str, Any]) -> None:
    # The kept connection may serve both reads; a new one would be judged anew, and refused.
    assert all(text.startswith(("ok <untrusted-", "blocked_address")) for text in record["rebound"])


@pytest.mark.parametrize("unit", ["é", "日", "\U0001f98a"])
def test_a_text_that_was_cut_inside_a_character_keeps_its_charset(unit: str) -> None:
    data = (unit * 100).encode()[:-1]
    assert decode(data) == (unit * 99, "utf-8")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "page",
    [
        "<ol>" + "<li>a</li>" * 60_000,
        "<p>" + "](" * 400_000,
        "<table>" + "<tr>" + "<td>x</td>" * 4000 + "</tr>" + "<tr><td>x</td></tr>" * 4000,
        "<style>"
        + "".join(f".c{n}{{display:none}}" for n in range(4000))
        + "</style>"
        + "<p class='a b'>x</p>" * 40_000,
        "<style>" + "a{" * 200_000 + "</style>x",
        "<style>" + "a{" * 100_000 + "b{}" * 100_000 + "</style>x",
        "<style>"
        + "".join(f"a{n} b p{{display:none}}" for n in range(50))
        + "</style>"
        + "<div>" * 150
        + "<p>x</p>" * 140_000,
        "<style>"
        + "".join(f".a .b{n} p{{display:none}}" for n in range(50))
        + "</style><div class='a'>"
        + f"<div class='{'b ' * 900}'>" * 100
        + "<i><p>x</p></i>" * 50_000,
        "<p style='" + "height:0;overflow:" * 50_000 + "'>x",
        "<p " + "".join(f"a{n}=1 " for n in range(120_000)) + ">x",
        "<p>" + "<script></script>some text behind it" * 100_000,
        "<p hidden>x</p>some text behind it" * 100_000,
        "<!--" * 200_000,
        "<script>" * 100_000,
    ],
)
def test_the_time_for_a_page_is_in_line_with_its_size(page: str) -> None:
    # The square of its length would be minutes; the limit is the test's own.
    assert len(extract(page, "http://a.example.net/").markdown) < 4_000_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["`" * 1_150_000, "`a``" * 280_000, "```\n" * 280_000], ids=range(3))
def test_a_text_of_ticks_is_fenced_by_more_of_them_in_time_with_its_size(text: str) -> None:
    found = Fetched(200, "http://a.example.net/", Headers({"Content-Type": "application/json"}), text.encode())
    written = read(found.url, found, "application/json", include_hidden=False).markdown
    fence = written.partition("json\n")[0]
    assert set(fence) == {"`"}
    assert fence not in text
    assert written == f"{fence}json\n{text}\n{fence}"
