"""Texts as lines, for formats in which a statement is whole lines."""

from __future__ import annotations


class Lines:
    """A text's lines without their ends; the last one is what stands behind the last line end, mostly nothing.

    Args:
        text: The whole text.
    """

    def __init__(self, text: str) -> None:
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.all = text.split("\n")

    def text(self) -> str:
        """The whole text again."""
        return "\n".join(self.all)

    def bare(self, index: int) -> str:
        """A line without its end."""
        return self.all[index].removesuffix("\r")

    def replace(self, start: int, end: int, new: list[str]) -> None:
        """Put lines in place of others, or between them."""
        ended = [line + ("\r" if self.newline == "\r\n" else "") for line in new]
        if ended and end == len(self.all):
            # The last line has no end, whichever it is.
            ended[-1] = new[-1]
            if start == end and start and self.newline == "\r\n":
                self.all[-1] += "\r"
        self.all[start:end] = ended

    def remove(self, start: int, end: int) -> None:
        """Take lines out."""
        last = end == len(self.all)
        self.all[start:end] = []
        if last and self.all and self.newline == "\r\n":
            self.all[-1] = self.all[-1].removesuffix("\r")

    def behind_last(self) -> int:
        """Where lines are added at the end: before the nothing that stands behind the last line end."""
        return len(self.all) - 1 if self.all[-1] == "" else len(self.all)

    def blank(self, index: int) -> bool:
        """Whether a line says nothing; true in front of the first one."""
        return index < 0 or not self.all[index].strip()
