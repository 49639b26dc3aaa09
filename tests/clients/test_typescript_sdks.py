"""The two TypeScript SDKs, on which most hosts are built, talk to the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients._asking import Asking
from tests.clients._hosts import PACKAGES, TOOLS, Client, Ended
from tests.clients.install import HERE

pytestmark = pytest.mark.clients


def session(
    client: Client, sdk: str, target: list[str] | str, tool: str, /, answer: str = "", **arguments: object
) -> Ended:
    where = {"url": target} if isinstance(target, str) else {"command": target}
    given = {
        "packages": str(PACKAGES.resolve()),
        "sdk": sdk,
        "target": where,
        "tool": tool,
        "arguments": arguments,
        "answer": answer,
    }
    return client.node(HERE / "session.cjs", json.dumps(given))


def told(ended: Ended) -> dict[str, Any]:
    assert ended.status == 0, ended
    return json.loads(ended.out)


@pytest.mark.parametrize(
    ("sdk", "revision"),
    [("1", ""), ("2", "2025-11-25"), ("2-auto", "2026-07-28")],
    ids=["1.x", "2.x by default", "2.x negotiating"],
)
def test_it_lists_and_reads(client: Client, target: list[str] | str, served: Path, sdk: str, revision: str) -> None:
    found = told(session(client, sdk, target, "read_file", path=str(served / "notes.txt")))
    # SDK 1.x keeps the revision over HTTP alone.
    assert found["revision"] == (revision or ("2025-11-25" if isinstance(target, str) else ""))
    assert set(found["tools"]) >= TOOLS
    assert "the needle is here" in found["text"]
    assert found["isError"] is False


@pytest.mark.parametrize("sdk", ["1", "2-auto"])
def test_it_is_told_of_a_refused_path(client: Client, command: list[str], served: Path, sdk: str) -> None:
    ended = session(client, sdk, command, "read_file", path=str(served.parent / "outside.txt"))
    assert told(ended)["isError"] is True
    assert "s3cr3t" not in ended.out + ended.err


@pytest.mark.parametrize("answer", ["accept", "decline"])
@pytest.mark.parametrize("sdk", ["1", "2", "2-auto"])
def test_its_person_is_asked_and_obeyed(client: Client, tmp_path: Path, sdk: str, answer: str) -> None:
    house = Asking(tmp_path)
    found = told(session(client, sdk, house.command, "edit_file", answer, **house.edit))
    assert len(found["questions"]) == 1
    assert "-one\n+two" in found["questions"][0]
    assert found["isError"] is (answer == "decline")
    assert house.text == ("two\n" if answer == "accept" else "one\n")
