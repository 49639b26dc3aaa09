"""What a credential is to the rest of the server, and the two kinds that never change."""

from __future__ import annotations

from typing import Protocol

from gatelodge_github.credentials.secret import Guarded, Sealed, checked, digest_of

_KINDS = (
    ("ghp_", "classic"), ("github_pat_", "fine-grained"), ("gho_", "oauth"), ("ghu_", "oauth"), ("ghs_", "app"),
)  # fmt: skip


class Credential(Protocol):
    """Who the server is to GitHub. All of it may be used by several threads at once."""

    @property
    def kind(self) -> str:
        """``classic``, ``fine-grained``, ``oauth``, ``app``, ``none``, or ``token`` where the prefix isn't known."""
        ...

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that key caches and pools; they say nothing of the secret."""
        ...

    @property
    def app(self) -> bool:
        """Whether it acts as an App's installation, which is no user and has no ``/user``."""
        ...

    def token(self, seconds: float) -> str:
        """The token to send now; empty for none. It may block, so it is called in a worker thread.

        Args:
            seconds: The longest it may wait.

        Raises:
            CallError: There is none, with what to do about it.
        """
        ...

    def current(self) -> str:
        """The token there is now, without asking anybody for one; empty for none."""
        ...

    def refused(self, token: str) -> None:
        """GitHub answered 401 to a token: where there is a way to a newer one, the next call takes it."""
        ...


def kind_of(token: Sealed) -> str:
    """The kind of a token by its prefix, as GitHub documents these; ``token`` if it has none of them."""
    text = token.reveal()
    return next((kind for prefix, kind in _KINDS if text.startswith(prefix)), "token")


class StaticCredential(Guarded):
    """A token that was given once.

    Args:
        token: The token.
        source: The setting it came from, shown in errors and in the repr.

    Raises:
        SettingsError: It is no token.
    """

    __slots__ = ("_token", "digest", "kind", "source")
    shown = ("kind", "source", "digest")

    def __init__(self, token: str | Sealed, source: str = "token") -> None:
        # From here on no frame holds the text, whatever is raised.
        token = token if isinstance(token, Sealed) else Sealed(token)
        self._token = checked(token, source)
        self.kind = kind_of(self._token)
        self.digest = digest_of(self._token)
        self.source = source

    @property
    def app(self) -> bool:
        """Whether it is an installation's token, such as the one that Actions gives to a job."""
        return self.kind == "app"

    def token(self, seconds: float) -> str:
        """The token."""
        del seconds
        return self._token.reveal()

    def current(self) -> str:
        """The token."""
        return self._token.reveal()

    def refused(self, token: str) -> None:
        """Nothing: there is no other one."""


class NoCredential(Guarded):
    """No token: public repositories may be read, 60 requests an hour for each address."""

    __slots__ = ()

    kind = "none"
    digest = digest_of("")
    app = False
    source = ""

    def token(self, seconds: float) -> str:
        """Empty."""
        del seconds
        return ""

    def current(self) -> str:
        """Empty."""
        return ""

    def refused(self, token: str) -> None:
        """Nothing."""
