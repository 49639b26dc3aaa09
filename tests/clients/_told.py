"""What a client could do with a server, held against what it should be able to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.clients._stages import Stage
from tests.clients.facts import CLIENTS, able


@dataclass(frozen=True, slots=True)
class Told:
    """What a client said; None where it has no way to ask.

    Args:
        tools: The names of the tools it lists.
        called: The text that the tool answered with.
        read: The text of the resource.
        prompted: The text of the prompt.
    """

    tools: frozenset[str] | None = None
    called: str | None = None
    read: str | None = None
    prompted: str | None = None


def hold(client: str, told: Told, stage: Stage, log: Path | None = None) -> None:
    """Everything that a client can do, it did, and the answers are the server's.

    Args:
        client: Which of `CLIENTS`.
        told: What it said.
        stage: The server it was on.
        log: What `tee.py` kept of what it sent, if it stood between.
    """
    facts = CLIENTS[client]
    can = able(client, stage.name, bool(stage.listed))
    given = (told.tools, told.called, told.read, told.prompted)
    assert [one is not None for one in given] == [one in can for one in ("lists", "calls", "reads", "prompts")]
    if told.tools is not None:
        assert told.tools == stage.tools
    if told.called is not None:
        assert stage.answered in told.called
    if told.read is not None:
        assert (stage.listed_says if facts.listed_only else stage.contents) in told.read
    if told.prompted is not None:
        assert stage.says in told.prompted
    if log is not None:
        assert revision(log) == facts.revision


def revision(log: Path) -> str:
    """The protocol revision a client opened with."""
    for line in log.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message.get("method") == "initialize":
            return message["params"]["protocolVersion"]
        if message.get("method") == "server/discover":
            return message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]
    raise AssertionError(f"it opened no session: {log.read_text(encoding='utf-8')[:400]}")
