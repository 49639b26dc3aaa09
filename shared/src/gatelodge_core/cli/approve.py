"""``gatelodge approve``: a person's answer to a call that waits for it, on this machine or in a store that replicas share."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence

from gatelodge_core import outlet
from gatelodge_core.cli.approve_session import Session, fate
from gatelodge_core.cli.approve_view import called, effect, left, short
from gatelodge_core.cli.sharing import opened, shared_settings
from gatelodge_core.cli.terminal import Terminal
from gatelodge_core.errors import SettingsError
from gatelodge_core.places import approvals_file, state_folder
from gatelodge_core.store.approvals import Approvals
from gatelodge_core.store.approving import ApprovalBook, LocalApprovals, SharedApprovals
from gatelodge_core.store.errors import StoreError

ANSWERED, NOT_ANSWERED, USAGE, STOPPED = 0, 1, 2, 130
EXIT = (
    "exit status: 0 answered, or the list was shown or watched; 1 not answered: nothing waits under this code, it was too "
    "late, or it was left waiting; 2 wrong usage, or no terminal to ask on; 130 stopped with Ctrl-C"
)
NO_TERMINAL = (
    "gatelodge approve: there is no terminal to ask a person on, so nothing was answered. From a script: gatelodge approve "
    "lists what waits, gatelodge approve CODE --yes or --no answers."
)
LOCAL_SECONDS, SHARED_SECONDS = 0.5, 1.0
"""Between two looks at what waits: at a file of this machine, and at a store elsewhere."""


def run(argv: Sequence[str]) -> int:
    """Show what waits, or one call in full, and take the answer; or watch, and ask as calls come.

    Returns:
        The exit status; see `EXIT`.
    """
    given = _arguments(argv)
    _any_text()
    try:
        return asyncio.run(_main(given))
    except KeyboardInterrupt:
        print("\nStopped; what was not answered waits on.", file=sys.stderr)
        return STOPPED
    except SettingsError as error:
        print(f"gatelodge approve: {error}", file=sys.stderr)
        return USAGE
    except StoreError as error:
        print(f"gatelodge approve: {error}", file=sys.stderr)
        return NOT_ANSWERED


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = outlet.Parser(
        prog="gatelodge approve",
        description="Say yes or no to calls that wait for you. On a terminal it shows what waits and asks; otherwise it lists.",
        epilog=EXIT,
    )
    parser.add_argument(
        "code", nargs="?", default="", help="The code that the server gave; without it, all that waits."
    )
    parser.add_argument("--watch", action="store_true", help="Stay, and ask as calls come.")
    parser.add_argument("--yes", action="store_true", help="Approve without being asked; needs a code.")
    parser.add_argument("--no", action="store_true", help="Decline without being asked; needs a code.")
    parser.add_argument("--state-dir", default="", help="The state folder, if the server was given one.")
    given = parser.parse_args(list(argv))
    given.code = given.code.strip().upper()
    if given.yes and given.no:
        parser.error("--yes and --no together")
    if given.watch and (given.code or given.yes or given.no):
        parser.error("--watch asks about all calls: give it no code, --yes or --no")
    if (given.yes or given.no) and not given.code:
        parser.error("--yes and --no answer one call: give its code")
    return given


def _any_text() -> None:
    """Have any text printed, whatever the terminal's encoding: what can't be is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


async def _main(given: argparse.Namespace) -> int:
    async with _book(str(given.state_dir), wait=bool(given.watch)) as (book, place, seconds):
        if book is None:
            print(f"Nothing waits for approval in {place}.", file=sys.stderr)
            return NOT_ANSWERED if given.code else ANSWERED
        if given.yes or given.no:
            return await _answer(book, str(given.code), yes=bool(given.yes))
        if not Terminal.is_there():
            if given.code or given.watch:
                print(NO_TERMINAL, file=sys.stderr)
                return USAGE
            return await _list(book)
        session = Session(book, Terminal(), seconds)
        if given.code:
            return ANSWERED if await session.one(str(given.code)) else NOT_ANSWERED
        await (session.watch(place) if given.watch else session.choose())
        return ANSWERED


@contextlib.asynccontextmanager
async def _book(state_dir: str, *, wait: bool) -> AsyncGenerator[tuple[ApprovalBook | None, str, float]]:
    """Where approvals lie, its name for the person, and the seconds between two looks; no book if there is none yet.

    Args:
        state_dir: The state folder, if a flag names one.
        wait: Make one then: a server that is started later will use it.
    """
    settings = shared_settings()
    if settings is not None:
        async with opened(settings) as store:
            yield SharedApprovals(store), "the shared store", SHARED_SECONDS
        return
    path = approvals_file(state_folder(state_dir))
    there = wait or await asyncio.to_thread(os.path.exists, path)
    yield LocalApprovals(Approvals(path)) if there else None, os.path.dirname(path), LOCAL_SECONDS


async def _list(book: ApprovalBook) -> int:
    waiting = await book.parked()
    now = time.time()
    for approval in waiting:
        print(f"{approval.code}  {called(approval)}  {left(approval, now)}")
    print(
        "Nothing waits for approval." if not waiting else "\nSee one in full and answer it: gatelodge approve CODE",
    )
    return ANSWERED


async def _answer(book: ApprovalBook, code: str, *, yes: bool) -> int:
    """Answer without asking; what was answered is shown all the same."""
    approval = await book.waiting(code)
    if approval is None:
        print(
            f"No call waits under {short(code)}: it was answered, has expired, or the code is wrong.", file=sys.stderr
        )
        return NOT_ANSWERED
    print(f"{approval.code}: {called(approval)}, {left(approval, time.time())}\n")
    for line in effect(approval.effect, 0):
        print(line.text)
    if not await book.decide(code, approved=yes):
        print(f"\n{await fate(book, approval)}", file=sys.stderr)
        return NOT_ANSWERED
    print("\nApproved, once: when the model repeats the same call, it is made." if yes else "\nDeclined.")
    return ANSWERED
