"""The documentation is a site: built strictly, every link and anchor leads somewhere, nothing comes from elsewhere."""

from __future__ import annotations

import functools
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from products import ROOT, version


class _Parts(HTMLParser):
    """The anchors of a page, the links on it, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what matters of a tag."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag in ("script", "img", "iframe", "source") and "src" in given:
            self.loads.add(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect"):
            self.loads.add(given["href"])


def build(out: Path, config: Path) -> subprocess.CompletedProcess[str]:
    mkdocs = Path(sys.executable).parent / "mkdocs"
    return subprocess.run(
        [str(mkdocs), "build", "--strict", "--config-file", str(config), "--site-dir", str(out)],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built."""
    out = tmp_path_factory.mktemp("site")
    done = build(out, ROOT / "mkdocs.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def parts(site: Path) -> dict[Path, _Parts]:
    """Each page, taken apart."""
    return {page: _Parts(page) for page in site.rglob("*.html")}


def test_every_chapter_is_in_the_navigation_by_its_number(site: Path, parts: dict[Path, _Parts]) -> None:
    chapters = sorted(path.name for path in (ROOT / "docs").glob("[0-9][0-9]-*.md"))
    assert len({name[:2] for name in chapters}) == len(chapters), "two chapters have one number"
    for name in chapters:
        assert name.replace(".md", ".html") in parts[site / "index.html"].links
        title = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith(f"# {int(name[:2])}. "), (name, title)


def test_every_link_and_anchor_on_the_site_leads_somewhere(site: Path, parts: dict[Path, _Parts]) -> None:
    broken: list[tuple[str, str]] = []
    for page, found in parts.items():
        if page.name == "404.html":  # its links begin at the site's root, wherever that will be
            continue
        for link in found.links | found.loads:
            to = urlsplit(link)
            if to.scheme:
                continue
            target = (page.parent / unquote(to.path)).resolve() if to.path else page
            if target.is_dir():
                target /= "index.html"
            anchors = parts[target].anchors if target in parts else set[str]()
            if not target.exists() or (to.fragment and unquote(to.fragment) not in anchors):
                broken.append((page.relative_to(site).as_posix(), link))
    assert broken == []


def test_pages_load_nothing_from_elsewhere(parts: dict[Path, _Parts]) -> None:
    assert [load for found in parts.values() for load in found.loads if urlsplit(load).netloc] == []


@pytest.mark.parametrize("wrong", ["[gone](99-gone.md)", "[no such part](#no-such-part)", "[x](../no/file.py)"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, wrong: str) -> None:
    for name in ("mkdocs.yml", "scripts/website.py", "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"):
        (tmp_path / name).write_text("# A page\n", encoding="utf-8")
    for readme in ROOT.glob("s*/**/README.md"):
        copy = tmp_path / readme.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("# A page\n", encoding="utf-8")
    chapter = tmp_path / "docs" / "01-one.md"
    chapter.parent.mkdir()
    chapter.write_text("# 1. One\n", encoding="utf-8")
    assert build(tmp_path / "out", tmp_path / "mkdocs.yml").returncode == 0
    chapter.write_text(f"# 1. One\n\n{wrong}\n", encoding="utf-8")
    assert build(tmp_path / "out", tmp_path / "mkdocs.yml").returncode != 0


DOCUMENTS = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("servers/*/README.md")),
]  # fmt: skip
_BLOCK = re.compile(r"^```(?:bash|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OTHERS = re.compile(r"^ {4}((?:gatelodge|uvx ).*)$|`((?:gatelodge|uvx )[^`\n]* [^`\n]*)`", re.MULTILINE)
"""Code that is set in, and code in sentences."""
_OURS = re.compile(r"gatelodge(?:-[a-z]+)?")
_SETS = re.compile(r"[A-Z_]+=.*")


def ours(line: str) -> list[list[str]]:
    """The commands of a line that are ours, each from its name on, whatever starts it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    found: list[list[str]] = []
    for between, part in itertools.groupby(lexer, lambda word: not word.strip("|&;")):
        words = [] if between else list(part)
        while words and _SETS.fullmatch(words[0]):
            del words[0]
        started = words[:1] == ["uvx"] or words[:2] == ["uv", "run"]
        names = [at for at, word in enumerate(words) if _OURS.fullmatch(word) and (at == 0 or started)]
        if names:
            found.append(words[names[-1] if started else 0 :])
    return found


def examples() -> list[tuple[str, list[str]]]:
    """Each command of ours in blocks and sentences, with the document it is in."""
    found: list[tuple[str, list[str]]] = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line for block in _BLOCK.findall(text) for line in block.splitlines()]
        lines += [one or other for one, other in _OTHERS.findall(text)]
        found += [(document.relative_to(ROOT).as_posix(), words) for line in lines for words in ours(line)]
    return found


def faults(document: str, words: list[str]) -> list[str]:
    """What of a command doesn't exist: a subcommand, or flags."""
    name, *rest = words
    command = [name]
    if rest and name != "gatelodge" and re.fullmatch(r"[a-z]+-[a-z]+", rest[0]):  # a command of a server's own
        command.append(rest.pop(0))
    # `gatelodge` has commands, some of which have commands of their own; the servers take what they serve.
    while name == "gatelodge" and rest and re.fullmatch(r"[a-z-]+", rest[0]) and not rest[0].startswith("-"):
        if not re.search(rf"(?<![\w-]){rest[0]}(?![\w-])", help_of(*command)):
            return [f"{document}: {' '.join(words)}: no command {rest[0]}"] if len(command) == 1 else []
        command.append(rest.pop(0))
        if len(command) == 3:
            break
    text = help_of(*command)
    flags = [word.partition("=")[0] for word in rest if re.match(r"--\w", word)]
    return [
        f"{document}: {' '.join(words)}: no flag {flag}" for flag in flags if flag not in text.replace(",", " ").split()
    ]


@functools.cache
def help_of(*command: str) -> str:
    """What a command says of itself."""
    script = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(script), *command[1:], "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def test_every_flag_and_subcommand_in_the_shell_examples_exists() -> None:
    found = examples()
    assert len(found) > 10
    assert [fault for document, words in found for fault in faults(document, words)] == []


@pytest.mark.parametrize(
    "line",
    ["uvx gatelodge-filesystem --no-such-flag ~/x", "A=b uv run gatelodge nonsense", "gatelodge audit tail --folow"],
)
def test_an_example_that_does_not_exist_would_be_found(line: str) -> None:
    (words,) = ours(line)
    assert faults("a page", words)


def test_the_version_commands_say_the_version() -> None:
    for name in ("gatelodge-filesystem", "gatelodge-postgres", "gatelodge-github", "gatelodge-websearch"):
        done = subprocess.run(
            [str(Path(sys.executable).parent / name), "--version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.split() == [name, version()]
