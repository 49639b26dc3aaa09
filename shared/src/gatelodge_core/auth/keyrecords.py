"""API keys as they are kept: who holds one, what it may do and until when, and a hash; never the key itself.

A key is ``glk_<id>_<secret>``. The id is public and finds the record, the secret is 256 random bits. Since nobody can
guess such a secret, one HMAC is the right hash: a slow one, as for passwords, would let anyone stop the server with wrong
keys. The HMAC's own key, the pepper, keeps whoever can only read or write the file from testing and making keys.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gatelodge_core.auth.principal import Principal
from gatelodge_core.errors import SettingsError

PREFIX = "glk_"
MAX_KEYS = 1000
"""Keys of one file, dead ones included; beyond that an authorization server (OAuth) is the better tool."""
KEPT = timedelta(days=90)
"""How long a key that has expired or was revoked stays in the list."""
VERSION = 1

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
SCOPE = re.compile(r"[a-z][a-z0-9_-]{0,31}:(?:read|write|destroy)", re.ASCII)
TOOL = re.compile(r"[a-z0-9_*?]{1,64}", re.ASCII)

ID = "[a-z0-9]{10}"

_KEY = re.compile(rf"glk_({ID})_[A-Za-z0-9_-]{{43}}", re.ASCII)
# No look-alikes: an id is read aloud and typed.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_SEAL, _MARK = b"gatelodge keys, seal\n", b"gatelodge keys, pepper\n"


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_utc)]


class Key(BaseModel):
    """One key's record.

    Args:
        id: Public; the middle part of the key.
        name: Whose it is: the principal's name. Several keys may have the same one, as during rotation.
        hash: HMAC-SHA256 of the whole key, in hexadecimal.
        created: When.
        expires: From when on it is refused; None for never.
        scopes: What it grants, such as ``filesystem:read``.
        tools: Globs of what it may call; None for all.
        per_minute: Calls a minute of its holder; 0 for no such limit.
        revoked: When it was taken back; None if it wasn't.
    """

    # What a newer version may have added can be a restriction, so unknown fields are refused.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=f"^{ID}$")]
    name: Annotated[str, Field(pattern=f"^(?:{NAME.pattern})$")]
    hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    created: Moment
    expires: Moment | None
    scopes: Annotated[
        tuple[Annotated[str, Field(pattern=f"^(?:{SCOPE.pattern})$")], ...], Field(min_length=1, max_length=64)
    ]
    tools: Annotated[tuple[Annotated[str, Field(pattern=f"^(?:{TOOL.pattern})$")], ...], Field(min_length=1, max_length=256)] | None  # fmt: skip
    per_minute: Annotated[int, Field(ge=0, le=1_000_000)]
    revoked: Moment | None

    def state(self, now: datetime) -> Literal["live", "expired", "revoked"]:
        """Whether it is taken at a time, and if not, why."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "live"

    def forgotten(self, now: datetime) -> bool:
        """Whether it has been dead for so long that its record may go."""
        ends = [moment for moment in (self.revoked, self.expires) if moment is not None]
        return bool(ends) and min(ends) <= now - KEPT

    def principal(self) -> Principal:
        """Who comes with it."""
        return Principal("key", self.name, frozenset(self.scopes), self.tools, self.per_minute, via=self.id)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a new key is to be; see `Key`.

    Args:
        lifetime: How long it lives; None for ever.
    """

    name: str
    scopes: tuple[str, ...]
    tools: tuple[str, ...] | None = None
    per_minute: int = 0
    lifetime: timedelta | None = None


def issue(grant: Grant, pepper: bytes, now: datetime, taken: Iterable[str] = ()) -> tuple[str, Key]:
    """A new key: the text to hand out, and the record to keep.

    Args:
        grant: What it is to be.
        pepper: See `hashed`.
        now: The time.
        taken: Ids in use.
    """
    others = set(taken)
    while (name := "".join(secrets.choice(_ALPHABET) for _ in range(10))) in others:
        pass
    text = f"{PREFIX}{name}_{secrets.token_urlsafe(32)}"
    now = now.replace(microsecond=0)
    record = Key(
        id=name,
        name=grant.name,
        hash=hashed(pepper, text).hex(),
        created=now,
        expires=None if grant.lifetime is None else now + grant.lifetime,
        scopes=grant.scopes,
        tools=grant.tools,
        per_minute=grant.per_minute,
        revoked=None,
    )
    return text, record


def identity(text: str) -> str:
    """The id in a key; empty if the text hasn't a key's form, to the letter."""
    found = _KEY.fullmatch(text)
    return found[1] if found else ""


def key_in(text: str) -> str:
    """The id of a key anywhere in a text; empty if there is none."""
    found = _KEY.search(text)
    return found[1] if found else ""


def hashed(pepper: bytes, text: str) -> bytes:
    """What is kept of a key."""
    return hmac.digest(pepper, text.encode("utf-8", "surrogatepass"), "sha256")


_KEYS = TypeAdapter(list[Key])


def encode(keys: Sequence[Key], pepper: bytes) -> bytes:
    """The file's content.

    It is sealed with the pepper: who can write the file but doesn't know that, can't add a key or widen one.
    """
    rows: list[Any] = _KEYS.dump_python(list(keys), mode="json")
    table = {"version": VERSION, "pepper": mark(pepper), "seal": seal_of(rows, pepper), "keys": rows}
    return json.dumps(table, indent=1).encode("ascii") + b"\n"


def decode(content: bytes, pepper: bytes) -> list[Key]:
    """The records of a file, in their order.

    Raises:
        SettingsError: It isn't what `encode` made with this pepper; the text says what is wrong, and holds none of it.
    """
    try:
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        raise SettingsError("isn't a file of keys: it isn't JSON; restore it") from None
    if not isinstance(parsed, dict):
        raise SettingsError("isn't a file of keys: it holds no table; restore it")
    table = cast("dict[str, object]", parsed)
    if table.get("version") != VERSION:
        raise SettingsError("has a format that this version doesn't know; update Gatelodge")
    if table.keys() != {"version", "pepper", "seal", "keys"} or not isinstance(table["keys"], list):
        raise SettingsError("isn't a file of keys: its fields are others; restore it")
    if not hmac.compare_digest(_bytes(table["pepper"]), mark(pepper).encode()):
        raise SettingsError(
            "was made with another pepper, so no key would be known: set the same GATELODGE_KEY_PEPPER, or restore "
            "the pepper's file beside it"
        )
    rows = cast("list[object]", table["keys"])
    try:
        seal = seal_of(rows, pepper)
    except RecursionError:
        raise SettingsError("isn't a file of keys: it is nested too deep; restore it") from None
    if not hmac.compare_digest(_bytes(table["seal"]), seal.encode()):
        raise SettingsError("was changed by something else than `gatelodge keys`; restore it, or make the keys anew")
    try:
        keys = _KEYS.validate_json(json.dumps(rows))
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False, include_context=False)[0]["loc"]
        raise SettingsError(f"holds a key that this version can't judge ({_path(where)}); update Gatelodge") from None
    if len(keys) > MAX_KEYS or len({key.id for key in keys}) != len(keys):
        raise SettingsError("holds too many keys, or two with the same id; restore it")
    return keys


def mark(pepper: bytes) -> str:
    """A mark that tells one pepper from another, and nothing else of it."""
    return hmac.digest(pepper, _MARK, "sha256").hex()[:16]


def seal_of(rows: Sequence[object], pepper: bytes) -> str:
    """The seal of all records in their order, whatever is in them."""
    form = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    return hmac.digest(pepper, _SEAL + form.encode("ascii"), "sha256").hex()


def _bytes(value: object) -> bytes:
    return str(value).encode("utf-8", "replace")


def _path(location: Sequence[int | str]) -> str:
    # Only names of fields and numbers: an unknown field's name was written by others.
    known: Mapping[str, object] = Key.model_fields
    return ".".join(str(part) if isinstance(part, int) or part in known else "?" for part in location)
