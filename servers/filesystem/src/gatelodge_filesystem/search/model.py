"""What is searched for, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Case = Literal["smart", "sensitive", "insensitive"]


@dataclass(frozen=True, slots=True)
class Request:
    """What to search for.

    Args:
        pattern: A text, or an expression if `regex`.
        regex: Whether `pattern` is a regular expression (the `regex` package's dialect; line by line).
        globs: Patterns of which a file's path must match one; none match everything.
        exclude: Patterns of which none may match.
        case: Smart is sensitive if the pattern has an upper-case letter.
        word: Whether only whole words count.
        context: Lines shown before and after each hit.
        limit: Lines shown in all.
        per_file: Lines shown of one file.
        after: Where to go on: behind a line of a file (line, path), or behind the whole file (0, path).
        use_ignore: Whether ignore rules leave files out.
        hidden: Whether names that begin with a dot are seen.
    """

    pattern: str
    regex: bool = False
    globs: Sequence[str] = ()
    exclude: Sequence[str] = ()
    case: Case = "smart"
    word: bool = False
    context: int = 0
    limit: int = 100
    per_file: int = 20
    after: tuple[int, str] | None = None
    use_ignore: bool = True
    hidden: bool = False

    @property
    def sensitive(self) -> bool:
        """Whether upper and lower case differ."""
        return self.case == "sensitive" or (self.case == "smart" and self.pattern != self.pattern.lower())


@dataclass(frozen=True, slots=True)
class Hit:
    """One line with a match.

    Args:
        line: Its number, from 1.
        column: Where the first match begins, in characters from 1.
        text: The line, without its end, cut to a moderate length around the match.
        before: (number, text) of the lines before it, without those that the hit before it has around it.
        after: (number, text) of the lines after it, up to the next hit.
    """

    line: int
    column: int
    text: str
    before: tuple[tuple[int, str], ...] = ()
    after: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class FileHits:
    """The hits of one file.

    Args:
        rel: Its path from where the search began.
        etag: Of its bytes.
        count: Lines with a match.
        hits: Those that are shown on this page.
        earlier: How many an earlier page has shown.
        goes_on: Whether the next page shows more of them.
    """

    rel: str
    etag: str
    count: int
    hits: list[Hit]
    earlier: int = 0
    goes_on: bool = False


@dataclass(slots=True)
class Hits:
    """What a search found.

    Args:
        files: Files with hits, by path.
        total_lines: Lines with a match in all files.
        total_files: Files with a match.
        scanned: Files that were searched; 0 if ripgrep chose them, which doesn't count.
        binary: Files passed over since they are not text.
        large: Files passed over since they are too large.
        refused: Files passed over since they hold credentials; only a walk counts them, as a scout sees their content.
        slow: Files passed over since the expression takes too long on them.
        more: Whether there is another page.
        engine: What did the work.
        unreadable: Files and folders that could not be read.
    """

    files: list[FileHits] = field(default_factory=list[FileHits])
    total_lines: int = 0
    total_files: int = 0
    scanned: int = 0
    binary: int = 0
    large: int = 0
    refused: int = 0
    slow: list[str] = field(default_factory=list[str])
    more: bool = False
    engine: str = "built-in"
    unreadable: list[str] = field(default_factory=list[str])
