"""PDF files: read in a process apart, whatever is in them."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.workers import Workers
from gatelodge_websearch.pdf.reading import PdfReader

from tests.sandbox.egress.site import Asked, Writer, reply, serving
from tests.sandbox.test_workers import at_work, idle
from tests.websearch import papers
from tests.websearch.support import server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork"),
]
KIND = {"Content-Type": "application/pdf"}
FINE = papers.paper([["Foxes jump over dogs.", "They are paid for it."], ["A second page."]])


async def test_a_pdf_is_read_as_text_with_its_title_and_pages(tmp_path: Path) -> None:
    async with serving(reply(200, FINE, KIND)) as site, server(tmp_path, site) as called:
        text = await called.text("read_page", pages=["http://a.example.net/paper.pdf"])
        assert "] A paper\n" in text
        assert "## Page 1\n\nFoxes jump over dogs.\nThey are paid for it.\n\n## Page 2\n\nA second page." in text
        assert "by pdf" in text
        part = await called.text("read_page", pages=["http://a.example.net/paper.pdf"], section="Page 2")
        assert "A second page." in part
        assert "Foxes" not in part


async def test_two_thousand_pages_are_read_and_more_are_said_to_be_left_out(tmp_path: Path) -> None:
    many = papers.paper([[f"This is sheet {number}."] for number in range(1, 2101)])
    async with serving(reply(200, many, KIND)) as site, server(tmp_path, site) as called:
        where = {"pages": ["http://a.example.net/"]}
        assert "## Page 2000\n\nThis is sheet 2000." in await called.text("read_page", **where, section="Page 2000")
        assert "no_section" in await called.error("read_page", **where, section="Page 2001")
        text = await called.text("find_in_page", page=where["pages"][0], text="The PDF has 2100 pages")
        assert "those from page 2001 on were not read" in text


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("encrypted", "bad_pdf: The PDF needs a password."),
        ("no PDF", "bad_pdf: The PDF is damaged."),
        ("cut", "bad_pdf: The PDF is damaged."),
        ("pictures", "no_text: The PDF has no text"),
        ("bomb", "bad_pdf: The PDF ended its parser"),
        ("forms within forms", "bad_pdf: The PDF ended its parser"),
    ],
)
async def test_a_pdf_that_cannot_be_read_is_an_error_and_the_next_one_works(
    tmp_path: Path, name: str, code: str
) -> None:
    made: dict[str, Callable[[], bytes]] = {
        "encrypted": papers.encrypted,
        "no PDF": lambda: b"%PDF-1.7\n" + b"instructions to the model " * 1000,
        "cut": lambda: FINE[:100],
        "pictures": lambda: papers.paper([[]]),
        "bomb": lambda: papers.bomb(700),
        "forms within forms": lambda: papers.endless(40),
    }
    answers = {"/bad": made[name](), "/good": FINE}

    async def answer(asked: Asked, writer: Writer) -> None:
        await reply(200, answers[asked.path], KIND)(asked, writer)

    async with serving(answer) as site, server(tmp_path, site) as called:
        before = psutil.Process().memory_info().rss
        text = await called.error("read_page", pages=["http://a.example.net/bad"])
        assert text.startswith(code)
        assert "instructions" not in text
        assert psutil.Process().memory_info().rss - before < 50 * 1024 * 1024
        assert "Foxes jump" in await called.text("read_page", pages=["http://a.example.net/good"])


async def test_a_parser_that_is_killed_midway_is_an_error_and_the_next_pdf_works() -> None:
    reader = PdfReader()
    long = papers.paper([["words " * 100] * 50 for _ in range(400)])
    try:
        await reader.text_of(FINE)
        await idle(reader.workers)
        task = asyncio.create_task(reader.text_of(long))
        for pid in await at_work(reader.workers):
            os.kill(pid, signal.SIGSEGV)
        with pytest.raises(CallError, match="ended its parser"):
            await task
        assert "Foxes jump" in (await reader.text_of(FINE))[1]
    finally:
        reader.close()


async def test_a_parser_that_hangs_is_ended_and_said_to_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = PdfReader()
    try:
        with monkeypatch.context() as patch:
            hanging = Workers("builtins:eval", memory_mb=256, seconds=0.3)
            patch.setattr(reader, "workers", hanging)
            with pytest.raises(CallError) as caught:
                await reader.text_of(b"all(iter(lambda: 1, 0))")
            hanging.close()
        assert caught.value.code == "too_slow"
        assert "Foxes jump" in (await reader.text_of(FINE))[1]
    finally:
        reader.close()


async def test_without_the_extra_no_process_is_started_and_a_pdf_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(_name: str) -> None:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", missing)
    reader = PdfReader()
    reader.start()
    assert reader.workers.process_id == 0
    with pytest.raises(CallError, match=r"Install gatelodge-websearch\[pdf\]"):
        await reader.text_of(FINE)


async def test_where_there_is_no_fork_each_pdf_has_a_program_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    reader = PdfReader()
    reader.start()
    assert reader.workers.process_id == 0
    assert (await reader.text_of(FINE))[0] == "A paper"
    with pytest.raises(CallError, match="needs a password"):
        await reader.text_of(papers.encrypted())
    with pytest.raises(CallError, match="too long"):
        await PdfReader(seconds=0.001).text_of(FINE)
