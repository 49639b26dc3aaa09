"""``gatelodge approve``: a person's answer to a call that waits for it, on this machine or in a store that replicas share."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence

from gatelodge_core.cli.sharing import opened, shared_settings
from gatelodge_core.errors import SettingsError
from gatelodge_core.places import approvals_file, state_folder
from gatelodge_core.settings import LodgeSettings
from gatelodge_core.store.approvals import Approval, Approvals
from gatelodge_core.store.approving import ApprovalBook, LocalApprovals, SharedApprovals
from gatelodge_core.store.errors import StoreError

EXIT = "exit status: 0 answered, 1 nothing waits under this code or it was declined meanwhile, 2 wrong usage"


def run(argv: Sequence[str]) -> int:
    """Show what waits, or one call in full, and take the answer."""
    parser = argparse.ArgumentParser(
        prog="gatelodge approve", description="Say yes or no to a call that waits for you.", epilog=EXIT
    )
    parser.add_argument(
        "code", nargs="?", default="", help="The code that the server gave; without it, list what waits."
    )
    parser.add_argument("--yes", action="store_true", help="Approve without being asked.")
    parser.add_argument("--no", action="store_true", help="Decline without being asked.")
    parser.add_argument("--state-dir", default="", help="The state folder, if the server was given one.")
    given = parser.parse_args(list(argv))
    if given.yes and given.no:
        parser.error("--yes and --no together")
    code = given.code.strip().upper()
    try:
        settings = shared_settings()
        if settings is not None:
            return asyncio.run(_answer_shared(settings, code, yes=given.yes, no=given.no))
        path = approvals_file(state_folder(given.state_dir))
        if not os.path.exists(path):
            print(f"Nothing waits for approval in {os.path.dirname(path)}.", file=sys.stderr)
            return 1 if code else 0
        return asyncio.run(_answer(LocalApprovals(Approvals(path)), code, yes=given.yes, no=given.no))
    except SettingsError as error:
        print(f"gatelodge approve: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"gatelodge approve: {error}", file=sys.stderr)
        return 1


async def _answer_shared(settings: LodgeSettings, code: str, *, yes: bool, no: bool) -> int:
    async with opened(settings) as store:
        return await _answer(SharedApprovals(store), code, yes=yes, no=no)


async def _answer(approvals: ApprovalBook, code: str, *, yes: bool, no: bool) -> int:
    if not code:
        waiting = await approvals.parked()
        for approval in waiting:
            print(f"{approval.code}  {approval.server}  {approval.name}  {_left(approval)}")
        print(
            "Nothing waits for approval." if not waiting else "\nSee one in full and answer it: gatelodge approve CODE"
        )
        return 0
    approval = await approvals.waiting(code)
    if approval is None:
        print(f"No call waits under {code}: it was answered, has expired, or the code is wrong.", file=sys.stderr)
        return 1
    print(f"{approval.principal} asks the {approval.server} server for {approval.name} ({_left(approval)}):\n")
    print(approval.effect)
    if not yes and not no:
        print()
        try:
            # Nothing else runs here that could be kept waiting.
            yes = input("Let it happen? [y/N] ").strip().lower() in ("y", "yes")  # noqa: ASYNC250 - see above
        except EOFError:
            yes = False
    if not await approvals.decide(code, approved=yes):
        print("Too late: it has expired or was answered meanwhile.", file=sys.stderr)
        return 1
    print("\nApproved, once: when the model repeats the same call, it is made." if yes else "\nDeclined.")
    return 0


def _left(approval: Approval) -> str:
    seconds = max(int(approval.expires - time.time()), 0)
    return f"{seconds // 60}:{seconds % 60:02} left"
