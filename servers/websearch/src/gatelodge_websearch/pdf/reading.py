"""Reading a PDF: its bytes go to a process apart, text comes back."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import cast

import anyio.to_thread
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.workers import WorkerError, Workers

SECONDS = 15.0
"""After which the parser is killed."""
_MEMORY_MB = 512
_MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of JSON; two million characters take up to twelve million."""
_MODULE = "gatelodge_websearch.pdf.worker"
_OTHER = "Use another source."


class PdfReader:
    """Reads PDF files.

    Args:
        confined: Whether the parser is confined by the kernel.
        seconds: After which it is killed.
    """

    def __init__(self, *, confined: bool = True, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self.workers = Workers(f"{_MODULE}:work", memory_mb=_MEMORY_MB, seconds=seconds, confined=confined)

    def start(self) -> None:
        """Start the process that parses, if this installation can read PDF files; before confinement.

        Raises:
            OSError: No process can be started.
        """
        if sys.platform != "win32" and _installed():
            self.workers.start()

    def close(self) -> None:
        """End it."""
        self.workers.close()

    async def text_of(self, data: bytes) -> tuple[str, str]:
        """The title and the text of a PDF, with a heading for each page.

        Raises:
            CallError: `unsupported` without the extra; `bad_pdf`; `too_slow`; `no_text` for one that is only pictures.
        """
        if not _installed():
            raise CallError(
                "unsupported",
                "The page is a PDF, which this installation can't read.",
                "Install gatelodge-websearch[pdf].",
            )
        try:
            answer = await (self._spawned(data) if sys.platform == "win32" else self.workers.run(data, _MAX_ANSWER))
        except WorkerError as error:
            raise _failure(error) from None
        found = cast("dict[str, str]", json.loads(answer))
        match found.get("error"):
            case None:
                return found["title"], found["text"]
            case "password":
                raise CallError("bad_pdf", "The PDF needs a password.", _OTHER)
            case "pictures":
                raise CallError("no_text", "The PDF has no text, only pictures.", _OTHER)
            case _:
                raise CallError("bad_pdf", "The PDF is damaged.", _OTHER)

    async def _spawned(self, data: bytes) -> bytes:
        """The same by a program for each PDF, where there is no fork, and no confinement that forbids programs."""

        def spawn() -> bytes:
            command = [sys.executable, "-I", "-m", _MODULE]
            try:
                done = subprocess.run(command, input=data, capture_output=True, timeout=self._seconds, check=False)
            except subprocess.TimeoutExpired:
                raise WorkerError("late") from None
            if done.returncode or len(done.stdout) > _MAX_ANSWER:
                raise WorkerError("crashed")
            return done.stdout

        return await anyio.to_thread.run_sync(spawn)


def _installed() -> bool:
    return importlib.util.find_spec("pypdfium2") is not None


def _failure(error: WorkerError) -> CallError:
    match error.reason:
        case "late":
            return CallError("too_slow", "The PDF took too long to read; its parser was ended.", _OTHER)
        case "crashed":
            return CallError("bad_pdf", "The PDF ended its parser: it is damaged, or takes too much memory.", _OTHER)
        case "large":
            return CallError("too_large", "The PDF has more text than is read.", _OTHER)
        case "busy":
            return CallError("busy", "Too many PDFs are being read.", "Try again in a moment.")
        case "absent":
            return CallError(
                "unsupported", "The process that reads PDFs has ended.", "Restart the server to read PDFs."
            )
