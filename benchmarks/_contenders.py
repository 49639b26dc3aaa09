"""Who is measured: the command of each server, the programs that set the limits, and the environment they get."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks._table import Sample
from benchmarks._wire import Driver, Era
from tests.clients.install import HERE, InstallError, find_node

Kind = Literal["gatelodge", "reference", "dbhub", "server-postgres"]
REFERENCE = "@modelcontextprotocol/server-filesystem"


@dataclass(frozen=True)
class Contender:
    """A server to measure.

    Args:
        label: Its name in the table.
        kind: Which tools it has.
        command: How it is started, roots included.
        era: The protocol era to speak with it.
    """

    label: str
    kind: Kind
    command: tuple[str, ...]
    era: Era


class Live:
    """A contender that runs, with its tools as it listed them."""

    def __init__(self, contender: Contender, environment: Mapping[str, str]) -> None:
        self.contender = contender
        self.driver = Driver(contender.command, contender.era, environment)
        try:
            self.driver.open()
            listed: list[dict[str, Any]] = self.driver.request("tools/list").result["tools"]
        except BaseException:
            self.driver.close()
            raise
        self.tools = {tool["name"]: tool for tool in listed}

    def at_most(self, tool: str, argument: str, wanted: int) -> int:
        """`wanted`, or the largest value that the tool's schema allows for the argument."""
        schema = self.tools[tool]["inputSchema"]["properties"].get(argument, {})
        return min(wanted, schema.get("maximum", wanted))


def gatelodge_command(name: str = "gatelodge-filesystem") -> list[str]:
    """The installed script, started as a host does."""
    return [str(Path(sys.executable).parent / name)]


def reference_command() -> list[str] | None:
    """The reference server of the pinned npm packages; None if it isn't installed."""
    script = Path(os.environ.get("TESTS_CLIENTS") or HERE) / "node_modules" / REFERENCE / "dist/index.js"
    node = node_binary()
    return [str(node), str(script)] if node is not None and script.is_file() else None


def node_binary() -> Path | None:
    """The Node.js that runs the reference server."""
    try:
        return find_node().binary
    except InstallError:
        return None


def ripgrep() -> str | None:
    """The ripgrep of this environment, else the machine's."""
    beside = Path(sys.executable).parent / "rg"
    return str(beside) if beside.is_file() else shutil.which("rg")


def environment(home: Path) -> dict[str, str]:
    """What servers get: the caller's environment with a home of its own, and bytecode caching as any user has it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith(("GATELODGE_", "XDG_"))
    }
    # The pipelined rows send more in a second than a person's hosts do in an hour.
    return {**kept, "HOME": str(home), "GATELODGE_CALLS_PER_SECOND": "1e9", "GATELODGE_CALL_BURST": "1000000000"}


def program(command: Sequence[str], environment: Mapping[str, str], expect: int | None = None) -> Sample:
    """Run a program to its end.

    Args:
        command: The program.
        environment: Its whole environment.
        expect: How many lines it must print.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    since = time.perf_counter()
    done = subprocess.run(command, env=dict(environment), capture_output=True, timeout=120, check=True)
    seconds = time.perf_counter() - since
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if expect is not None:
        lines = done.stdout.count(b"\n")
        assert lines == expect, f"{command} printed {lines} lines, not {expect}"
    return Sample(seconds, cpu=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
