"""Reading several files, comparing two, media, and waiting for changes, as a host calls them."""

from __future__ import annotations

import base64
import io
import os
import re
import struct
import threading
import time
import wave
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.wire import MODERN, Message, Revision, Transport, Wire, connected, python_module


class Ground:
    def __init__(self, wire: Wire, notes: Path) -> None:
        self.wire = wire
        self.notes = notes

    def put(self, name: str, data: bytes) -> str:
        path = self.notes / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return f"notes/{name}"


def arguments(base: Path) -> list[str]:
    (base / "notes").mkdir(parents=True)
    (base / "secret.txt").write_text("outside", encoding="utf-8")
    return [str(base / "notes"), "--state-dir", str(base / "state")]


@pytest.fixture(scope="module")
def ground(transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory) -> Generator[Ground]:
    base = tmp_path_factory.mktemp("several")
    with connected(python_module("gatelodge_filesystem", *arguments(base)), transport, revision) as wire:
        yield Ground(wire, base / "notes")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Generator[Ground]:
    base = tmp_path_factory.mktemp("one")
    with connected(python_module("gatelodge_filesystem", *arguments(base)), "stdio", MODERN) as wire:
        yield Ground(wire, base / "notes")


def test_several_files_come_with_their_headers_and_their_own_errors(ground: Ground) -> None:
    ground.put("s/a.txt", b"alpha\n")
    ground.put("s/b.bin", bytes(range(256)))
    text = ground.wire.text("read_files", paths=["notes/s/a.txt", "notes/s/missing", "notes/s/b.bin", "/etc/passwd"])
    assert re.search(r"\[notes/s/a.txt\] lines 1-1 of 1, etag=\S+, .*\nalpha\n", text)
    assert "[notes/s/missing] ERROR not_found" in text
    assert "[notes/s/b.bin] ERROR is_binary" in text
    assert "[/etc/passwd] ERROR outside_roots" in text


def test_files_that_are_known_are_not_sent_again(ground: Ground) -> None:
    ground.put("k/a.txt", b"alpha\n")
    ground.put("k/b.txt", b"beta\n")
    paths = ["notes/k/a.txt", "notes/k/b.txt"]
    tags = re.findall(r"etag=([0-9a-f]+-[0-9a-f]+)", ground.wire.text("read_files", paths=paths))
    assert len(tags) == 2
    ground.put("k/b.txt", b"gamma\n")
    text = ground.wire.text("read_files", paths=paths, if_none_match=tags)
    assert "[notes/k/a.txt] not modified" in text
    assert "alpha" not in text
    assert "gamma" in text
    assert "not modified" in ground.wire.text("read_file", path=paths[0], if_none_match=tags[0])


def test_many_long_files_share_the_budget_and_each_cut_says_how_to_go_on(one: Ground) -> None:
    line = b"x" * 99 + b"\n"
    paths = [one.put(f"long/{number}.txt", line * 1000) for number in range(40)]
    text = one.wire.text("read_files", paths=paths)
    assert len(text) <= 48_000
    assert text.count("MORE: continue with start_line=") >= 30
    short = [one.put(f"short/{number}.txt", b"y\n") for number in range(5)]
    text = one.wire.text("read_files", paths=[*short, paths[0]])
    # What the short ones left is given to the long one.
    assert 40_000 < len(text) <= 48_000


def test_two_files_are_compared(ground: Ground) -> None:
    old = ground.put("d/old.txt", b"one\ntwo\nthree\n")
    new = ground.put("d/new.txt", b"one\n2\nthree\n")
    text = ground.wire.text("diff_files", old=old, new=new)
    assert "+1 -1 lines" in text
    assert "--- notes/d/old.txt\n+++ notes/d/new.txt\n" in text
    assert "-two\n+2\n" in text
    assert "identical" in ground.wire.text("diff_files", old=old, new=old)


def test_files_of_two_encodings_are_compared_as_text(one: Ground) -> None:
    old = one.put("e/old.txt", "gr\u00fcn\nb\n".encode("utf-16"))
    new = one.put("e/new.txt", "gr\u00fcn\nc\n".encode())
    text = one.wire.text("diff_files", old=old, new=new)
    assert "-b\n+c\n" in text
    assert "encodings" in text


def test_a_large_difference_is_cut_to_the_budget(one: Ground) -> None:
    old = one.put("big/old.txt", b"".join(b"old line %d\n" % number for number in range(3500)))
    new = one.put("big/new.txt", b"".join(b"new line %d\n" % number for number in range(3500)))
    text = one.wire.text("diff_files", old=old, new=new)
    assert len(text) <= 48_000
    assert "+3500 -3500 lines" in text
    assert "CUT" in text


def picture(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.effect_noise((width, height), 80).convert(mode).save(out, kind)
    return out.getvalue()


def blocks(result: Message) -> list[dict[str, Any]]:
    assert not result.get("isError"), result
    return result["content"]


def test_an_image_is_sent_as_an_image(ground: Ground) -> None:
    data = picture(60, 40)
    text, image = blocks(ground.wire.tool("read_media", path=ground.put("m/small.png", data)))
    assert "image/png" in text["text"]
    assert (image["type"], image["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(image["data"]) == data


@pytest.mark.parametrize(("kind", "mode"), [("PNG", "RGB"), ("JPEG", "RGB"), ("BMP", "RGB"), ("PNG", "RGBA")])
def test_a_large_image_is_scaled_to_the_budget(one: Ground, kind: str, mode: str) -> None:
    path = one.put(f"m/large-{mode}.{kind.lower()}", picture(2400, 1600, kind, mode))
    text, image = blocks(one.wire.tool("read_media", path=path, max_bytes=100_000))
    data = base64.b64decode(image["data"])
    assert len(data) <= 100_000
    assert "scaled from 2400x1600" in text["text"]
    with Image.open(io.BytesIO(data)) as shown:
        assert max(shown.size) <= 1568
        assert abs(shown.width / shown.height - 1.5) < 0.05


def test_an_image_of_too_many_pixels_is_refused_before_it_is_unpacked(one: Ground) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    assert "too_many_pixels" in one.wire.error("read_media", path=one.put("m/bomb.png", bomb))
    assert "bad_image" in one.wire.error("read_media", path=one.put("m/torn.png", picture(2000, 2000)[:5000]))
    assert "bad_image" in one.wire.error("read_media", path=one.put("m/fake.png", b"\x89PNG\r\n\x1a\nnothing"))


def test_sound_is_sent_as_sound(ground: Ground) -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(800))
    path = ground.put("m/beep.wav", out.getvalue())
    _, audio = blocks(ground.wire.tool("read_media", path=path))
    assert (audio["type"], audio["mimeType"]) == ("audio", "audio/wav")
    assert base64.b64decode(audio["data"]) == out.getvalue()


def test_any_bytes_are_read_in_ranges(ground: Ground) -> None:
    data = os.urandom(100_000)
    path = ground.put("m/data.bin", data)
    read = b""
    offset: int | None = 0
    while offset is not None:
        text = ground.wire.text("read_media", path=path, form="blob", offset=offset)
        assert len(text) <= 48_000
        head, body = text.split("\n", 1)
        read += base64.b64decode(body)
        more = re.search(r"continue with offset=(\d+)", head)
        offset = int(more.group(1)) if more else None
    assert read == data
    assert "no_media" in ground.wire.error("read_media", path=path)


def test_a_change_ends_the_wait(ground: Ground) -> None:
    ground.put("w/a.txt", b"1")
    begun = ground.wire.record("wait_for_changes", paths=["notes/w"], timeout=0)
    assert begun["changes"] == []
    ground.put("w/a.txt", b"2")
    ground.put("w/deep/b.txt", b"3")
    heard = ground.wire.record("wait_for_changes", paths=["notes/w"], cursor=begun["cursor"], timeout=20)
    paths = {item["path"]: item for item in heard["changes"]}
    while "notes/w/deep/b.txt" not in paths:
        heard = ground.wire.record("wait_for_changes", paths=["notes/w"], cursor=heard["cursor"], timeout=20)
        assert heard["changes"]
        paths |= {item["path"]: item for item in heard["changes"]}
    assert paths["notes/w/a.txt"]["kind"] == "file"
    assert paths["notes/w/a.txt"]["etag"] in ground.wire.text("read_file", path="notes/w/a.txt")
    assert not heard["rescan"]


def test_a_change_during_the_wait_is_heard(one: Ground) -> None:
    one.put("during/a.txt", b"1")
    begun = one.wire.record("wait_for_changes", paths=["notes/during/a.txt"], timeout=0)

    def later() -> None:
        time.sleep(0.5)
        (one.notes / "during" / "a.txt").unlink()

    writer = threading.Thread(target=later)
    writer.start()
    heard = one.wire.record("wait_for_changes", paths=["notes/during/a.txt"], cursor=begun["cursor"], timeout=30)
    writer.join()
    assert [(item["path"], item["kind"]) for item in heard["changes"]] == [("notes/during/a.txt", "gone")]


def test_two_thousand_atomic_writes_are_a_bounded_number_of_events(one: Ground) -> None:
    (one.notes / "many").mkdir()
    cursor = one.wire.record("wait_for_changes", paths=["notes/many"], timeout=0)["cursor"]
    last: dict[str, int] = {}

    def writes() -> None:
        for number in range(2000):
            name = f"f{number % 20}.txt"
            temporary = one.notes / "many" / ".part"
            temporary.write_text(str(number), encoding="utf-8")
            os.replace(temporary, one.notes / "many" / name)
            last[name] = number
            time.sleep(0.002)

    writer = threading.Thread(target=writes)
    writer.start()
    events = 0
    tags: dict[str, str] = {}
    while True:
        running = writer.is_alive()
        heard = one.wire.record("wait_for_changes", paths=["notes/many"], cursor=cursor, timeout=1)
        cursor = heard["cursor"]
        assert not heard["rescan"]
        events += len(heard["changes"])
        tags |= {item["path"]: item["etag"] for item in heard["changes"]}
        if not running and not heard["changes"]:
            break
    writer.join()
    assert 20 <= events <= 2100
    for name, number in last.items():
        text = one.wire.text("read_file", path=f"notes/many/{name}")
        assert tags[f"notes/many/{name}"] in text
        assert text.endswith(f"\n{number}")


def test_too_many_changes_between_two_calls_ask_for_a_new_look(one: Ground) -> None:
    (one.notes / "flood").mkdir()
    cursor = one.wire.record("wait_for_changes", paths=["notes/flood"], timeout=0)["cursor"]
    for number in range(5000):
        (one.notes / "flood" / str(number)).write_bytes(b"")
    heard = one.wire.record("wait_for_changes", paths=["notes/flood"], cursor=cursor, timeout=20)
    while not heard["rescan"]:
        assert heard["changes"], "nothing told of the flood"
        heard = one.wire.record("wait_for_changes", paths=["notes/flood"], cursor=heard["cursor"], timeout=20)
    assert len(heard["changes"]) <= 200


def test_a_foreign_cursor_says_that_changes_may_be_missed(one: Ground) -> None:
    heard = one.wire.record("wait_for_changes", paths=["notes"], cursor="0123456789abcdef", timeout=0)
    assert heard["rescan"]
    assert not one.wire.record("wait_for_changes", paths=["notes"], cursor=heard["cursor"], timeout=0)["rescan"]


def test_nothing_outside_and_no_credential_is_waited_for(one: Ground) -> None:
    one.put(".env", b"x")
    (one.notes / "out").symlink_to(one.notes.parent)
    for path in ("/etc", "notes/..", "notes/out/secret.txt", "notes/missing/x", "notes/quiet/../.."):
        assert re.search(
            "outside_roots|not_found|bad_name", one.wire.error("wait_for_changes", paths=[path], timeout=0)
        )
    assert "protected" in one.wire.error("wait_for_changes", paths=["notes/.env"], timeout=0)
    one.put("quiet/a", b"")
    cursor = one.wire.record("wait_for_changes", paths=["notes/quiet"], timeout=0)["cursor"]
    one.put("quiet/.env", b"y")
    one.put("quiet/.ssh/id_rsa", b"y")
    (one.notes / "quiet" / "out").symlink_to(one.notes.parent)
    (one.notes.parent / "secret.txt").write_text("changed", encoding="utf-8")
    one.put("quiet/b", b"")
    seen: set[str] = set()
    while "notes/quiet/b" not in seen:
        heard = one.wire.record("wait_for_changes", paths=["notes/quiet"], cursor=cursor, timeout=20)
        assert heard["changes"]
        seen |= {item["path"] for item in heard["changes"]}
    assert seen <= {"notes/quiet/b", "notes/quiet/out", "notes/quiet"}
