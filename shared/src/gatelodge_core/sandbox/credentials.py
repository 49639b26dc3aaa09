"""Files that hold credentials: listed as present, never read, searched or written, unless a person allows it.

Patterns are matched with the path that was opened, all links resolved, without regard to case; a folder that matches
covers all below it. A rule by name can't know a copy or a hard link under a harmless name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from gatelodge_core.globs import Globs

FOLDERS = (
    ".ssh", ".aws", ".gnupg", ".azure", ".kube", ".password-store", ".docker/config.json", ".git/config",
    ".config/gcloud", ".config/gh", ".config/hub", ".config/op", ".local/share/keyrings", "library/keychains",
    ".mozilla", ".thunderbird", ".config/google-chrome", ".config/chromium", ".config/bravesoftware",
    ".config/microsoft-edge", ".config/vivaldi", ".config/opera", "snap/firefox", "snap/chromium",
    "library/application support/google/chrome", "library/application support/firefox",
    "library/application support/bravesoftware", "library/application support/microsoft edge",
    "appdata/local/google/chrome", "appdata/local/microsoft/edge", "appdata/roaming/mozilla",
    "appdata/local/bravesoftware",
)  # fmt: skip
"""Folders and files by the end of their path."""

FILES = (
    ".netrc", "_netrc", ".pgpass", ".my.cnf", ".git-credentials", ".npmrc", ".pypirc", ".htpasswd", ".vault-token",
    ".terraformrc", ".boto", ".s3cfg", "credentials.json", "logins.json", "key4.db", "cookies.sqlite", "login data",
)  # fmt: skip
"""Files by name."""

KEYS = ("pem", "key", "p12", "pfx", "jks", "keystore", "kdbx", "ppk")
"""Files by what their name ends in."""

SUMMARY = "credential files (.ssh, .aws, .gnupg, .env*, browser profiles, *.pem, *.key ...) are listed, never opened"

# Examples of environment files are made to be read; so are public keys.
_ENV = r"\.env(?!\.(?:example|sample|template|dist|defaults)(?:/|$))[^/]*"
_IDENTITY = r"id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?![^/]*\.pub(?:/|$))[^/]*"
_SECRET = r"client_secret[^/]*\.json"  # noqa: S105 - a pattern of file names


def _expression() -> re.Pattern[str]:
    named = [re.escape(text) for text in (*FOLDERS, *FILES)]
    ends = rf"[^/]+\.(?:{'|'.join(KEYS)})"
    return re.compile(rf"(?:^|/)(?:{'|'.join(named)}|{_ENV}|{_IDENTITY}|{_SECRET}|{ends})(?:/|$)")


_MATCH = _expression().search

Check = Callable[[str], bool]
"""Whether a path of a root, all links resolved, may not be opened."""


def allowing(patterns: Sequence[str] = ()) -> Check:
    """The check with exceptions.

    Args:
        patterns: Globs of paths, relative to their root, that may be opened all the same; a folder's covers all below.

    Raises:
        CallError: `bad_glob`.
    """
    if not patterns:
        return is_credential
    excepted = Globs(patterns, empty_matches=False)

    def check(rel: str) -> bool:
        if not is_credential(rel):
            return False
        parts = rel.split("/")
        return not any(excepted.matches("/".join(parts[:end])) for end in range(1, len(parts) + 1))

    return check


def is_credential(rel: str) -> bool:
    """Whether a path names a credential file, or something in a folder of these."""
    return _MATCH(folded(rel)) is not None


def folded(rel: str) -> str:
    """A path as the file systems compare it that are least exact: no case, no forms, no invisible characters (HFS+)."""
    if rel.isascii():
        return rel.lower()
    plain = unicodedata.normalize("NFKC", rel).casefold()
    return "".join(char for char in plain if unicodedata.category(char) != "Cf")
