"""The programs that start MCP servers: which there are, where their files lie, and what those say."""

from gatelodge_core.cli.hosts.entries import Entry, Problem, Reading, entries
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.table import HOSTS, ConfigFile, Host, files, find, target
from gatelodge_core.cli.hosts.unreadable import Unreadable

__all__ = [
    "HOSTS",
    "ConfigFile",
    "Entry",
    "Host",
    "Machine",
    "Problem",
    "Reading",
    "Unreadable",
    "entries",
    "files",
    "find",
    "target",
]
