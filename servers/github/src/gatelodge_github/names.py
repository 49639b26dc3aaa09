"""Names as they go into a path: repositories, refs, numbers; each checked before any request, and quoted."""

from __future__ import annotations

import re
from urllib.parse import quote

from gatelodge_core.errors import CallError

REPO = re.compile(r"(?!\.)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}", re.ASCII)
"""``owner/name``. An owner may have an underscore (managed users); a name may not be ``.`` or ``..``."""
LOGIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(?:\[bot\])?", re.ASCII)
_SHA = re.compile(r"[0-9a-fA-F]{7,64}")
_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\.lock(?:/|$)|(?:^|/)\.|[./]$|^/|^@$|^-")
"""What git-check-ref-format(1) forbids."""


def repo_path(repo: str) -> str:
    """``/repos/owner/name``.

    Raises:
        CallError: `bad_repo`.
    """
    if not REPO.fullmatch(repo):
        raise CallError("bad_repo", "repo is not owner/name.", "For example octocat/hello-world.")
    owner, _, name = repo.partition("/")
    return f"/repos/{owner}/{name}"


def ref(text: str, what: str = "ref") -> str:
    """A branch, tag or commit, unquoted but checked.

    Raises:
        CallError: `bad_ref`.
    """
    if not text or len(text) > 250 or _BAD_REF.search(text):
        raise CallError("bad_ref", f"{what} is no branch, tag or commit.", "Use list_refs to see the names.")
    return text


def segment(text: str) -> str:
    """A text as one segment of a path: slashes are quoted too.

    Raises:
        CallError: `bad_name`: it would be another path.
    """
    try:
        quoted = quote(text, safe="")
    except UnicodeEncodeError:
        quoted = ""
    if quoted in ("", ".", "..") or len(text) > 500:
        raise CallError("bad_name", "that can't be a name at GitHub.", "Use one from a list.")
    return quoted


def ref_segments(text: str, what: str = "ref") -> str:
    """A checked ref for a path in which its slashes stay, as under ``/git/ref/heads/``.

    Raises:
        CallError: `bad_ref`.
    """
    return "/".join(segment(part) for part in ref(text, what).split("/"))


def file_path(text: str) -> str:
    """A path inside a repository, quoted, its slashes kept; empty for the root.

    Raises:
        CallError: `bad_path`.
    """
    parts = text.strip("/").split("/") if text.strip("/") else []
    if len(text) > 4096 or "\0" in text or any(part in ("", ".", "..") for part in parts):
        raise CallError("bad_path", "path is no path inside a repository.", "Write it like src/main.py.")
    return "/".join(segment(part) for part in parts)


def login(text: str, what: str = "user") -> str:
    """A user's or bot's login.

    Raises:
        CallError: `bad_login`.
    """
    if not LOGIN.fullmatch(text):
        raise CallError("bad_login", f"{what} is no login.", "For example octocat.")
    return text


def is_sha(text: str) -> bool:
    """Whether a ref is written as a commit's hash; it may then be a commit of any fork."""
    return _SHA.fullmatch(text) is not None
