"""What the shop windows say of each server: the one place for names, addresses, texts and what a person is asked.

The registry's ``server.json``, the desktop bundle's ``manifest.json``, the catalog entry, the install links and the
READMEs are all made from it (`scripts/generate_docs.py`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[1]
OWNER = "gatelodge"
"""The account on GitHub, which is also the namespace in the registry: ``io.github.OWNER``."""
REPOSITORY = f"https://github.com/{OWNER}/gatelodge"
AUTHOR = "The Gatelodge authors"
LICENSE = "Apache-2.0"
PRIVACY = f"{REPOSITORY}/blob/main/SECURITY.md#what-is-sent-where"


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a person is asked when they install a server.

    Args:
        key: Its name, letters and underscores.
        title: As a form shows it.
        description: What it is for.
        kind: What a form offers.
        variable: The environment variable that carries it; empty if it is an argument.
        required: Whether nothing works without it.
        secret: Whether it must be kept like a password.
        several: Whether there may be more than one.
        shown: Whether examples and links have it though it isn't required.
        example: A value, for placeholders.
    """

    key: str
    title: str
    description: str
    kind: Literal["string", "directory"] = "string"
    variable: str = ""
    required: bool = False
    secret: bool = False
    several: bool = False
    shown: bool = False
    example: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """One server, as people find it.

    Args:
        key: Its short name.
        title: As a list shows it: without the words "MCP" and "Server", each word with a capital (the catalog's rule).
        summary: At most 100 characters (the registry's rule).
        asked: What a person is asked.
        category: In the catalog.
        tags: Words to find it by.
        talks_to: HOST:PORT that a container must reach, as far as that is known beforehand.
        external: Whether it sends anything to others, so that it needs a privacy policy.
    """

    key: str
    title: str
    summary: str
    asked: tuple[Asked, ...]
    category: str
    tags: tuple[str, ...]
    talks_to: tuple[str, ...] = ()
    external: bool = False

    @property
    def package(self) -> str:
        """The distribution, and its command."""
        return f"gatelodge-{self.key}"

    @property
    def registry_name(self) -> str:
        """Its name in the MCP Registry."""
        return f"io.github.{OWNER}/{self.key}"

    @property
    def folder(self) -> Path:
        """Where it is in the repository."""
        return ROOT / "servers" / self.key


def version() -> str:
    """The version of all distributions."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


PRODUCTS = (
    Product(
        "filesystem",
        "Gatelodge Filesystem",
        "Files in the folders you grant: exact edits with undo, fast search, confined by the kernel.",
        (
            Asked(
                "roots", "Folders", "Folders the server may use. Add :ro to one to forbid changes in it.",
                kind="directory", required=True, several=True, example="/path/to/a/folder",
            ),
        ),
        "productivity",
        ("files", "search", "edit", "sandbox"),
    ),
    Product(
        "postgres",
        "Gatelodge PostgreSQL",
        "Query, explain and tune PostgreSQL read-only; changes are previewed, confirmed, rolled back.",
        (
            Asked(
                "url", "Database URL", "Where the database is, with a role that may only read.",
                variable="GATELODGE_POSTGRES_URL", required=True, secret=True,
                example="postgresql://gatelodge_ro:PASSWORD@localhost:5432/app",
            ),
        ),
        "database",
        ("postgresql", "sql", "database", "performance"),
    ),
    Product(
        "github",
        "Gatelodge GitHub",
        "GitHub in small answers that say who wrote what; changes are confirmed and sent once.",
        (
            Asked(
                "token", "Personal access token", "A GitHub token, best fine-grained. Without one, public repositories can be read.",
                variable="GITHUB_PERSONAL_ACCESS_TOKEN", secret=True, shown=True, example="YOUR_TOKEN",
            ),
            Asked(
                "repo", "Default repository", "The repository that tools take when none is named, owner/name.",
                variable="GATELODGE_GITHUB_REPO", example="octocat/hello-world",
            ),
        ),
        "devops",
        ("github", "issues", "pull-requests", "actions"),
        talks_to=("api.github.com:443", "github.com:443"),
        external=True,
    ),
    Product(
        "websearch",
        "Gatelodge Web Search",
        "Search the web and read pages within a token budget, with sources to cite; no key needed.",
        (
            Asked(
                "engines", "Engines", "Who may see queries, in order, with commas; duckduckgo needs no key.",
                variable="GATELODGE_WEBSEARCH_ENGINES", example="duckduckgo,wikipedia",
            ),
            Asked(
                "brave_key", "Brave Search key", "Only for the engine brave.",
                variable="GATELODGE_WEBSEARCH_BRAVE_KEY", secret=True, example="YOUR_KEY",
            ),
        ),
        "search",
        ("web", "search", "research", "pages"),
        external=True,
    ),
)  # fmt: skip
"""All servers, in the order in which they are told of."""
