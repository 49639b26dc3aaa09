"""What the PostgreSQL server can be told."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any, ClassVar, Literal, Self

from gatelodge_core.auth.principal import check_named
from gatelodge_core.settings import PREFIX, LodgeSettings, Texts
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gatelodge_postgres.surface import DEFAULT, NAME, OF_ONE, RESERVED, USUAL, named

GROUPS = ("core", "dev", "dba", "write", "admin")
"""What ``--tools`` chooses from; write and admin need their own switch besides."""

_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@|\bpassword\s*=", re.IGNORECASE)


class DatabaseSettings(BaseModel):
    """One database: a table ``[postgres.databases.NAME]``, or variables ``GATELODGE_POSTGRES_NAME_...``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: SecretStr = Field(default=SecretStr(""), description="URL or key=value DSN, as libpq takes them.")
    write_url: SecretStr = Field(default=SecretStr(""), description="The same with the role that may change things.")
    description: str = Field(default="", max_length=200, description="What is in it, for models.")
    password_command: str = Field(default="", description="Command whose output is the password, asked per connection.")
    ssh: str = Field(default="", description="USER@BASTION to reach it through, by the system's ssh.")
    role: str = Field(default="", description="Role taken in each transaction; {principal} is the caller's subject.")


class Account(BaseModel):
    """The databases of one principal: a table ``[postgres.accounts."key:NAME"]``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    connections: list[str] = Field(min_length=1, description="Names of databases.")


class PostgresSettings(LodgeSettings):
    """MCP server for PostgreSQL: reads in five layers, changes only as previewed and confirmed."""

    server: ClassVar[str] = "postgres"
    positional: ClassVar[str] = "connect"

    connect: Texts = Field(
        default_factory=list[str],
        description="A database: URL or NAME=URL, without a password; put those in GATELODGE_POSTGRES_[NAME_]URL.",
    )
    url: SecretStr = Field(default=SecretStr(""), description="The database, as a URL or DSN of libpq.")
    write_url: SecretStr = Field(default=SecretStr(""), description="The same, with the role that may change things.")
    databases: dict[str, DatabaseSettings] = Field(
        default_factory=dict[str, DatabaseSettings],
        description="Several databases by name, each a table [postgres.databases.NAME].",
        json_schema_extra={"flag": False},
    )
    accounts: dict[str, Account] = Field(
        default_factory=dict[str, Account],
        description="Over HTTP: the databases of each principal, by the principal's name. In the settings file alone.",
        json_schema_extra={"flag": False},
    )
    demo: bool = Field(default=False, description="Serve a small generated shop database of its own.")
    allow_root: bool = Field(
        default=False, description="With --demo as root outside a container: let the user nobody run the database."
    )
    tools: Texts = Field(
        default_factory=lambda: list(USUAL),
        description=f"Tools offered, by group: {', '.join(GROUPS)}.",
    )
    allow_write: bool = Field(
        default=False, description="Offer preview_change and apply_change where a database has a write_url."
    )
    allow_admin: bool = Field(default=False, description="Offer cancel_backend.")
    write_profile: Literal["dml", "ddl", "all"] = Field(
        default="all", description="What may be changed: rows (dml), definitions (ddl), or both."
    )
    allow_superuser: bool = Field(default=False, description="Serve a database although its role is a superuser.")
    privileges: Literal["enforce", "warn"] = Field(
        default="warn", description="Refuse a role that could do more than read (enforce), or only say so."
    )
    judge: Literal["parsed", "server-only"] = Field(
        default="parsed", description="Judge SQL by its parse tree, or leave it to role, protocol and transaction."
    )
    functions: Literal["declared", "strict"] = Field(
        default="declared",
        description="User-defined functions: as they declare themselves, or only those allowed. Always strict for superusers.",
    )
    allow_functions: Texts = Field(
        default_factory=list[str],
        description="A glob of functions allowed whatever they declare, for example app.tax_*.",
    )
    deny_relations: Texts = Field(
        default_factory=list[str], description="A glob of tables or views never read, for example hr.* or *.secrets."
    )
    allow_relations: Texts = Field(
        default_factory=list[str], description="If given, only tables and views that match one of these globs are read."
    )
    allow_foreign: bool = Field(
        default=False, description="Read foreign tables, which reach other servers, files or programs."
    )
    mask_columns: Texts = Field(
        default_factory=list[str], description="A glob of columns whose values are masked, for example *.users.email."
    )
    max_rows: int = Field(default=10_000, ge=1, le=100_000, description="The most rows a call may ask for.")
    value_chars: int = Field(default=16_000, ge=100, le=1_000_000, description="The most characters of one value.")
    max_cost: float = Field(
        default=5e6, ge=0, description="Refuse queries that the planner thinks cost more; 0 asks no planner."
    )
    query_seconds: float = Field(default=15, gt=0, le=300, description="The longest a query may run.")
    lock_seconds: float = Field(default=2, gt=0, le=60, description="The longest a statement waits for a lock.")
    connect_seconds: float = Field(default=10, ge=1, le=60, description="The longest a connection may take.")
    pool_size: int = Field(default=4, ge=1, le=50, description="Connections to each database.")
    export_mb: int = Field(default=256, ge=1, le=100_000, description="The largest export.")
    catalog_seconds: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="While a host listens: how often to look for new or changed tables; 0 only when this server changes some.",
    )
    export_minutes: int = Field(default=60, ge=1, le=10_080, description="How long an export is kept.")

    @model_validator(mode="before")
    @classmethod
    def _from_environment(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Databases that variables name, each key over what the settings file says of it."""
        prefix = cls._prefix()
        named: dict[str, Any] = dict(values.get("databases") or {})
        for variable, text in os.environ.items():
            found = OF_ONE.fullmatch(variable.removeprefix(prefix)) if variable.startswith(prefix) else None
            if found is None or not text or variable.removeprefix(prefix).lower() in cls.model_fields:
                continue
            name, key = found[1].lower(), found[2].lower()
            given = named.get(name, {})
            named[name] = {**(given if isinstance(given, dict) else {}), key: text}
        return {**values, "databases": named} if named else values

    @model_validator(mode="after")
    def _needs_the_verdict(self) -> Self:
        """What only the verdict holds can't be asked for without it."""
        if self.judge == "server-only":
            for name in ("mask_columns", "deny_relations", "allow_relations", "allow_write"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs judge = parsed: without the verdict nothing holds it")
        return self

    @field_validator("accounts", mode="after")
    @classmethod
    def _are_principals(cls, accounts: dict[str, Account]) -> dict[str, Account]:
        check_named(accounts)
        return accounts

    @field_validator("tools", mode="after")
    @classmethod
    def _are_groups(cls, tools: list[str]) -> list[str]:
        for name in tools:
            if name not in GROUPS:
                raise ValueError(f"{name[:40]!r} is not one of: {', '.join(GROUPS)}")
        return tools

    @field_validator("connect", mode="after")
    @classmethod
    def _hold_no_password(cls, given: list[str]) -> list[str]:
        for text in given:
            if _PASSWORD.search(text):
                # Without the text: it would show the password.
                raise ValueError(
                    "an argument holds a password, which others can see in the list of processes; set "
                    f"{PREFIX}POSTGRES_URL, or keep the password in ~/.pgpass or a settings file of mode 0600"
                )
        return given

    @field_validator("databases", mode="after")
    @classmethod
    def _are_named(cls, given: dict[str, DatabaseSettings]) -> dict[str, DatabaseSettings]:
        for name, database in given.items():
            if not NAME.fullmatch(name):
                raise ValueError(f"{name[:40]!r} is no name: lower-case letters, digits and _, at most 40")
            if name in RESERVED:
                raise ValueError(f"{name!r} can't name a database: pg://{name} is something else")
            try:
                shlex.split(database.password_command)
            except ValueError as error:
                raise ValueError(f"{name}: password_command: {error}") from None
            if database.ssh.startswith("-"):
                raise ValueError(f"{name}: ssh names a host, not an option")
        return given

    @classmethod
    def has_variable(cls, name: str) -> bool:
        """Whether a variable is one of a named database's."""
        return OF_ONE.fullmatch(name) is not None

    def all_databases(self) -> dict[str, DatabaseSettings]:
        """Every database by its name, in the order given. Empty if none is configured."""
        found: dict[str, DatabaseSettings] = {}
        if self.url.get_secret_value():
            found[DEFAULT] = DatabaseSettings(url=self.url, write_url=self.write_url)
        for text in self.connect:
            name, url = named(text)
            found[name] = DatabaseSettings(url=SecretStr(url), write_url=self.write_url)
        for name, given in self.databases.items():
            known = found.get(name)
            if known is not None and not given.url.get_secret_value():
                # Its URL was given by itself, and the rest, such as DEFAULT_SSH, by name.
                given = given.model_copy(update={"url": known.url})  # noqa: PLW2901 - the same, completed
            found[name] = given
        return found

    def secrets(self) -> dict[str, str]:
        """The secrets among the settings: URLs and the passwords in them."""
        found = {key: text for key, text in super().secrets().items() if key not in ("url", "write_url")}
        for name, database in self.all_databases().items():
            for key, secret in (("url", database.url), ("write_url", database.write_url)):
                text = secret.get_secret_value()
                # A URL without a password is no secret, and masking it would hide every mention of a host.
                if _PASSWORD.search(text):
                    found[f"{name} {key}"] = text
                    found |= {f"{name} {key} password {n}": word for n, word in enumerate(passwords(text))}
        return found

    def secret_variables(self) -> list[str]:
        """Environment variables that hold URLs."""
        prefix = self._prefix()
        named = [variable for variable in os.environ if variable.startswith(prefix) and variable.endswith("URL")]
        return [*super().secret_variables(), *named]


def passwords(url: str) -> list[str]:
    """The password of a URL or DSN, as written and decoded."""
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415 - the driver is heavy

    try:
        parsed = str(conninfo_to_dict(url).get("password") or "")
    except Exception:  # noqa: BLE001 - a URL that can't be parsed is told of where it is used
        parsed = ""
    written = re.search(r"://[^/@\s]*?:([^/@\s]+)@", url)
    return [word for word in dict.fromkeys([parsed, written[1] if written else ""]) if word]
