"""What the filesystem server can be told."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from gatelodge_core.auth.principal import check_named
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.credentials import allowing
from gatelodge_core.settings import LodgeSettings, Texts
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from gatelodge_filesystem.roots import RootSpec, parse_spec

_MODES = ("ro", "rw")
OPTIONAL_TOOLS = {
    "archive": ("list_archive", "create_archive", "extract_archive"),
    "apply_patch": ("apply_patch",),
}
"""What ``--tools`` can add: tools by their group."""


def _joined(roots: list[str]) -> list[str]:
    """Each ``ro`` or ``rw`` given back to its folder: a colon is also what joins folders in the environment."""
    joined: list[str] = []
    for part in roots:
        if part in _MODES and joined and not joined[-1].endswith(tuple(f":{mode}" for mode in _MODES)):
            joined[-1] += f":{part}"
        else:
            joined.append(part)
    for text in joined:
        parse_spec(text)
    return joined


class Account(BaseModel):
    """The folders of one principal: a table ``[filesystem.accounts."key:NAME"]``."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    roots: list[str] = Field(min_length=1, description="Folders, as on the command line.")

    @field_validator("roots", mode="after")
    @classmethod
    def _join_modes(cls, roots: list[str]) -> list[str]:
        return _joined(roots)


class FilesystemSettings(LodgeSettings):
    """MCP server for files, confined to the folders it is given."""

    server: ClassVar[str] = "filesystem"
    positional: ClassVar[str] = "roots"

    roots: Annotated[list[str], NoDecode] = Field(
        default_factory=list[str],
        description="A folder the server may use; append :ro to forbid changes, for example ~/notes ~/src:ro.",
    )
    accounts: dict[str, Account] = Field(
        default_factory=dict[str, Account],
        description="Over HTTP: the folders of each principal, by the principal's name. In the settings file alone.",
        json_schema_extra={"flag": False},
    )
    allow_broad_roots: bool = Field(default=False, description="Accept /, a home folder or a system folder as a root.")
    budget: int = Field(
        default=48_000, ge=2_000, le=1_000_000, description="The most characters of text in one result."
    )

    undo_megabytes: int = Field(
        default=1024, ge=1, le=1_000_000, description="The most that previous versions and the trash take up."
    )
    undo_days: float = Field(default=14, gt=0, le=3650, description="How long changes can be undone.")

    allow_credentials: Texts = Field(
        default_factory=list[str],
        description="A glob of credential files that may be used all the same, for example .env.test or certs/*.pem.",
    )

    compat: Literal["", "reference"] = Field(
        default="",
        description="Offer the tool names of @modelcontextprotocol/server-filesystem instead of our own (reference).",
    )

    tools: Texts = Field(default_factory=list[str], description="Tools offered besides: archive, apply_patch.")

    @field_validator("tools", mode="after")
    @classmethod
    def _are_offered(cls, tools: list[str]) -> list[str]:
        for name in tools:
            if name not in OPTIONAL_TOOLS:
                raise ValueError(f"{name[:40]!r} is not one of: {', '.join(OPTIONAL_TOOLS)}")
        return tools

    @field_validator("allow_credentials", mode="after")
    @classmethod
    def _are_globs(cls, patterns: list[str]) -> list[str]:
        try:
            allowing(patterns)
        except CallError as error:
            raise ValueError(str(error)) from None
        return patterns

    @field_validator("roots", mode="after")
    @classmethod
    def _join_modes(cls, roots: list[str]) -> list[str]:
        return _joined(roots)

    @field_validator("accounts", mode="after")
    @classmethod
    def _are_principals(cls, accounts: dict[str, Account]) -> dict[str, Account]:
        check_named(accounts)
        return accounts

    @property
    def specs(self) -> list[RootSpec]:
        """The roots, parsed; all read-only under ``--read-only``."""
        return self._parsed(self.roots)

    @property
    def account_specs(self) -> dict[str, list[RootSpec]]:
        """The same of each account."""
        return {name: self._parsed(account.roots) for name, account in self.accounts.items()}

    def _parsed(self, roots: list[str]) -> list[RootSpec]:
        specs = [parse_spec(text) for text in roots]
        return [RootSpec(spec.path, spec.writable and not self.read_only) for spec in specs]
