"""A text beside the same with its line ends made equal, and the way back from one to the other."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import AnyStr, Generic


@dataclass(frozen=True, slots=True)
class Hay(Generic[AnyStr]):
    r"""What is searched, beside the same with its line ends made equal.

    Args:
        whole: The text as it is: bytes, or characters where bytes can't be searched.
        plain: With every line end written ``\n``.
        newline: A line end in `plain`.
        shorter: Offsets in `plain` after each ``\\r\\n``, to lead back to offsets in `whole`.
    """

    whole: AnyStr
    plain: AnyStr
    newline: AnyStr
    shorter: tuple[int, ...]

    def back(self, offset: int) -> int:
        """The offset in `whole` of an offset in `plain`."""
        return offset + bisect_right(self.shorter, offset)


def prepare(whole: AnyStr, crlf: AnyStr, cr: AnyStr, lf: AnyStr) -> Hay[AnyStr]:
    """A text beside the same with its line ends made equal."""
    if cr not in whole:
        return Hay(whole, whole, lf, ())
    shorter: list[int] = []
    at = whole.find(crlf)
    while at >= 0:
        # The \n that stands for this \r\n is at `at - len(shorter)`; offsets behind it are one less than before.
        shorter.append(at - len(shorter) + 1)
        at = whole.find(crlf, at + 2)
    return Hay(whole, whole.replace(crlf, lf).replace(cr, lf), lf, tuple(shorter))
