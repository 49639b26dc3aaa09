"""Lines are taken out of a text in pieces as out of the whole, and what a file holds is told by its beginning."""

from __future__ import annotations

import itertools
import random

from gatelodge_github import blobs
from gatelodge_github.windows import Window


def test_a_window_takes_the_same_lines_however_the_text_is_cut_into_pieces() -> None:
    chance = random.Random(7)
    for case, data in itertools.product(
        range(40), (b"", b"a", b"a\nb", b"a\n", b"\n\n\n", b"".join(b"%d\r\n" % n for n in range(300)))
    ):
        first, last = chance.randint(1, 12), chance.choice([0, 0, 3, 12])
        room = chance.choice([1, 7, 50, 10_000])
        window = Window(first, last, room)
        rest, going = data, True
        while rest and going:
            size = chance.randint(1, 40)
            going, rest = window.feed(rest[:size]), rest[size:]
        if going:
            window.close()
        lines = data.splitlines(keepends=True)
        wanted = lines[first - 1 : last or None] if not last or last >= first else []
        got = window.lines
        if window.broken:
            assert got == [wanted[0][:room]], case
        else:
            assert got == wanted[: len(got)], case
            assert sum(map(len, got)) <= room
            if len(got) < len(wanted):
                assert window.next_line == first + len(got), case
                assert sum(map(len, wanted[: len(got) + 1])) > room, case
        if window.ended:
            assert window.line - 1 == len(lines), (data, first, last, room)


def test_kinds_of_files_are_told_by_their_first_bytes() -> None:
    for head, kind in (
        (b"%PDF-1.7\n", "PDF"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WebP image"),
        (b"\x00\x00\x00\x18ftypmp42", "MP4 media"),
        (b"PK\x03\x04\x00", "ZIP archive, or a document of that form"),
        (b"\x00\x01\x02", "of unknown type"),
    ):
        assert not blobs.is_text(head)
        assert blobs.kind(head) == kind
    assert blobs.narrow("žluť\n".encode("utf-16"))[0] == "žluť\n".encode()
    assert blobs.narrow(b"\xff\xfe\x00")[0] == b"\xff\xfe\x00"
    assert blobs.decoded("über 日本".encode()[:-1], cut=True) == ("über 日", "")
    assert blobs.decoded(b"caf\xe9") == ("café", "not UTF-8, read as Latin-1")
