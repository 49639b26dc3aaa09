"""The DevTools protocol over Chromium's pipe: JSON messages that end in NUL. One thread, and every wait has an end."""

from __future__ import annotations

import json
import os
import selectors
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

Message = dict[str, Any]

DEADLINE = 30.0
"""Seconds after which an answer is late, on a busy machine too."""


class BrowserError(Exception):
    """Chromium said no, said nothing, or is gone."""


class Pipe:
    """Commands and their answers; events are given to whoever listens to their session.

    Args:
        reader: Descriptor of what Chromium writes.
        writer: Descriptor of what it reads.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        self._buffer = bytearray()
        self._last = 0
        self._answers: dict[int, Message] = {}
        self._listeners: dict[str, Callable[[str, Message], None]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(reader, selectors.EVENT_READ)

    def close(self) -> None:
        """Let go of the selector; the descriptors are the caller's."""
        self._selector.close()

    def listen(self, session: str, listener: Callable[[str, Message], None]) -> None:
        """Have a session's events, as method and parameters."""
        self._listeners[session] = listener

    def leave(self, session: str) -> None:
        """Have them no more."""
        self._listeners.pop(session, None)

    def send(self, method: str, params: Mapping[str, Any] | None = None, *, session: str = "") -> int:
        """Send a command; its number."""
        self._last += 1
        message: Message = {"id": self._last, "method": method, "params": dict(params or {})}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._writer, data) :]
        return self._last

    def command(
        self, method: str, params: Mapping[str, Any] | None = None, *, session: str = "", seconds: float = DEADLINE
    ) -> Message:
        """Send a command and wait for its result.

        Raises:
            BrowserError: It failed, or there was no answer in time.
        """
        number = self.send(method, params, session=session)
        self.pump(lambda: number in self._answers, seconds, method)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error'].get('message')}")
        return cast("Message", answer["result"])

    def pump(self, done: Callable[[], bool], seconds: float = DEADLINE, what: str = "") -> None:
        """Take in messages until something is so.

        Raises:
            BrowserError: It isn't in time.
        """
        until = time.monotonic() + seconds
        while not done():
            left = until - time.monotonic()
            if left <= 0:
                raise BrowserError(f"{what or 'what was waited for'}: nothing within {seconds:g} s")
            self._take(left)

    def drain(self) -> None:
        """Take in what is there already."""
        while self._take(0):
            pass

    def _take(self, seconds: float) -> bool:
        if not self._selector.select(seconds):
            return False
        block = os.read(self._reader, 1 << 20)
        if not block:
            raise BrowserError("Chromium is gone")
        self._buffer += block
        *whole, rest = bytes(self._buffer).split(b"\0") if b"\0" in block else (bytes(self._buffer),)
        if whole:
            self._buffer = bytearray(rest)
        for text in whole:
            self._heard(json.loads(text))
        return True

    def _heard(self, message: Message) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
        elif (listener := self._listeners.get(message.get("sessionId", ""))) is not None:
            listener(message["method"], message.get("params", {}))
