"""What leaves in an address, and what one caller keeps from another."""

from __future__ import annotations

import base64
import hashlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.auth.principal import CALLER, Principal
from gatelodge_core.guard.chain import Guard
from gatelodge_websearch.carrying import LOOKS, suspicious
from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.pages import Page
from gatelodge_websearch.store import Shelf, Store
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference

from tests.sandbox.egress.site import Asked, Writer, reply, serving
from tests.websearch.support import Called, server
from tests.websearch.test_strict import Scripted, approve

pytestmark = pytest.mark.anyio

HTML = {"Content-Type": "text/html"}
DIGEST = hashlib.sha256(b"a thing on a page").hexdigest()
CANARY = hashlib.sha256(b"a thing of the person").hexdigest()

ORDINARY = [
    "https://en.wikipedia.org/wiki/Canterbury%E2%80%93York_dispute",
    "https://ru.wikipedia.org/wiki/%D0%9C%D0%BE%D1%81%D0%BA%D0%B2%D0%B0_(%D1%80%D0%B5%D0%BA%D0%B0)",
    "https://zh.wikipedia.org/wiki/%E5%8C%97%E4%BA%AC%E5%B8%82",
    "https://de.wikipedia.org/wiki/Donaudampfschifffahrtsgesellschaft",
    "https://docs.python.org/3/library/concurrent.futures.html?highlight=threadpoolexecutor",
    "https://docs.djangoproject.com/en/5.2/ref/models/querysets/?from=olddocs",
    "https://github.com/python/cpython/blob/v3.13.0rc2/Lib/test/test_asyncio/test_taskgroups.py",
    "https://github.com/psf/requests/commit/0e322af8774",
    "https://stackoverflow.com/questions/11227809/why-is-processing-a-sorted-array-faster-than-processing-an-unsorted-array",
    "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=42s",
    "https://arxiv.org/abs/1706.03762v7",
    "https://doi.org/10.1038/s41586-021-03819-2",
    "https://www.rfc-editor.org/rfc/rfc9110.html#section-15.5.4",
    "https://packages.example.org/project/importlib-metadata/8.5.0/",
    "https://www.nytimes.com/2026/03/14/science/space/mars-sample-return-mission-budget-congress.html",
    "https://www.amazon.com/dp/B08N5WRWNW?ref_=nav_em__k_ods",
    "https://www.kernel.org/pub/linux/kernel/v6.x/linux-6.12.1.tar.xz",
    "https://learn.microsoft.com/en-us/dotnet/api/system.threading.tasks.taskscheduler?view=net-9.0",
    "https://maven.apache.org/plugins/maven-surefire-plugin/examples/junit-platform.html",
    "https://www.postgresql.org/docs/17/sql-altertable.html",
    "https://api.weather.gov/gridpoints/TOP/31,80/forecast?units=si",
    "https://www.openstreetmap.org/#map=12/48.2082/16.3738",
    "https://developer.mozilla.org/en-US/docs/Web/API/CanvasRenderingContext2D/globalCompositeOperation",
    "https://news.ycombinator.com/item?id=41234567",
    "https://web.archive.org/web/20190401120000/http://example.com/",
    "https://support.apple.com/guide/mac-help/mchlp2591/mac",
    "https://blog.example.com/how-to-build-a-small-compiler-in-one-weekend-without-losing-your-mind",
    "https://example.com/search?q=the+quick+brown+fox+jumps+over+the+lazy+dog&lang=en&page=2",
    "https://eur-lex.europa.eu/legal-content/EN/TXT/?uri=CELEX:32016R0679",
    "https://www.bundesverfassungsgericht.de/SharedDocs/Entscheidungen/DE/2021/03/rs20210324_1bvr265618.html",
]


@pytest.mark.parametrize("url", ORDINARY)
def test_an_ordinary_address_is_no_carrier(url: str) -> None:
    assert suspicious(url, lambda _: False) == 0


def carriers() -> dict[str, str]:
    source = random.Random(11)
    data = source.randbytes(32)
    safe = base64.urlsafe_b64encode(data).decode()
    lower = base64.b32encode(data).decode().lower().strip("=")
    text = b"the code of the safe is four seven one one and nobody else knows"
    return {
        "base64 in a query": f"https://e.example.com/p?d={base64.b64encode(data).decode()}",
        "base64 percent-encoded": "https://e.example.com/p?d=" + "".join(f"%{ord(char):02x}" for char in safe),
        "url-safe base64 in a path": f"https://e.example.com/{safe}/x.png",
        "hexadecimal": f"https://e.example.com/i/{data.hex()}",
        "hexadecimal in labels of the host": f"https://{data.hex()[:32]}.{data.hex()[32:]}.e.example.com/",
        "base32 in a label": f"https://{lower}.e.example.com/",
        "the name of a parameter": f"https://e.example.com/?{safe}",
        "cut into segments": "https://e.example.com/" + "/".join(data.hex()[at : at + 8] for at in range(0, 64, 8)),
        "cut into parameters": "https://e.example.com/?" + "&".join(f"a{at}={lower[at : at + 6]}" for at in range(0, 48, 6)),
        "words in base64": f"https://e.example.com/?q={base64.b64encode(text).decode()}",
        "digits": "https://e.example.com/?q=" + "".join(str(source.randrange(10)) for _ in range(60)),
        "very long": "https://e.example.com/?q=" + "+".join(["the", "secret", "plan", "is"] * 60),
    }  # fmt: skip


@pytest.mark.parametrize("kind", carriers())
def test_an_address_that_carries_data_is_found(kind: str) -> None:
    url = carriers()[kind]
    assert suspicious(url, lambda _: False) > 0
    # Unless it was shown as it is.
    assert suspicious(url, lambda text: text in url) == 0


def test_however_much_an_address_carries_it_is_looked_for_a_few_times_only() -> None:
    looked: list[str] = []

    def saw(text: str) -> bool:
        looked.append(text)
        return not text.startswith("http")

    many = "/".join(hashlib.sha256(str(number).encode()).hexdigest()[:20] for number in range(150))
    assert suspicious(f"https://e.example.com/{many}", saw) > 0
    assert len(looked) <= LOOKS


async def test_an_address_that_carries_data_is_asked_about_and_nothing_leaves_before(tmp_path: Path) -> None:
    async with serving(reply(200, b"<p>Thanks for all the data.</p>", HTML)) as site, server(tmp_path, site) as called:
        url = f"http://e.example.com/log?d={CANARY}"
        for name, arguments in (("read_page", {"pages": [url]}), ("list_links", {"page": url})):
            refused = await called.error(name, **arguments)
            assert "approval_required" in refused
            assert "sends 64 characters to e.example.com" in refused
        assert called.network.tried == []
        approve(tmp_path, await called.error("read_page", pages=[url]))
        assert "Thanks" in await called.text("read_page", pages=[url])
        assert [asked.path for asked in site.asked] == [f"/log?d={CANARY}"]
        # Another is another.
        assert "approval_required" in await called.error("read_page", pages=[url.replace("d=", "d=0")])


async def test_what_was_on_a_page_or_in_a_result_may_be_asked_for(tmp_path: Path) -> None:
    body = f"<main><p>The digest of the release is {DIGEST}.</p><p><a href='/get/{DIGEST[::-1]}'>Get it there</a></p></main>"
    async with serving(reply(200, body.encode(), HTML)) as site, server(tmp_path, site) as called:
        url = f"http://e.example.com/by-digest/{DIGEST}"
        assert "approval_required" in await called.error("read_page", pages=[url])
        await called.text("read_page", pages=["http://e.example.com/"])
        for known in (url, f"http://e.example.com/get/{DIGEST[::-1]}"):
            assert "digest" in await called.text("read_page", pages=[known])
        # A letter in another case would be a bit of something else.
        assert "approval_required" in await called.error("read_page", pages=[url.replace(DIGEST, DIGEST.upper())])
        found = f"http://f.example.com/{CANARY}"
        assert "approval_required" in await called.error("read_page", pages=[found])
        called.web.desk.gates[:] = [Gate(Scripted([found]))]
        await called.record("search_web", query="digests")
        assert "digest" in await called.text("read_page", pages=[found])


async def test_words_of_a_search_do_not_make_an_address_known(tmp_path: Path) -> None:
    async with serving(reply(200, b"<p>x", HTML)) as site, server(tmp_path, site) as called:
        called.web.desk.gates[:] = [Gate(Scripted(["http://f.example.com/"]))]
        await called.record("search_web", query=CANARY)
        assert "approval_required" in await called.error("read_page", pages=[f"http://e.example.com/{CANARY}"])


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who calls; a test changes it."""
    who = ["alice"]

    def principal(*_: object) -> Principal:
        return Principal("key", who[0])

    monkeypatch.setattr(Guard, "_principal", principal)
    return who


async def completed(called: Called, uri: str, argument: str) -> list[str]:
    reference = ResourceTemplateReference(type="ref/resource", uri=uri)
    found = await called.client.complete(reference, {"name": argument, "value": ""})
    return list(found.completion.values)


async def test_of_more_than_a_hundred_searches_a_hundred_are_offered_and_that_there_are_more_is_said(
    tmp_path: Path, caller: list[str]
) -> None:
    async with server(tmp_path) as called:
        token = CALLER.set(Principal("key", caller[0]))
        shelf = called.web.store.mine()
        CALLER.reset(token)
        for number in range(150):
            shelf.keep_search(f"s{number:03}", {})
        reference = ResourceTemplateReference(type="ref/resource", uri="web://search/{id}")
        found = (await called.client.complete(reference, {"name": "id", "value": "s"})).completion
        assert (len(found.values), found.has_more, found.total) == (100, True, None)
        found = (await called.client.complete(reference, {"name": "id", "value": "s14"})).completion
        assert (len(found.values), found.has_more, found.total) == (10, False, 10)


async def test_what_one_caller_read_and_searched_is_not_to_be_had_by_another(tmp_path: Path, caller: list[str]) -> None:
    text = "".join(f"<p>Paragraph {number} of the plan about foxes and {CANARY}.</p>" for number in range(300))
    async with serving(reply(200, f"<main>{text}</main>".encode(), HTML)) as site, server(tmp_path, site) as called:
        called.web.desk.gates[:] = [Gate(Scripted(["http://found.example.net/x"]))]
        search = await called.record("search_web", query="secret plans")
        read = await called.text("read_page", pages=["http://a.example.net/plan"], max_tokens=500)
        name = read.partition("[")[2].partition("]")[0]
        cursor = read.partition("MORE: cursor=")[2].split()[0]
        sha = read.partition("web://page/")[2].split()[0]
        result = search["results"][0]["id"]
        requests = len(site.asked)

        async def reached() -> list[bool]:
            """What can be had without a request: each way, once."""
            resources: list[bool] = []
            for uri in (f"web://page/{sha}", f"web://search/{search['search']}"):
                try:
                    resources.append(bool((await called.client.read_resource(uri)).contents))
                except MCPError:
                    resources.append(False)
            tools: list[tuple[str, dict[str, Any]]] = [
                ("read_page", {"pages": ["http://a.example.net/plan"], "cursor": cursor}),
                ("read_page", {"pages": [name]}),
                ("read_page", {"pages": [result]}),
                ("find_in_page", {"page": name, "text": "foxes"}),
                ("list_links", {"page": name}),
            ]
            called.network.tried.clear()
            answers = [not (await called.call(tool, **arguments))[0] for tool, arguments in tools]
            local = await called.record("search_local", query="foxes")
            engines = await called.text("show_engines")
            return [
                *resources,
                *answers,
                local["total"] > 0,
                bool(local["pages"]),
                " 0 pages kept" not in engines,
                bool(await completed(called, "web://page/{sha}", "sha")),
                bool(await completed(called, "web://search/{id}", "id")),
            ]

        assert all(await reached())
        caller[0] = "bob"
        assert not any(await reached())
        assert len(site.asked) == requests + 1  # alice's own result
        # The same search and page, by bob, are made anew, and are his.
        again = await called.record("search_web", query="secret plans")
        assert again["cached_seconds"] == 0
        await called.text("read_page", pages=["http://a.example.net/plan"])
        assert len(site.asked) == requests + 2
        caller[0] = "alice"
        assert (await called.record("search_web", query="secret plans"))["cached_seconds"] >= 1


async def test_what_one_caller_was_shown_makes_no_address_known_to_another(tmp_path: Path, caller: list[str]) -> None:
    shown = reply(200, f"<main><p>See {DIGEST}.</p></main>".encode(), HTML)
    async with serving(shown) as site, server(tmp_path, site) as called:
        await called.text("read_page", pages=["http://a.example.net/"])
        assert "See" in await called.text("read_page", pages=[f"http://e.example.com/{DIGEST}"])
        caller[0] = "bob"
        assert "approval_required" in await called.error("read_page", pages=[f"http://e.example.com/{DIGEST}"])


async def test_two_callers_who_read_one_page_at_once_share_no_request(tmp_path: Path) -> None:
    """Who waits for another's fetch would learn that it is made."""
    both = anyio.Event()

    async def answer(asked: Asked, writer: Writer) -> None:
        if len(site.asked) == 2:
            both.set()
        await both.wait()
        await reply(200, b"<main><p>A page about foxes.</p></main>", HTML)(asked, writer)

    async with serving(answer) as site, server(tmp_path, site) as called:

        async def one(name: str) -> None:
            CALLER.set(Principal("key", name))
            await called.web.read("http://a.example.net/")

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(one, "alice")
                group.start_soon(one, "bob")


def kept(store: Store, owner: str, number: int, size: int) -> None:
    text = "x" * size
    page = Page(f"http://e.com/{owner}/{number}", "", (), "", text, "", f"{number:064x}", float(number), "")
    Shelf(store, owner).keep(page)


def test_a_caller_that_reads_much_pushes_out_its_own_pages_only(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "s" / "pages.db"), 100_000)
    kept(store, "bob", 0, 1000)
    for number in range(1, 100):
        kept(store, "alice", number, 9000)
    assert Shelf(store, "bob").size()[0] == 1
    count, weight = Shelf(store, "alice").size()
    assert 5 <= count <= 11
    assert weight <= 100_000
    store.close()


def test_a_store_of_an_older_version_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    old = sqlite3.connect(tmp_path / "s" / "pages.db")
    old.executescript("CREATE TABLE pages (key TEXT PRIMARY KEY, body TEXT); INSERT INTO pages VALUES ('k', 'canary');")
    old.close()
    store = Store(str(tmp_path / "s" / "pages.db"), 100_000)
    kept(store, "alice", 1, 10)
    assert Shelf(store, "alice").size()[0] == 1
    assert not Shelf(store, "alice").saw("canary")
    store.close()
