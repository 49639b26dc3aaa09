"""Where the credential comes from: the first of these that there is.

1. ``token`` (``GATELODGE_GITHUB_TOKEN``)
2. ``token_file``, then ``GITHUB_TOKEN_FILE``
3. ``keyring``
4. the variables that other tools use for GitHub's token
5. ``gh auth token``, if `gh_cli` says so
6. a GitHub App; together with any of the above it is an error, since nobody can know which was meant
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, MutableMapping
from typing import Protocol

from gatelodge_core.errors import SettingsError
from gatelodge_core.sandbox.kernel import scrub
from pydantic import SecretStr

from gatelodge_github.credentials.app import AppCredential
from gatelodge_github.credentials.files import FileCredential, read_private
from gatelodge_github.credentials.gh_cli import ask_gh
from gatelodge_github.credentials.model import Credential, NoCredential, StaticCredential
from gatelodge_github.credentials.secret import Sealed
from gatelodge_github.credentials.system_keyring import ask_keyring

_USUAL = ("GITHUB_PERSONAL_ACCESS_TOKEN", "GITHUB_TOKEN")
_CLOUD = ("GH_TOKEN",)
_ENTERPRISE = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
VARIABLES = (*_USUAL, *_CLOUD, *_ENTERPRISE)
"""Variables of other tools that may hold a token; `find` takes them out of the environment, used or not."""
FILE_VARIABLE = "GITHUB_TOKEN_FILE"
_KEY_BYTES = 16_384
_UNFILLED = re.compile(r"\$\{user_config\.[\w.-]+\}")


class AskedFiles(Protocol):
    """The credentials that lie in files."""

    @property
    def token_file(self) -> str:
        """The file with the token; empty for none."""
        ...

    @property
    def app_id(self) -> str:
        """The App's id or client id; empty for none."""
        ...

    @property
    def app_installation_id(self) -> str:
        """The App's installation."""
        ...

    @property
    def app_key_file(self) -> str:
        """The file with the App's private key."""
        ...


class Asked(AskedFiles, Protocol):
    """The settings that say where the credential is."""

    @property
    def token(self) -> SecretStr:
        """The token itself; empty for none."""
        ...

    @property
    def keyring(self) -> str:
        """``on``, ``SERVICE:USER``, or empty."""
        ...

    @property
    def gh_cli(self) -> bool:
        """Whether gh is asked."""
        ...

    @property
    def host(self) -> str:
        """GitHub's web host."""
        ...


def find(settings: Asked, *, environ: MutableMapping[str, str]) -> Credential:
    """The server's own credential.

    To be called at the start, before confinement, from the one thread there is. The `VARIABLES` are removed from
    `environ`, and, if that is `os.environ`, from what the kernel shows of this process.

    Args:
        settings: Where to look.
        environ: The environment.

    Raises:
        SettingsError: What was asked for can't be used, or an App and a token are both given.
    """
    ambient = _take(environ)
    host = settings.host.strip().lower().removeprefix("https://").rstrip("/")
    # Each source by the name that a person knows it by, with the way to it; none is touched before its turn.
    sources: dict[str, Callable[[], Credential]] = {}
    if settings.token.get_secret_value():
        sources["token"] = lambda: StaticCredential(Sealed(settings.token.get_secret_value()), "token")
    for name, path in (("token_file", settings.token_file), (FILE_VARIABLE, environ.get(FILE_VARIABLE, ""))):
        if path.strip():
            sources[name] = lambda path=path, name=name: FileCredential(path.strip(), name)
    if settings.keyring:
        sources["keyring"] = lambda: StaticCredential(ask_keyring(settings.keyring, host), "keyring")
    for name in _meant_for(host):
        if name in ambient:
            sources[name] = lambda name=name: StaticCredential(ambient[name], name)
    if settings.gh_cli:
        sources["gh_cli"] = lambda: StaticCredential(ask_gh(host, environ), "gh_cli")
    app = _app(settings, "", next(iter(sources), ""))
    if app is not None:
        return app
    return next(iter(sources.values()), NoCredential)()


def of_account(asked: AskedFiles, source: str) -> Credential:
    """The credential of one principal over HTTP: from files alone, never from what lies around.

    Args:
        asked: Its files.
        source: What names it in the settings, such as ``accounts.ci``.

    Raises:
        SettingsError: It has none, both kinds, or one that can't be used.
    """
    token_file = asked.token_file.strip()
    app = _app(asked, f"{source}.", "token_file" if token_file else "")
    if app is not None:
        return app
    if not token_file:
        raise SettingsError(f"{source}: give it token_file, or app_id, app_installation_id and app_key_file")
    return FileCredential(token_file, f"{source}.token_file")


def _take(environ: MutableMapping[str, str]) -> dict[str, Sealed]:
    """The tokens of other tools' variables, out of the environment.

    A blank one counts as not set, and so does a field that a person left empty in a desktop bundle's form: the host
    passes its placeholder on as it is written (mcpb#297).
    """
    found = {
        name: Sealed(environ[name])
        for name in VARIABLES
        if environ.get(name, "").strip() and not _UNFILLED.fullmatch(environ[name].strip())
    }
    if environ is os.environ:
        scrub(VARIABLES)
    for name in VARIABLES:
        environ.pop(name, None)
    return found


def _meant_for(host: str) -> tuple[str, ...]:
    """The variables whose token belongs to this host, in order.

    ``GH_TOKEN`` is for github.com and ghe.com by the manual of gh (``gh help environment``): it never goes to another.
    """
    if host == "github.com" or host.endswith(".ghe.com"):
        return (*_USUAL, *_CLOUD)
    return (*_ENTERPRISE, *_USUAL)


def _app(asked: AskedFiles, prefix: str, other: str) -> AppCredential | None:
    """The App, if there is one.

    Args:
        asked: Where it is.
        prefix: Put before the names of settings.
        other: The token that is given as well, if any.
    """
    given: Mapping[str, str] = {
        "app_id": asked.app_id.strip(),
        "app_installation_id": asked.app_installation_id.strip(),
        "app_key_file": asked.app_key_file.strip(),
    }
    missing = [f"{prefix}{name}" for name, text in given.items() if not text]
    if len(missing) == len(given):
        return None
    if missing:
        raise SettingsError(f"{', '.join(missing)}: an App needs its id, its installation and its key; not set")
    if other:
        raise SettingsError(
            f"{prefix}app_id: an App and a token ({other}) are both given, and only one can be used. Leave one out."
        )
    path = os.path.abspath(os.path.expanduser(given["app_key_file"]))
    pem, _ = read_private(path, f"{prefix}app_key_file", _KEY_BYTES)
    return AppCredential(given["app_id"], given["app_installation_id"], pem, source=prefix)
