"""The MAC chain: what makes a change to the journal visible, and to whom.

Each record's MAC is HMAC-SHA256 over the MAC before it and the record's own bytes, so no record can be changed, removed,
inserted or moved by someone without the key. The keys::

    master   32 random bytes in a 0600 file, made once          read at start, not kept
    chain    HMAC(master, chain's name)                         one per process; key of epoch 0
    epoch n  HMAC(epoch n-1, "next"), the old one overwritten   one per rotation, per 10,000 records, per 15 minutes

What this shows, honestly:

- Who can write the directory but not read the master (another tool of the same user that is confined, a backup, a
  synchronised folder, a disk repair) can't change anything unseen, except take away what `anchor` names.
- Who takes over a running server after its sandbox has closed (so that the key file is out of its reach) has the key of
  this epoch alone. It can write false records from now on, and rewrite this epoch; all earlier epochs stay sealed.
- Who can read the master, which is anyone with full use of the account unless the key is kept elsewhere, can
  rewrite everything. Against that only a copy outside helps: keep the key file on a path that the account can read just
  at start (``key_file``), or send exported records or the anchors to another machine.

"Overwritten" is best effort in Python: the key lives in one bytearray that is written over in place, but the interpreter
and OpenSSL make short-lived copies, whose freed memory isn't wiped. Core dumps and swap are the operator's to switch off.
The construction follows systemd's Forward Secure Sealing in idea: a key that moves on, and a verifier that keeps the seed.
"""

from __future__ import annotations

import hmac
import json
import re

from gatelodge_core.audit.records import Record

KEY_BYTES = 32
MAX_EPOCHS = 1 << 20
"""More than 30 years of 15 minutes; a header that claims more is not believed, since the verifier walks them all."""
START = bytes(32)
"""Stands for the MAC before the first."""

_MAC_MARK = b',"mac":"'
_TAIL = len(_MAC_MARK) + 64 + 2
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode
_HEX = re.compile(rb"[0-9a-f]{64}\Z")
_HEAD = re.compile(rb'\{"seq":(0|[1-9][0-9]{0,17}),"type":"([a-z]{1,16})","ts":"([0-9T:.Z-]{30})"')


def chain_key(master: bytes, chain: str) -> bytes:
    """The key of a chain's epoch 0."""
    return hmac.digest(master, b"gatelodge journal 1 chain\0" + chain.encode("ascii"), "sha256")


def next_key(key: bytes | bytearray) -> bytes:
    """The key of the following epoch, from which this one can't be computed."""
    return hmac.digest(key, b"next", "sha256")


def epoch_key(key: bytes, epochs: int) -> bytes:
    """The key `epochs` further on.

    Raises:
        ValueError: `epochs` isn't between 0 and `MAX_EPOCHS`.
    """
    if not 0 <= epochs <= MAX_EPOCHS:
        raise ValueError("no such epoch")
    for _ in range(epochs):
        key = next_key(key)
    return key


def key_id(master: bytes) -> str:
    """A public name of a master key: tells that a journal was sealed with another one, and nothing else about it."""
    return hmac.digest(master, b"gatelodge journal 1 name", "sha256")[:8].hex()


def anchor_mac(key: bytes | bytearray, body: bytes) -> bytes:
    """The MAC of an anchor, apart from those of records."""
    return hmac.digest(key, b"gatelodge journal 1 anchor\0" + body, "sha256")


def seal(key: bytes | bytearray, previous: bytes, fields: Record) -> tuple[bytes, bytes]:
    """A record as it is written.

    Returns:
        The line with its newline, and its MAC.
    """
    # ASCII throughout: lone surrogates become escapes, and no reader can disagree on where a line ends.
    body = _encode(fields)[:-1].encode("ascii")
    mac = hmac.digest(key, previous + body, "sha256")
    return b'%s,"mac":"%s"}\n' % (body, mac.hex().encode("ascii")), mac


def open_line(line: bytes) -> tuple[bytes, bytes] | None:
    """The sealed bytes and the claimed MAC of a line without its newline; None if it isn't shaped like one."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if not body or not tail.startswith(_MAC_MARK) or not tail.endswith(b'"}'):
        return None
    digits = tail[len(_MAC_MARK) : -2]
    return (body, bytes.fromhex(digits.decode("ascii"))) if _HEX.match(digits) else None


def is_sealed(key: bytes | bytearray, previous: bytes, line: bytes) -> bool:
    """Whether a line, without its newline, follows the record whose MAC is `previous`."""
    opened = open_line(line)
    return opened is not None and hmac.compare_digest(hmac.digest(key, previous + opened[0], "sha256"), opened[1])


def head(line: bytes) -> tuple[int, str, str] | None:
    """Sequence number, type and time of a line; None if it doesn't begin like a record."""
    found = _HEAD.match(line)
    return (int(found[1]), found[2].decode("ascii"), found[3].decode("ascii")) if found else None


class Sealer:
    """The writing end of a chain: the present key, the last MAC, the next sequence number.

    Args:
        key: Key of epoch 0; copied, so the caller can drop its own.
    """

    def __init__(self, key: bytes) -> None:
        self._key = bytearray(key)
        self.epoch = 0
        self.seq = 0
        self.mac = START

    def seal(self, fields: Record) -> tuple[bytes, bytes]:
        """The next record as a line, and its MAC. Nothing moves on until `accept`."""
        return seal(self._key, self.mac, fields)

    def accept(self, mac: bytes) -> int:
        """The sealed record was written; returns its sequence number."""
        self.mac = mac
        self.seq += 1
        return self.seq - 1

    def evolve(self) -> None:
        """Move to the next epoch, and overwrite the key of this one."""
        self._key[:] = next_key(self._key)
        self.epoch += 1

    def sign(self, body: bytes) -> bytes:
        """The MAC of an anchor under the present key."""
        return anchor_mac(self._key, body)

    def forget(self) -> None:
        """Overwrite the key; nothing can be sealed usefully from here on."""
        self._key[:] = bytes(KEY_BYTES)
