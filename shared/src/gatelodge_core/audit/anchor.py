"""The anchor: the last durable MAC of a chain, kept outside its files.

A keyed chain shows every change inside it, but its tail can be cut off at the end of a record and what is left is still a
good chain, just as a crash leaves it. So after every sync the sequence number and MAC reached go into ``<chain>.anchor``,
sealed with the key of the epoch: a chain that ends before its anchor was cut. The anchor follows the sync and never
leads it, so a power failure can't make a good chain look cut.

What stays open: the records since the last sync (reads only, at most those of about 100 ms) can be cut off
unseen from a server that was killed; and an old journal together with its old anchor, both copied earlier, can be put
back. The headers of chains started since then name sequence numbers that go beyond it, and so do anchors copied elsewhere.

The file is one sector, written in place by one call, so that no crash leaves half of it. It is locked while its process
lives, by which a reader tells a running server from a crashed one.
"""

from __future__ import annotations

import errno
import hmac
import json
import os
import threading
from typing import cast

from gatelodge_core.audit import chain
from gatelodge_core.audit.folder import Folder, lock, sync_data

SIZE = 512
SUFFIX = ".anchor"
_MARK = b',"mac":"'


class Anchor:
    """The writing end. Safe to use from several threads.

    Args:
        folder: The journal's directory.
        name: The chain's name.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._lock = threading.Lock()
        self._written = -2
        self._folder, self._name = folder, name + SUFFIX
        self._fd = folder.create(self._name, os.O_RDWR)
        lock(self._fd)

    def write(self, seq: int, content: bytes, *, durable: bool = False) -> None:
        """Move the anchor on; an older one than was written is ignored, as syncs may end out of order."""
        with self._lock:
            if seq >= self._written:
                os.lseek(self._fd, 0, os.SEEK_SET)  # not pwrite: Windows has none
                if os.write(self._fd, content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._written = seq
            if durable:
                sync_data(self._fd)

    def close(self) -> None:
        """Close the file, which also tells readers that the process is done with the chain. A second call does nothing."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def discard(self) -> None:
        """Close and remove the anchor of a chain that never began."""
        self.close()
        self._folder.remove(self._name)


class Reading:
    """An anchor as read.

    Args:
        seq: Last durable sequence number; -1 before the first record.
        part: Number of the file that held it.
        epoch: Number of the key that sealed the anchor.
        record: MAC of that record, hexadecimal.
        closed: Whether the chain was ended in good order.
    """

    def __init__(self, name: str, fields: dict[str, object], body: bytes, mac: str) -> None:
        self._body, self._mac = body, mac
        self.seq, self.part, self.epoch = (_integer(fields, key) for key in ("seq", "part", "epoch"))
        self.record = str(fields.get("record", ""))
        self.closed = fields.get("closed") is True
        self.chain = str(fields.get("chain", ""))
        if self.chain != name:
            raise ValueError("an anchor of another chain")

    def is_sealed(self, key: bytes) -> bool:
        """Whether the anchor was written by the chain's own process.

        Args:
            key: The chain's key of epoch 0.
        """
        try:
            present = chain.epoch_key(key, self.epoch)
        except ValueError:
            return False
        return hmac.compare_digest(chain.anchor_mac(present, self._body).hex(), self._mac)


def compose(sealer: chain.Sealer, *, name: str, part: int, closed: bool) -> tuple[int, bytes]:
    """The sequence number of the last record and an anchor on it."""
    fields = {
        "chain": name, "part": part, "seq": sealer.seq - 1, "epoch": sealer.epoch, "record": sealer.mac.hex(),
        "closed": closed,
    }  # fmt: skip
    body = json.dumps(fields, separators=(",", ":")).encode("ascii")[:-1]
    content = body + _MARK + sealer.sign(body).hex().encode("ascii") + b'"}'
    assert len(content) < SIZE
    return sealer.seq - 1, content.ljust(SIZE - 1) + b"\n"


def parse(name: str, content: bytes) -> Reading:
    """An anchor from its bytes; nothing in it may be believed before `Reading.is_sealed`.

    Raises:
        ValueError: It is no anchor of this chain.
    """
    text = content.rstrip()
    at = text.rfind(_MARK)
    # Exactly what we write: padding and newline too, so that no byte of the file can change unseen.
    if at < 0 or len(content) != SIZE or text.ljust(SIZE - 1) + b"\n" != content or len(text) != at + len(_MARK) + 66:
        raise ValueError("not an anchor")
    fields: object = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError("not an anchor")  # noqa: TRY004 - one error for all bad content
    return Reading(name, cast("dict[str, object]", fields), text[:at], text[at + len(_MARK) : -2].decode("ascii"))


def _integer(fields: dict[str, object], key: str) -> int:
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not -1 <= value < 2**60:
        raise ValueError(f"not an anchor: {key}")
    return value
