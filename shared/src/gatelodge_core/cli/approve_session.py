"""The conversation about calls that wait: choose one, see all of it, say yes or no. Enter alone never says either."""

from __future__ import annotations

import time

from gatelodge_core.cli.approve_view import Line, called, effect, first_line, heading, left, short
from gatelodge_core.cli.terminal import GoneError, Overtaken, Terminal
from gatelodge_core.store.approvals import Approval
from gatelodge_core.store.approving import ApprovalBook
from gatelodge_core.store.errors import StoreError

MAX_LISTED = 40
YES, NO = ("approve", "a", "yes", "y"), ("deny", "d", "no", "n")
LEAVE = ("q", "quit", "exit")


async def fate(book: ApprovalBook, approval: Approval) -> str:
    """Why a call that waited can't be answered any more, in a sentence."""
    state = await book.fate(approval)
    # It is forgotten when it expires, and our clock may be a little behind.
    if state in (None, "parked") and approval.expires <= time.time() + 1:
        return "Too late: it has expired, and nothing was done. When the call is made again, it waits again."
    told = {
        "approved": "Too late: it was approved elsewhere meanwhile.",
        "declined": "Too late: it was declined elsewhere meanwhile.",
        "used": "Too late: it was answered elsewhere meanwhile, and its caller has the answer.",
    }
    return told.get(
        str(state),
        "It doesn't wait any more: it was answered elsewhere and its caller has the answer, or it was taken back.",
    )


class Session:
    """One person, and the calls that wait.

    Args:
        book: Where they lie.
        terminal: The person.
        seconds: Between two looks at what waits.
    """

    def __init__(self, book: ApprovalBook, terminal: Terminal, seconds: float) -> None:
        self._book, self._terminal, self._seconds = book, terminal, seconds
        self._out_of_reach = False

    async def one(self, code: str) -> bool:
        """Ask about one call; whether it was answered.

        Raises:
            StoreError: The store can't be reached.
        """
        approval = await self._book.waiting(code)
        if approval is None:
            self._terminal.say(
                f"No call waits under {short(code)}: it was answered, has expired, or the code is wrong."
            )
            return False
        try:
            return await self._about(approval)
        except GoneError:
            self._terminal.say("It waits on.")
            return False

    async def choose(self) -> None:
        """Show what waits, and ask about what is chosen, until nothing waits or the person leaves.

        Raises:
            StoreError: The store can't be reached.
        """
        try:
            while listed := await self._listed():
                answer = await self._which(listed)
                if answer is not None and not answer:
                    return
                if answer:
                    await self._about_code(answer)
        except GoneError:
            return
        self._terminal.say("Nothing waits for approval.")

    async def watch(self, place: str) -> None:
        """Ask about each call as it comes, until the person leaves. A store that is out of reach is waited for.

        Args:
            place: The name of what is watched.
        """
        asked: set[str] = set()
        self._terminal.say(f"Watching {place}: you are asked as calls come. Ctrl-C ends.")
        try:
            while True:
                waiting = await self._waiting()
                if not self._out_of_reach:
                    asked &= {item.code for item in waiting}
                fresh = [item for item in waiting if item.code not in asked]
                if fresh:
                    asked.add(fresh[0].code)
                    self._terminal.ring()
                    self._terminal.say(f"\n{len(waiting)} {'waits' if len(waiting) == 1 else 'wait'}.")
                    await self._about_code(fresh[0].code)
                    continue
                skipped = [item.code for item in waiting]
                if skipped:
                    self._terminal.say(f"Left waiting: {', '.join(skipped[:MAX_LISTED])}. Type a code to see it again.")
                await self._idle(skipped)
        except GoneError:
            return

    async def _idle(self, skipped: list[str]) -> None:
        """Wait for a call that wasn't there, or for the code of one that was left."""

        async def news() -> str:
            codes = [item.code for item in await self._waiting()]
            return "news" if codes != skipped else ""

        try:
            answer = await self._terminal.ask("", news, self._seconds, forget=False)
        except Overtaken:
            return
        if answer in LEAVE:
            raise GoneError
        if answer:
            await self._about_code(answer.upper())

    async def _waiting(self) -> list[Approval]:
        """What waits; nothing while the store is out of reach, of which the person is told once."""
        try:
            waiting = await self._book.parked()
        except StoreError as error:
            if not self._out_of_reach:
                self._terminal.say(f"{error}. Trying again.")
            self._out_of_reach = True
            return []
        if self._out_of_reach:
            self._terminal.say("The approvals can be reached again.")
        self._out_of_reach = False
        return waiting

    async def _listed(self) -> list[Approval]:
        """What waits, shown with the first line of each effect."""
        waiting = await self._book.parked()
        now, width = time.time(), self._terminal.width
        for number, item in enumerate(waiting[:MAX_LISTED], 1):
            # A store may leave effects out of its list.
            full = item if item.effect else await self._book.waiting(item.code)
            told = f"{number:>3}  {item.code}  {left(item, now)}  {called(item)}"
            self._terminal.show([line._replace(colour="") for line in heading(told, width)])
            if full is not None:
                self._terminal.show([Line(f"     {first_line(full.effect, width - 4)}", "dim")])
        if len(waiting) > MAX_LISTED:
            self._terminal.say(f"     and {len(waiting) - MAX_LISTED} more")
        return waiting

    async def _which(self, listed: list[Approval]) -> str | None:
        """The code of the call that is chosen; empty to leave, None if the list is out of date."""
        codes = [item.code for item in listed]

        async def changed() -> str:
            return "" if [item.code for item in await self._book.parked()] == codes else "Meanwhile:"

        try:
            answer = await self._terminal.ask(
                "\nNumber or code of one to see it, Enter to leave: ", changed, self._seconds
            )
        except Overtaken as why:
            self._terminal.say(str(why))
            return None
        if answer in ("", *LEAVE):
            return ""
        if answer.isascii() and answer.isdigit() and 0 < int(answer[:6]) <= len(codes):
            return codes[int(answer) - 1]
        return answer.upper()

    async def _about_code(self, code: str) -> None:
        try:
            await self.one(code)
        except StoreError as error:
            self._terminal.say(f"{error}. It was not answered here.")

    async def _about(self, approval: Approval) -> bool:
        """Show a call, all of it, and take the answer; whether there was one."""
        terminal = self._terminal
        lines = effect(approval.effect, terminal.width)
        terminal.say()
        terminal.show(heading(f"{approval.code}: {called(approval)}, {left(approval, time.time())}", terminal.width))
        terminal.say()
        page = max(terminal.height - 8, 10)
        shown = 0
        while True:
            terminal.show(lines[shown : shown + page])
            shown = min(shown + page, len(lines))
            rest = len(lines) - shown
            try:
                answer = await self._answer(approval, rest)
            except Overtaken as why:
                terminal.say(str(why))
                return False
            if answer is None:
                terminal.say(f"It waits on, under {approval.code}.")
                return False
            if answer in ("more", "all"):
                page = len(lines) if answer == "all" else max(terminal.height - 4, 10)
                continue
            return await self._decide(approval, yes=answer == "yes")

    async def _answer(self, approval: Approval, rest: int) -> str | None:
        """``yes``, ``no``, ``more``, ``all``, or None to leave it; asked until it is one of them."""

        async def overtaken() -> str:
            waits = await self._book.waiting(approval.code) is not None
            return "" if waits else await fate(self._book, approval)

        lines = "line" if rest == 1 else "lines"
        question = (
            f"\n{rest} more {lines}. Type more or all to see them, deny to refuse it; Enter leaves it waiting: "
            if rest
            else "\nLet it happen, once? Type approve or deny; Enter leaves it waiting: "
        )
        while True:
            answer = await self._terminal.ask(question, overtaken, self._seconds)
            if not answer:
                return None
            if answer in NO:
                return "no"
            if rest and answer in ("more", "m", "all"):
                return "all" if answer == "all" else "more"
            if answer in YES and not rest:
                return "yes"
            self._terminal.say(
                "See all of it first: what you approve is all of it." if answer in YES else "That is none of these."
            )

    async def _decide(self, approval: Approval, *, yes: bool) -> bool:
        if not await self._book.decide(approval.code, approved=yes):
            self._terminal.say(await fate(self._book, approval))
            return False
        if yes:
            self._terminal.say("Approved, once: when the model repeats the same call, it is made.", "green")
        else:
            self._terminal.say("Declined.", "red")
        return True
