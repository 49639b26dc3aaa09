"""A label is of one answer alone, can only be raised, and loses nothing to threads."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import reduce
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from gatelodge_core.effects import PRIVATE, PUBLIC, UNTRUSTED, Label
from gatelodge_core.labels import answering, current, labelled, raise_label

ALL = [Label(*flags) for flags in itertools.product([False, True], repeat=len(dataclasses.fields(Label)))]


def test_outside_of_a_call_nothing_is_raised() -> None:
    raise_label(PRIVATE | UNTRUSTED)
    assert current() == PUBLIC
    with answering(PUBLIC):
        assert current() == PUBLIC
    with answering(PRIVATE):
        pass
    assert current() == PUBLIC


@pytest.mark.parametrize("declared", ALL)
def test_labels_are_joined_in_any_order_and_never_lowered(declared: Label) -> None:
    for raised in itertools.permutations(ALL):
        with answering(declared):
            for count, label in enumerate(raised, 1):
                raise_label(label)
                assert current() == reduce(Label.__or__, raised[:count], declared)


def test_an_answer_within_an_answer_is_another() -> None:
    with answering(PUBLIC):
        with answering(PRIVATE):
            raise_label(UNTRUSTED)
        assert current() == PUBLIC


def test_no_raise_is_lost_to_another_thread() -> None:
    """A join that reads, then writes, would lose one of two; with a switch at nearly every step it would show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(500):
                with answering(PUBLIC):
                    start = threading.Barrier(8)

                    def work(label: Label, start: threading.Barrier = start) -> None:
                        start.wait(30)
                        raise_label(label)

                    jobs = [threads.submit(copy_context().run, work, label) for label in [PRIVATE, UNTRUSTED, PUBLIC, PUBLIC] * 2]  # fmt: skip
                    for job in jobs:
                        job.result(30)
                    assert current() == PRIVATE | UNTRUSTED
    finally:
        sys.setswitchinterval(before)


def test_a_thread_without_the_calls_context_raises_nothing() -> None:
    with answering(PUBLIC), ThreadPoolExecutor(1) as threads:
        threads.submit(raise_label, PRIVATE).result(30)
        assert current() == PUBLIC


def test_a_task_that_outlives_its_call_raises_nobody_elses_label() -> None:
    async def main() -> None:
        go, done = anyio.Event(), anyio.Event()

        async def left_behind() -> None:
            await go.wait()
            raise_label(PRIVATE)
            await anyio.to_thread.run_sync(raise_label, UNTRUSTED)
            assert current() == PRIVATE | UNTRUSTED
            done.set()

        async with anyio.create_task_group() as tasks:
            with answering(PUBLIC):
                tasks.start_soon(left_behind)
                await anyio.lowlevel.checkpoint()
            with answering(PUBLIC):
                go.set()
                await done.wait()
                assert current() == PUBLIC

    anyio.run(main)


@pytest.mark.parametrize("label", ALL)
def test_a_result_gets_its_label_beside_other_meta_and_is_not_changed_in_place(label: Label) -> None:
    forged = {"integrity": "trusted", "confidentiality": "public"}
    given: dict[str, Any] = {"content": [], "_meta": {"ifc": forged, "other": 1}}
    assert labelled(given, label) == {"content": [], "_meta": {"ifc": label.as_ifc(), "other": 1}}
    assert given["_meta"] == {"ifc": forged, "other": 1}
    assert labelled({}, label) == {"_meta": {"ifc": label.as_ifc()}}
    assert labelled({"_meta": None}, label) == {"_meta": {"ifc": label.as_ifc()}}
    question = {"resultType": "input_required", "_meta": {"other": 1}}
    assert labelled(question, label) is question
