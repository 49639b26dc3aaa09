"""What the web search server can be told."""

from __future__ import annotations

from typing import ClassVar, Literal

from gatelodge_core.numbers import whole
from gatelodge_core.settings import LodgeSettings, Texts
from pydantic import Field, SecretStr, field_validator

ENGINES = ("duckduckgo", "mojeek", "brave_html", "startpage", "yahoo", "wikipedia", "searxng", "brave", "tavily")


class WebsearchSettings(LodgeSettings):
    """MCP server that searches the web and reads pages as data."""

    server: ClassVar[str] = "websearch"

    engines: str = Field(
        default="duckduckgo",
        description=f"Who may see queries, in order, with commas: {', '.join(ENGINES)}.",
    )
    combine: Literal["first", "all"] = Field(
        default="first", description="Ask the next engine only if one fails (first), or all at once (all)."
    )
    hedge_seconds: float = Field(
        default=3,
        ge=0,
        le=60,
        description="With combine=first, also ask the next engine if one takes longer than this, or than it usually does; "
        "0 for never.",
    )
    searxng_url: str = Field(default="", description="Base URL of your SearXNG; its settings must allow json.")
    brave_key: SecretStr = Field(default=SecretStr(""), description="Key of the Brave Search API.")
    tavily_key: SecretStr = Field(default=SecretStr(""), description="Key of the Tavily API.")
    allow_domains: str = Field(
        default="", description="Only these domains and what is below them may be read, with commas; all if empty."
    )
    deny_domains: str = Field(default="", description="Domains that are never read and never shown, with commas.")
    allow_hosts: str = Field(default="", description="HOST:PORT pairs, with commas, that may have a private address.")
    allow_networks: str = Field(default="", description="Networks (CIDR, with commas) that may be reached whatever.")
    ports: str = Field(default="80,443", description="Ports that pages may be on, with commas.")
    proxy: str = Field(default="", description="An HTTP proxy for everything; it resolves names itself.")
    ca_file: str = Field(default="", description="Certificate authorities to trust instead of the system's.")
    strict: bool = Field(
        default=False, description="Ask the person before a domain is read that no search result or setting has named."
    )
    robots: Literal["on", "off"] = Field(default="on", description="Whether robots.txt is honoured for reading.")
    folders: Texts = Field(
        default_factory=list[str],
        description="A folder of Markdown, HTML or text files that search_local finds too; it is only read.",
    )
    cache_seconds: int = Field(default=900, ge=0, description="How long a page or a search is answered from the cache.")
    cache_mb: int = Field(default=64, ge=1, le=4096, description="Size of the page cache.")

    @field_validator("engines")
    @classmethod
    def _known(cls, text: str) -> str:
        for name in words(text):
            if name not in ENGINES:
                raise ValueError(f"unknown engine {name[:40]!r}; there are {', '.join(ENGINES)}")
        return text

    @field_validator("ports")
    @classmethod
    def _numbers(cls, text: str) -> str:
        for word in words(text):
            if not 0 < (whole(word) or 0) < 65536:
                raise ValueError("ports are numbers from 1 to 65535, with commas")
        return text

    @property
    def port_numbers(self) -> frozenset[int]:
        """The ports, parsed."""
        return frozenset(int(word) for word in words(self.ports))


def words(text: str) -> list[str]:
    """The parts of a list written with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
