"""The four servers as `gatelodge install` writes them: absolute programs, safe names, no secret among the arguments."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise

from gatelodge_core.cli.hosts.entries import Entry
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.shapes import Secret, Wanted, passes_secrets
from gatelodge_core.cli.hosts.table import Host
from gatelodge_core.errors import SettingsError
from gatelodge_core.places import settings_file

NAMES = ("filesystem", "postgres", "github", "websearch")
"""All servers, as `settings.SERVERS`, which would bring pydantic."""

KEY = re.compile(r"[a-z][a-z0-9_-]{0,26}")
"""What a server may be called in a host: nothing that a shell could take for its own, and with a tool of 30 characters
below what hosts allow (Cursor 60 for both, Claude Code 64 with ``mcp__`` and ``__``)."""

_OURS = re.compile(rf"gatelodge-({'|'.join(NAMES)})(?:\.exe)?(?:[@=].*)?", re.IGNORECASE)
_EPHEMERAL = re.compile(r"(?:archive|builds|environments)-v[0-9]+")
"""Folders of uv's cache that hold the environments of ``uvx``, which vanish when the cache is cleaned."""
_SECRET = re.compile(
    r"://[^/@\s]*:[^/@\s]+@|\bpassword\s*=|\b(?:gh[opsur]_|github_pat_|glpat-|tvly-|sk-|xox[abp]-)[A-Za-z0-9_-]{10}|"
    r"-----BEGIN",
    re.IGNORECASE,
)
_OPTION = re.compile(
    r"--?(?:[a-z0-9]+[-_])*(?:token|pat|password|passwd|passphrase|secret|api[-_]?key)(?:=(.*))?",
    re.IGNORECASE | re.DOTALL,
)
_REFERENCE = re.compile(r"\$?\{[\w:.-]+\}")
_INNOCENT = re.compile(r"/|[A-Za-z]:[\\/]|--[a-z-]+$|gatelodge-")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")

_TOKEN = Secret("GITHUB_PERSONAL_ACCESS_TOKEN", "GitHub token")
_URL = Secret("GATELODGE_POSTGRES_URL", "PostgreSQL URL, postgresql://USER:PASSWORD@HOST:5432/DATABASE")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the person asked for.

    Args:
        roots: Folders for the filesystem server, each perhaps with ``:ro``.
        read_only: Whether no tool may change anything.
        extra: Further arguments of the one server that was named.
        secrets: Whether the host shall pass secrets on.
        name: What the one server is called in the host, if not as usual.
    """

    roots: tuple[str, ...] = ()
    read_only: bool = False
    extra: tuple[str, ...] = ()
    secrets: bool = True
    name: str = ""


def token_file(machine: Machine) -> str:
    """Where the GitHub token lies for hosts that can't keep one themselves."""
    return os.path.join(os.path.dirname(settings_place(machine)), "github-token")


def settings_place(machine: Machine) -> str:
    """Where the settings file of the servers is."""
    own = machine.home == os.path.expanduser("~")
    return settings_file() if own else machine.application("gatelodge", "config.toml")


def key_of(server: str, name: str = "") -> str:
    """What a server is called in a host.

    Raises:
        SettingsError: The name isn't safe.
    """
    key = name or f"gatelodge-{server}"
    if not KEY.fullmatch(key):
        raise SettingsError("--name: write small letters, digits, - and _, at most 27, beginning with a letter")
    return key


def wanted(server: str, host: Host, asked: Asked, machine: Machine) -> Wanted:
    """A server as it shall be written for a host on this machine.

    Raises:
        SettingsError: It isn't installed, or something that was asked for can't be written.
    """
    command, args = program(server)
    args += _args(server, host, asked, machine)
    return Wanted(key_of(server, asked.name), command, tuple(args), secrets(server, host, asked))


def portable(server: str, host: Host, asked: Asked) -> Wanted:
    """A server as it can be written for any machine that has uv.

    Raises:
        SettingsError: Something that was asked for can't be written.
    """
    args = [f"gatelodge-{server}", *asked.roots, *(["--read-only"] if asked.read_only else []), *checked(asked.extra)]
    return Wanted(key_of(server, asked.name), "uvx", tuple(args), secrets(server, host, asked), portable=True)


def secrets(server: str, host: Host, asked: Asked) -> tuple[Secret, ...]:
    """What the host is told to pass to a server."""
    if not asked.secrets or not passes_secrets(host):
        return ()
    given = [argument.split("=")[0] for argument in asked.extra]
    if server == "github" and not {"--token-file", "--keyring", "--gh-cli", "--app-id"} & set(given):
        return (_TOKEN,)
    # Any plain argument of the PostgreSQL server is a database.
    named = any(not argument.startswith("-") for argument in asked.extra) or bool({"--demo", "--config"} & set(given))
    return (_URL,) if server == "postgres" and not named else ()


def all_secrets(server: str) -> tuple[Secret, ...]:
    """What a server could be passed."""
    return {"github": (_TOKEN,), "postgres": (_URL,)}.get(server, ())


def program(server: str, environment: Mapping[str, str] = os.environ) -> tuple[str, list[str]]:
    """How a server is started on this machine: its own script, or uvx with this very version.

    Raises:
        SettingsError: There is neither.
    """
    scripts = os.path.abspath(sysconfig.get_path("scripts"))
    script = os.path.join(scripts, f"gatelodge-{server}" + (".exe" if os.name == "nt" else ""))
    lasting = not any(_EPHEMERAL.fullmatch(part) for part in os.path.normpath(sys.prefix).split(os.sep))
    if lasting and os.path.isfile(script):
        return script, []
    uvx = _uvx(environment)
    if uvx:
        return uvx, [f"gatelodge-{server}=={version('gatelodge-core')}"]
    raise SettingsError(
        f"gatelodge-{server} isn't installed here: {scripts} has no such script. Type: "
        f"{sys.executable} -m pip install gatelodge-{server}"
    )


def installed_here() -> list[str]:
    """The servers that can be started on this machine without fetching anything."""
    return [server for server in NAMES if shutil.which(f"gatelodge-{server}", path=sysconfig.get_path("scripts"))]


def checked(args: Sequence[str]) -> tuple[str, ...]:
    """Arguments that may be written into a file and onto a command line.

    Raises:
        SettingsError: One holds a secret or a control character; it isn't repeated.
    """
    for argument in args:
        if _CONTROL.search(argument):
            raise SettingsError("an argument has a control character or a line end in it")
        if not argument.isascii() and argument.encode("utf-8", "replace").decode() != argument:
            raise SettingsError("an argument isn't valid Unicode, so it can't be written; rename the folder")
    if secret_among(args):
        raise SettingsError(
            "an argument holds a secret, which others can see in the list of processes; put it into a file of mode "
            "0600 that the server's settings name, or let the host pass it on"
        )
    return tuple(args)


def server_of(entry: Entry) -> str:
    """Which of our servers an entry starts; empty if none."""
    for text in (entry.command, *entry.args):
        # With either slash: a Windows file may be read elsewhere.
        found = _OURS.fullmatch(re.split(r"[/\\]", text)[-1])
        if found:
            return found[1].lower()
    return ""


def secret_in(text: str) -> bool:
    """Whether a text looks as if it held a secret."""
    return _SECRET.search(text) is not None


def secret_among(args: Sequence[str]) -> bool:
    """Whether one of some arguments is a secret, by its looks or by the option that it is for."""
    if any(secret_in(argument) for argument in args):
        return True
    inside = [found[1] or "" for argument in args if (found := _OPTION.fullmatch(argument))]
    behind = [value for option, value in pairwise(args) if _OPTION.fullmatch(option) and "=" not in option]
    return any(value and not value.startswith("-") and not _REFERENCE.fullmatch(value) for value in [*inside, *behind])


def showable(entry: Entry) -> set[str]:
    """The texts of an entry of ours that may be shown: none that could be a secret, should somebody have put one in."""
    args = [text for text in entry.args if _INNOCENT.match(text) and not secret_in(text)]
    references = [text for text in entry.env.values() if _REFERENCE.fullmatch(text)]
    return {entry.key, entry.command, *args, *references, *entry.passed, "stdio", "local", "custom", "*"}


def _args(server: str, host: Host, asked: Asked, machine: Machine) -> list[str]:
    args: list[str] = []
    if server == "filesystem":
        if not asked.roots and not asked.extra:
            raise SettingsError("the filesystem server needs a folder: --root FOLDER (add :ro to forbid changes)")
        args += [_root(text) for text in asked.roots]
        folders = [text.removesuffix(":ro").removesuffix(":rw") for text in args]
        if len(set(folders)) < len(folders):
            raise SettingsError("a folder is named twice by --root; the server takes each once")
    if server == "github" and asked.secrets and not passes_secrets(host) and os.path.exists(token_file(machine)):
        args += ["--token-file", token_file(machine)]
    if asked.read_only:
        args.append("--read-only")
    return list(checked([*args, *asked.extra]))


def _root(text: str) -> str:
    bare = text.removesuffix(":ro").removesuffix(":rw")
    folder = os.path.abspath(os.path.expanduser(bare))
    if not os.path.isdir(folder):
        raise SettingsError(f"--root {bare}: there is no such folder")
    return folder + text[len(bare) :]


def _uvx(environment: Mapping[str, str]) -> str:
    """The absolute path of uvx; empty if there is none."""
    # uv tells what it runs where it is itself.
    beside = os.path.dirname(environment.get("UV", ""))
    path = os.pathsep.join(filter(None, [beside, environment.get("PATH", os.defpath)]))
    found = shutil.which("uvx", path=path)
    # A batch file would be run by cmd.exe, which takes arguments apart by rules of its own.
    if found is None or found.lower().endswith((".bat", ".cmd")):
        return ""
    return os.path.abspath(found)
