"""The demo's part with a database: the PostgreSQL server on a shop that it makes itself."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile

import anyio

from gatelodge_core.cli.demo_session import Session, Unexpected, command, show, show_journal
from gatelodge_core.errors import SettingsError

SECONDS = 300.0
"""The longest that making the shop may take."""
_BEST = """SELECT c.name, c.country, count(*) AS orders, sum(o.total) AS revenue
FROM orders o JOIN customers c ON c.id = o.customer_id
WHERE o.ordered_at >= '2026-04-01' AND o.ordered_at < '2026-07-01' AND o.status IN ('paid', 'shipped', 'delivered')
GROUP BY c.id ORDER BY revenue DESC LIMIT 5"""
_SOLD = """SELECT p.name, sum(i.quantity) AS sold
FROM order_items i JOIN products p ON p.id = i.product_id
GROUP BY p.id ORDER BY sold DESC LIMIT 10"""
_RAISE = """UPDATE inventory SET reorder_level = reorder_level + 5
WHERE warehouse_id = 2 AND quantity = 0"""
_LEVELS = """SELECT product_id, quantity, reorder_level FROM inventory
WHERE warehouse_id = 2 AND quantity = 0 ORDER BY product_id LIMIT 3"""


def run(*, allow_root: bool) -> str:
    """A session on the shop, which is removed afterwards.

    Args:
        allow_root: Whether root may have the database run outside a container too.

    Returns:
        Why there was none; empty if there was.

    Raises:
        Unexpected: The server did otherwise than the demo says.
    """
    try:
        found = command("gatelodge-postgres", "demo")
    except SettingsError as error:
        return str(error)
    with tempfile.TemporaryDirectory(prefix="gatelodge-demo-", ignore_cleanup_errors=True) as folder:
        scratch = os.path.realpath(folder)
        if os.name == "posix" and os.geteuid() == 0:
            # Root's database is run by another user, who must get through here.
            os.chmod(scratch, 0o711)  # noqa: S103 - passing by, not looking in
        state = os.path.join(scratch, "state")
        arguments = ["--demo", "--allow-write", "--state-dir", state, *(["--allow-root"] if allow_root else [])]
        print("Making a shop's database, which takes some seconds.")
        if reason := _made(found, arguments):
            return reason
        try:
            anyio.run(_tell, found, arguments, scratch)
        finally:
            _remove(found, state)
    return ""


def _made(found: str, arguments: list[str]) -> str:
    """Start the server without a host, so that it makes the database and ends; why it can't, or nothing."""
    done = subprocess.run(
        [found, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    lines = done.stderr.strip().splitlines()
    if done.returncode == 2 and lines:
        # What can't be used here; the server says why, and what to do.
        return " ".join(line.strip() for line in lines).removeprefix("gatelodge-postgres: ")
    if done.returncode:
        raise Unexpected(f"gatelodge-postgres ended with status {done.returncode}: {lines[-1:]}")
    return ""


def _remove(found: str, state: str) -> None:
    """Wait until PostgreSQL has ended, and remove its files."""
    done = subprocess.run(
        [found, "remove-demo", "--state-dir", state], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        raise Unexpected(f"the database was not removed: {done.stderr.strip()}")


async def _tell(found: str, arguments: list[str], scratch: str) -> None:
    # The SDK's client, as a host would use it; imported late, since only the demo needs it.
    from mcp import Client, StdioServerParameters  # noqa: PLC0415 - the SDK
    from mcp.client.stdio import stdio_client  # noqa: PLC0415 - the SDK
    from mcp_types import ElicitRequestParams, ElicitResult  # noqa: PLC0415 - the SDK

    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        del context
        print("    The person is asked by the host, and says yes:")
        show(params.message, "    ? ")
        return ElicitResult(action="accept", content={})

    print("Launching, as a host does:")
    print("    gatelodge-postgres --demo --allow-write --state-dir SCRATCH/state")
    server = stdio_client(StdioServerParameters(command=found, args=arguments))
    async with Client(server, elicitation_callback=answer) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        print(f"    it offers {len(tools)} tools: {', '.join(sorted(tools))}")
        session = Session(client, scratch)
        await _reading(session)
        if "preview_change" in tools:
            await _changing(session)
    show_journal(os.path.join(scratch, "state", "journal"))


async def _reading(session: Session) -> None:
    await session.call("What is in the database?", "list_objects")
    await session.call("Who bought most in the second quarter of 2026?", "run_query", sql=_BEST)
    await session.call(
        "A review tries to give orders: it comes as data, marked as a stranger's.",
        "run_query",
        sql="SELECT title, body FROM reviews WHERE body LIKE 'IGNORE ALL%' ORDER BY id LIMIT 1",
    )
    await session.refused("Drop a table: refused.", "run_query", sql="DROP TABLE orders")
    await session.refused("Hide a change behind a query: refused.", "run_query", sql="SELECT 1; DELETE FROM orders")
    await session.refused("Hold a connection for an hour: refused.", "run_query", sql="SELECT pg_sleep(3600)")
    await session.call("How would this be run?", "explain_query", sql=_SOLD)


async def _changing(session: Session) -> None:
    text = await session.call("Rehearse a change: it is run, looked at, and rolled back.", "preview_change", sql=_RAISE)
    token = _token(text)
    await session.call("Nothing has changed yet.", "run_query", sql=_LEVELS)
    await session.call("Make exactly this change; a person has to say yes.", "apply_change", change_token=token)
    await session.call("It was made.", "run_query", sql=_LEVELS)
    await session.refused("The same yes again: refused.", "apply_change", change_token=token)


def _token(text: str) -> str:
    found = re.search(r"change_token\W+([A-Za-z0-9_-]{20,})", text)
    if found is None:
        raise Unexpected("preview_change gave no change_token")
    return found.group(1)
