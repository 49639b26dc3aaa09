"""What the filesystem server can be told."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.credentials import allowing
from gatelodge_core.settings import LodgeSettings, Texts
from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from gatelodge_filesystem.roots import RootSpec, parse_spec

_MODES = ("ro", "rw")
OPTIONAL_TOOLS = {
    "archive": ("list_archive", "create_archive", "extract_archive"),
    "apply_patch": ("apply_patch",),
}
"""What ``--tools`` can add: tools by their group."""


class FilesystemSettings(LodgeSettings):
    """MCP server for files, confined to the folders it is given."""

    server: ClassVar[str] = "filesystem"
    positional: ClassVar[str] = "roots"

    roots: Annotated[list[str], NoDecode] = Field(
        default_factory=list[str],
        description="A folder the server may use; append :ro to forbid changes, for example ~/notes ~/src:ro.",
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
        """Give each ``ro`` or ``rw`` back to its folder: a colon is also what joins folders in the environment."""
        joined: list[str] = []
        for part in roots:
            if part in _MODES and joined and not joined[-1].endswith(tuple(f":{mode}" for mode in _MODES)):
                joined[-1] += f":{part}"
            else:
                joined.append(part)
        for text in joined:
            parse_spec(text)
        return joined

    @property
    def specs(self) -> list[RootSpec]:
        """The roots, parsed; all read-only under ``--read-only``."""
        specs = [parse_spec(text) for text in self.roots]
        return [RootSpec(spec.path, spec.writable and not self.read_only) for spec in specs]
