"""What the GitHub server can be told."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from gatelodge_core.errors import CallError
from gatelodge_core.globs import Globs
from gatelodge_core.settings import LodgeSettings, Texts
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from gatelodge_github.names import LOGIN, REPO
from gatelodge_github.surface import TOOLSETS, USUAL, words

_PART = re.compile(r"(?:[\w.*?!-]|\[[\w.!^-]+\]|\{[\w.*?!,\[\]^-]+\})+", re.ASCII)
"""The glob of an owner or of a name, its brackets and braces closed."""


class Account(BaseModel):
    """The credential of one principal, for servers over HTTP."""

    model_config = ConfigDict(extra="forbid")

    token_file: str = ""
    app_id: str = ""
    app_installation_id: str = ""
    app_key_file: str = ""


class GithubSettings(LodgeSettings):
    """MCP server for GitHub: repositories, issues, pull requests and Actions in small answers, marked by who wrote them."""

    server: ClassVar[str] = "github"

    repo: str = Field(default="", description="The default repository, owner/name: tools take it when none is named.")
    repos: Texts = Field(
        default_factory=list[str],
        description="A glob over owner/name: only repositories that match one may be read; all if there is none.",
    )
    write_repos: Texts = Field(
        default_factory=list[str],
        description="A glob over owner/name: only repositories that match one may be written. If there is none, the "
        "default repository is written without asking, and any other after the person said yes.",
    )
    toolsets: str = Field(
        default=USUAL, description=f"Groups of tools to offer, with commas, or all: {', '.join(TOOLSETS)}."
    )
    tools: str = Field(default="", description="Single tools to offer beside the toolsets, with commas.")
    exclude_tools: str = Field(default="", description="Tools that are not offered, with commas.")
    lockdown: Literal["label", "filter", "strict"] = Field(
        default="label",
        description="Text by people who can't push: mark it (label); withhold it in issues, pull requests, reviews, "
        "comments and files (filter); everywhere, logs and search too (strict).",
    )
    trusted_bots: Texts = Field(
        default_factory=list[str], description="The login of a bot whose text is trusted, such as dependabot[bot]."
    )
    host: str = Field(
        default="github.com", description="The web host: github.com, NAME.ghe.com, or a GitHub Enterprise Server."
    )
    api_url: str = Field(default="", description="Base URL of the REST API, if it isn't the usual one of the host.")
    download_hosts: Texts = Field(
        default_factory=list[str],
        description="A further host from which job logs may be downloaded; *.example.org for all below.",
    )
    ca_file: str = Field(default="", description="Certificate authorities to trust instead of the usual ones.")
    token: SecretStr = Field(default=SecretStr(""), description="A personal access token, classic or fine-grained.")
    token_file: str = Field(default="", description="A file that holds the token; only its owner may read it.")
    keyring: str = Field(
        default="",
        description="Take the token from the system's keyring: on, or SERVICE:USER. Needs the extra keyring.",
    )
    gh_cli: bool = Field(default=False, description="Take the token that the gh command is logged in with.")
    app_id: str = Field(default="", description="Act as a GitHub App: its id, or client id.")
    app_installation_id: str = Field(default="", description="The App's installation.")
    app_key_file: str = Field(default="", description="The App's private key (PEM); only its owner may read it.")
    accounts: dict[str, Account] = Field(
        default_factory=dict[str, Account],
        description="Over HTTP: a credential for each principal, by the principal's name. In the settings file alone.",
        json_schema_extra={"flag": False},
    )
    cache_mb: int = Field(
        default=32, ge=0, le=1024, description="Answers kept to be asked for again at no cost; 0 for none."
    )
    writes_per_minute: int = Field(default=30, ge=1, le=80, description="Changes of one caller a minute.")

    @field_validator("repo")
    @classmethod
    def _named(cls, text: str) -> str:
        if text and not REPO.fullmatch(text):
            raise ValueError("write owner/name, such as octocat/hello-world")
        return text

    @field_validator("repos", "write_repos")
    @classmethod
    def _globs(cls, texts: list[str]) -> list[str]:
        for text in texts:
            owner, _, name = text.partition("/")
            # A brace over the slash would make globs of names alone, which match under any owner.
            if not (_PART.fullmatch(owner) and _PART.fullmatch(name)):
                raise ValueError(f"{text[:80]!r} is no glob over owner/name, such as acme/* or acme/{{one,two}}")
            try:
                Globs([text], empty_matches=False)
            except CallError as error:
                raise ValueError(f"{text[:80]!r}: {error.message}") from None
        return texts

    @field_validator("trusted_bots")
    @classmethod
    def _bots(cls, texts: list[str]) -> list[str]:
        for text in texts:
            if not (LOGIN.fullmatch(text) and text.lower().endswith("[bot]")):
                raise ValueError(f"{text[:80]!r} is no bot's login: write it in full, such as dependabot[bot]")
        return texts

    @field_validator("toolsets")
    @classmethod
    def _known(cls, text: str) -> str:
        for name in words(text):
            if name not in (*TOOLSETS, "all"):
                raise ValueError(f"unknown toolset {name[:40]!r}; there are {', '.join(TOOLSETS)} and all")
        return text

    @property
    def chosen_toolsets(self) -> frozenset[str]:
        """The toolsets that are on."""
        found = words(self.toolsets)
        return frozenset(TOOLSETS if "all" in found else found)
