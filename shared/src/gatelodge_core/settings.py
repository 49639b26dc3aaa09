"""Settings: command-line flags, then environment, then one TOML file; unknown names are errors.

Each server has a model derived from `LodgeSettings`. A field is a flag (``--read-only``), an environment variable
(``GATELODGE_FILESYSTEM_READ_ONLY``; shared fields also as ``GATELODGE_READ_ONLY``, for all servers), and a key of the
TOML file, in the server's own table or, for shared fields, at the top::

    state_dir = "/var/lib/gatelodge"
    [filesystem]
    roots = ["~/notes", "~/src:ro"]

Secrets are `SecretStr` and are never flags, since other users can read a process's arguments.
"""

from __future__ import annotations

import os
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self, cast, get_origin

import platformdirs
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from gatelodge_core import outlet
from gatelodge_core.errors import SettingsError
from gatelodge_core.places import absolute_state, keys_file, settings_file
from gatelodge_core.settingsfile import SERVERS, FileSource, read_settings, unset

PREFIX = "GATELODGE_"

_FILE: ContextVar[str] = ContextVar("settings file", default="")
"""The file of the load that runs; pydantic-settings has no way to hand it to the sources."""

Texts = Annotated[list[str], NoDecode]
"""A list of texts; in the environment, joined by the platform's path separator (``os.pathsep``)."""


class LodgeSettings(BaseSettings):
    """What every server can be told."""

    model_config = SettingsConfigDict(extra="forbid", hide_input_in_errors=True, validate_default=False)

    server: ClassVar[str] = ""
    positional: ClassVar[str] = ""
    """The field that plain arguments fill, if any."""
    _file: str = PrivateAttr(default_factory=_FILE.get)

    http: str = Field(
        default="", description="Serve Streamable HTTP on HOST:PORT instead of stdio, for example 127.0.0.1:8000."
    )
    stateless: bool = Field(default=False, description="Over HTTP, keep no sessions for the 2025 protocol revisions.")
    max_sessions: int = Field(default=64, ge=1, le=500, description="Over HTTP, the most sessions at once.")
    allowed_hosts: Texts = Field(
        default_factory=list[str], description="Over HTTP, further host names this server is called by."
    )
    allowed_origins: Texts = Field(
        default_factory=list[str],
        description="Over HTTP, browser origins that may call, for example https://a.example.",
    )
    public_url: str = Field(
        default="",
        description="Over HTTP, the URL that callers reach this server by, such as https://tools.example.com/files: its "
        "host is let in, and OAuth tokens must be issued for it.",
    )
    auth: Literal["none", "keys", "oauth", "both"] = Field(
        default="none",
        description="Over HTTP, how callers are known: not at all (loopback only), by keys of `gatelodge keys`, by tokens "
        "of an OAuth authorization server, or by both.",
    )
    keys_file: str = Field(
        default="", description="The file of API keys; default: keys.json in the state folder. It holds no key."
    )
    key_pepper: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that API keys are hashed with; default: one made beside the keys file.",
    )
    oauth_issuer: str = Field(default="", description="The authorization server: the exact issuer of its tokens.")
    oauth_jwks_url: str = Field(
        default="", description="Where its public keys are; default: as its own metadata say (RFC 8414)."
    )
    oauth_algorithms: str = Field(
        default="RS256,ES256", description="Signatures that are taken, with commas: RS, PS, ES, EdDSA and Ed25519."
    )
    oauth_introspection_url: str = Field(
        default="",
        description="Ask here about each token instead of checking its signature (RFC 7662); discover: where its "
        "metadata say.",
    )
    oauth_client_id: str = Field(default="", description="Who this server is to the introspection endpoint.")
    oauth_client_secret: SecretStr = Field(default=SecretStr(""), description="Its secret there.")
    oauth_ca_file: str = Field(
        default="", description="Certificate authorities of the authorization server, instead of the usual ones."
    )
    behind_proxy: Texts = Field(
        default_factory=list[str],
        description="An address or network (CIDR) of a reverse proxy that ends TLS: only from there are forwarded headers believed.",
    )
    tls_cert: str = Field(default="", description="Over HTTP, the server's certificate with its chain (PEM).")
    tls_key: str = Field(default="", description="Its private key (PEM); only its owner may read it.")
    tls_client_ca: str = Field(
        default="", description="Certificate authority of callers: each must have a certificate by it (mTLS)."
    )
    store_url: SecretStr = Field(
        default=SecretStr(""),
        description="A Valkey or Redis that replicas share, redis:// on loopback or rediss:// with a password; default: a "
        "file in the state folder.",
    )
    store_ca_file: str = Field(
        default="", description="Certificate authorities of the shared store, instead of the usual ones."
    )
    state_key: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that seals open questions, the same for all replicas; with commas: the first seals, all open.",
    )
    metrics: str = Field(
        default="",
        description="Serve Prometheus metrics: on, at /metrics behind the same authentication, or HOST:PORT of their own.",
    )
    legacy_sse: bool = Field(default=False, description="Over HTTP, also serve the old HTTP+SSE endpoints at /sse.")
    drain_seconds: int = Field(
        default=25, ge=0, le=600, description="Over HTTP, how long calls may go on after SIGTERM before they are cut."
    )
    read_only: bool = Field(default=False, description="Offer no tool that changes anything.")
    state_dir: str = Field(
        default="", description="Where the journal and locks are kept; default: the platform's place."
    )
    policy: str = Field(
        default="", description="The policy file; default: policy.toml beside the settings file, if there is one."
    )
    calls_per_second: float = Field(default=200, gt=0, description="Calls a second of one caller, in the long run.")
    calls_at_once: int = Field(default=32, ge=1, le=1000, description="Calls of one caller that run at once.")
    calls_waiting: int = Field(default=256, ge=0, le=10_000, description="Calls of one caller that wait for a place.")
    call_burst: int = Field(default=2000, ge=1, description="Calls of one caller at once after a pause.")
    call_seconds: float = Field(default=60, gt=0, le=3600, description="The longest a call may run.")
    result_bytes: int = Field(default=8_388_608, ge=10_000, description="The largest result of a call.")
    apps: bool = Field(
        default=True, description="Offer views (MCP Apps) to hosts that show them; other hosts see no difference."
    )
    audit_reads: Literal["durable", "best-effort"] = Field(
        default="durable", description="Whether reading goes on (best-effort) when the journal can't be written."
    )
    redact: bool = Field(
        default=True, description="Mask what looks like a token, private key or password in all that leaves."
    )
    pii: Literal["off", "mask", "block"] = Field(
        default="off", description="Personal data in results: leave it, mask it, or refuse the result."
    )
    sandbox: Literal["on", "off"] = Field(
        default="on", description="Confinement by the kernel, as far as it has any; off leaves the path jail alone."
    )
    require_sandbox: bool = Field(
        default=False, description="Refuse to start where the kernel can't give the whole confinement."
    )
    memory_mb: int = Field(
        default=2048, ge=512, le=1_048_576, description="Memory that the process may map, with --sandbox on."
    )
    open_files: int = Field(
        default=1024, ge=128, le=1_048_576, description="Files that the process may have open, with --sandbox on."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="How much is logged to stderr."
    )

    def secrets(self) -> dict[str, str]:
        """The secrets among the settings, by name; they are masked in all that leaves, whatever `redact` says."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: value.get_secret_value() for name, value in found.items() if isinstance(value, SecretStr)}

    def secret_variables(self) -> list[str]:
        """Environment variables that may have held a secret; nothing needs them once the settings are read."""
        names = [name.upper() for name, info in type(self).model_fields.items() if _kind(info) is SecretStr]
        return [prefix + name for prefix in (self._prefix(), PREFIX) for name in names]

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Never pickled: a pickle would hold the secrets in the clear.

        Raises:
            TypeError: Always.
        """
        raise TypeError("settings hold secrets, so they are not pickled")

    @property
    def state_path(self) -> str:
        """The state directory, absolute."""
        return absolute_state(self.state_dir)

    @property
    def keys_path(self) -> str:
        """The file of API keys, absolute."""
        return os.path.abspath(os.path.expanduser(self.keys_file)) if self.keys_file else keys_file(self.state_path)

    @property
    def policy_path(self) -> str:
        """The policy file, absolute; empty if there is none."""
        if self.policy:
            return os.path.abspath(os.path.expanduser(self.policy))
        usual = os.path.join(platformdirs.user_config_dir("gatelodge"), "policy.toml")
        return usual if os.path.exists(usual) else ""

    @property
    def own_paths(self) -> list[str]:
        """Files and folders that decide what this server does, and tell what it did; absolute."""
        given = [self.state_path, self.keys_path, self.policy_path, settings_file(self._file)]
        return [platformdirs.user_config_dir("gatelodge"), *filter(None, given)]

    @field_validator("*", mode="before")
    @classmethod
    def _split(cls, value: object, info: ValidationInfo) -> object:
        """A list written as one text, as in the environment."""
        field = cls.model_fields.get(info.field_name or "")
        if isinstance(value, str) and field is not None and _kind(field) is list:
            return [part for part in value.split(os.pathsep) if part]
        return value

    @model_validator(mode="before")
    @classmethod
    def _refuse_placeholders(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in values.items() if not unset(key, value)}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the base's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, this server's variables, the variables for all servers, the file."""
        return (
            init_settings,
            EnvSettingsSource(settings_cls, env_prefix=cls._prefix(), env_ignore_empty=True),
            EnvSettingsSource(settings_cls, env_prefix=PREFIX, env_ignore_empty=True),
            FileSource(
                settings_cls, read_settings(_FILE.get(), cls.server, LodgeSettings.model_fields, cls.model_fields)
            ),
        )

    @classmethod
    def load(cls, argv: Sequence[str]) -> Self:
        """Read flags, environment and file, in this order of precedence.

        Args:
            argv: The arguments after the program's name.

        Raises:
            SettingsError: A name is unknown, a value is wrong or still a placeholder, or the file can't be read.
            SystemExit: On ``--help``, with status 0, or 74 if it can't be written.
        """
        flags = vars(cls.parser().parse_args(list(argv)))
        file = str(flags.pop("config") or os.environ.get(f"{PREFIX}CONFIG", ""))
        flags.pop("version", None)
        # No plain arguments at all leaves the other sources their say.
        if cls.positional and not flags.get(cls.positional):
            flags.pop(cls.positional, None)
        cls._check_environment()
        token = _FILE.set(file)
        try:
            return cls(**flags)
        except ValidationError as error:
            raise SettingsError("\n".join(cls._explain(error))) from None
        finally:
            _FILE.reset(token)

    @classmethod
    def parser(cls) -> ArgumentParser:
        """The command line, made from the fields."""
        parser = _Parser(
            prog=f"gatelodge-{cls.server}", description=(cls.__doc__ or "").strip(), allow_abbrev=False, add_help=True
        )
        for name, info in cls.model_fields.items():
            kind = _kind(info)
            if kind is SecretStr or (info.json_schema_extra or {}) == {"flag": False}:
                continue
            text = (info.description or "").replace("%", "%%")
            if name == cls.positional:
                parser.add_argument(name, nargs="*", default=SUPPRESS, metavar=name.upper().rstrip("S"), help=text)
            elif kind is bool:
                parser.add_argument(_flag(name), action=BooleanOptionalAction, default=SUPPRESS, help=text)
            elif kind is list:
                parser.add_argument(
                    _flag(name), action="append", default=SUPPRESS, metavar="TEXT", help=f"{text} May be repeated."
                )
            else:
                parser.add_argument(_flag(name), default=SUPPRESS, metavar=_metavar(kind), help=text)
        parser.add_argument("--config", default="", metavar="FILE", help="The TOML settings file.")
        parser.add_argument("--version", action="store_true", default=SUPPRESS, help="Show the version and exit.")
        return parser

    @classmethod
    def has_variable(cls, name: str) -> bool:
        """Whether a variable that belongs to no field has a meaning; for servers whose users choose names.

        Args:
            name: Without the server's prefix.
        """
        del name
        return False

    @classmethod
    def _prefix(cls) -> str:
        return f"{PREFIX}{cls.server.upper()}_"

    @classmethod
    def _check_environment(cls) -> None:
        """Refuse a variable of ours that nobody knows: a misspelt limit must not be a silent default."""
        others = tuple(f"{PREFIX}{name.upper()}_" for name in SERVERS if name != cls.server)
        for variable in os.environ:
            if not variable.startswith(PREFIX) or variable == f"{PREFIX}CONFIG" or variable.startswith(others):
                continue
            own = variable.startswith(cls._prefix())
            if own and cls.has_variable(variable.removeprefix(cls._prefix())):
                continue
            prefix, known = (cls._prefix(), cls.model_fields) if own else (PREFIX, LodgeSettings.model_fields)
            if variable.removeprefix(prefix).lower() not in known:
                options = ", ".join(sorted(prefix + name.upper() for name in known))
                raise SettingsError(f"{variable}: there is no such setting. Known: {options}")

    @classmethod
    def _explain(cls, error: ValidationError) -> list[str]:
        lines: list[str] = []
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            name = str(item["loc"][0]) if item["loc"] else ""
            message = item["msg"].removeprefix("Value error, ")
            if not name:
                lines.append(message)
                continue
            variable = cls._prefix() + name.upper()
            spelt = name.upper() if name == cls.positional else _flag(name)
            lines.append(f"{name}: {message} (set by {spelt}, {variable}, or {name} in the settings file)")
        return lines


class _Parser(outlet.Parser):
    """Reports a bad command line like any other bad setting."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}\nSee {self.prog} --help")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _kind(info: FieldInfo) -> object:
    """The plain type of a field: `bool`, `int`, `str`, `list`, `SecretStr`, or a Literal's origin."""
    return get_origin(info.annotation) or info.annotation


def _metavar(kind: object) -> str:
    return {int: "N", float: "N"}.get(cast("type", kind), "TEXT")
