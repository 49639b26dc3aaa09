"""``gatelodge approve``: a person's answer to a call that waits for it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from gatelodge_core.places import approvals_file, state_folder
from gatelodge_core.store.approvals import Approval, Approvals, StoreError

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
    path = approvals_file(state_folder(given.state_dir))
    if not os.path.exists(path):
        print(f"Nothing waits for approval in {os.path.dirname(path)}.", file=sys.stderr)
        return 1 if given.code else 0
    try:
        approvals = Approvals(path)
        return _answer(approvals, given.code.strip().upper(), yes=given.yes, no=given.no)
    except StoreError as error:
        print(f"gatelodge approve: {error}", file=sys.stderr)
        return 1


def _answer(approvals: Approvals, code: str, *, yes: bool, no: bool) -> int:
    waiting = approvals.parked()
    if not code:
        for approval in waiting:
            print(f"{approval.code}  {approval.server}  {approval.name}  {_left(approval)}")
        print(
            "Nothing waits for approval." if not waiting else "\nSee one in full and answer it: gatelodge approve CODE"
        )
        return 0
    approval = next((item for item in waiting if item.code == code), None)
    if approval is None:
        print(f"No call waits under {code}: it was answered, has expired, or the code is wrong.", file=sys.stderr)
        return 1
    print(f"{approval.principal} asks the {approval.server} server for {approval.name} ({_left(approval)}):\n")
    print(approval.effect)
    if not yes and not no:
        print()
        try:
            yes = input("Let it happen? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            yes = False
    if not approvals.decide(code, approved=yes):
        print("Too late: it has expired or was answered meanwhile.", file=sys.stderr)
        return 1
    print("\nApproved, once: when the model repeats the same call, it is made." if yes else "\nDeclined.")
    return 0


def _left(approval: Approval) -> str:
    seconds = max(int(approval.expires - time.time()), 0)
    return f"{seconds // 60}:{seconds % 60:02} left"
