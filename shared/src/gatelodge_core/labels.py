"""The label of the answer that is being made: what was read for it may be stricter than its tool declares.

A function that finds at run time that what it reads is private, or written by others, calls `raise_label`; the guard
joins that to what the declaration says and puts it in the answer's ``_meta.ifc``. Nothing lowers a label.

The label belongs to the call, and is reached from everything the call awaits or starts: child tasks and the threads
of `anyio.to_thread` get a copy of its context (`contextvars`), and all copies hold the same object. Two kinds of work must
give the label back with their value, for the call to raise: what several calls share, such as one fetch that two of them
wait for, since it runs in the context of the call that began it; and threads of an executor, which get no context at all.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from gatelodge_core.effects import PUBLIC, Label

IFC = "ifc"
"""Key in a result's ``_meta``: information flow control, as GitHub's server writes it and FIDES clients read it."""


class _Answer:
    """The label of one answer, in flags that are only ever set: threads need no lock, and none undoes another's."""

    __slots__ = ("private", "untrusted")

    def __init__(self, label: Label) -> None:
        self.private = label.private
        self.untrusted = label.untrusted


_ANSWER: ContextVar[_Answer | None] = ContextVar("gatelodge_answer", default=None)


def raise_label(label: Label) -> None:
    """Join a label to that of the answer which is being made; outside of a call it does nothing."""
    answer = _ANSWER.get()
    if answer is None:
        return
    if label.private:
        answer.private = True
    if label.untrusted:
        answer.untrusted = True


def current() -> Label:
    """The label of the answer so far: what its declaration says and what was raised; public outside of a call."""
    answer = _ANSWER.get()
    return PUBLIC if answer is None else Label(answer.private, answer.untrusted)


@contextmanager
def answering(declared: Label) -> Generator[None]:
    """While this is entered an answer is being made, with at least the label that is declared. For the guard."""
    token = _ANSWER.set(_Answer(declared))
    try:
        yield
    finally:
        _ANSWER.reset(token)


def labelled(result: dict[str, Any], label: Label) -> dict[str, Any]:
    """A wire result with the label in its ``_meta``, in place of any that stood there; the rest of ``_meta`` stays.

    A question (2026-07-28) comes back as it is: it asks before anything is answered.
    """
    if result.get("resultType") == "input_required":
        return result
    given: object = result.get("_meta")
    meta = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    return {**result, "_meta": {**meta, IFC: label.as_ifc()}}
