"""What the site has besides the chapters: the READMEs and the policies, and links that lead where they lead on GitHub.

A hook of MkDocs. Chapters in ``docs/`` are found by their numbers, so a new one is there by being written. A link to a
file of the repository that isn't a page becomes one to the repository, if that file exists; if not, the build fails.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
SERVERS = {"filesystem": "Files", "postgres": "PostgreSQL", "github": "GitHub", "websearch": "Web search"}
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "shared/README.md": "core.md",
    **{f"servers/{name}/README.md": f"{name}.md" for name in SERVERS},
}
"""Pages that don't lie in ``docs/``: their path in the repository, and their name on the site."""
_NUMBERED = re.compile(r"(\d\d)-.+\.md")
_TOKEN = re.compile(
    r"^```.*?^```|`[^`\n]+`(?!\])|(?<!!)\[(?P<words>(?:`[^`\n]*`|[^\]\[`])*)\]\((?P<to>[^()\s]+)\)",
    re.MULTILINE | re.DOTALL,
)
"""Code, where a link is no link, or a link."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere."""
    for source, name in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the navigation: the start, the servers, the chapters by number, the rest of ``docs/``, the project."""
    folder = Path(config.docs_dir)
    chapters = sorted(path.name for path in folder.glob("*.md") if _NUMBERED.fullmatch(path.name))
    others = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.md")
        if path.relative_to(folder).as_posix() not in chapters
    )
    nav: list[Any] = [
        {"Start": "index.md"},
        {"Servers": [{title: f"{name}.md"} for name, title in SERVERS.items()] + [{"The lodge": "core.md"}]},
        {"Chapters": chapters},
    ]
    if others:
        nav.append({"More": others})
    nav.append({"Project": ["contributing.md", "security.md", "changelog.md"]})
    config.nav = nav
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links lead to pages of the site, or to the repository."""
    del files
    source = next((path for path, name in PAGES.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")
    return _TOKEN.sub(lambda found: found[0] if found["to"] is None else _led(found, source, config), markdown)


def _led(found: re.Match[str], source: str, config: MkDocsConfig) -> str:
    to = found["to"]
    if re.match(r"[a-z]+:|#", to):
        return found[0]
    path, mark, anchor = to.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    if not (ROOT / target).exists():
        raise PluginError(f"{source} links to {to}, and there is no {target}")
    if target in PAGES:
        place = PAGES[target]
    elif target.startswith("docs/") and target.endswith(".md"):
        place = target.removeprefix("docs/")
    else:
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"[{found['words']}]({config.repo_url}/{kind}/main/{target}{mark}{anchor})"
    here = PAGES.get(source, source.removeprefix("docs/"))
    return f"[{found['words']}]({posixpath.relpath(place, posixpath.dirname(here) or '.')}{mark}{anchor})"
