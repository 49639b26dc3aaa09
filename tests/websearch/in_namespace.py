"""Reads hostile pages with the real server, in a network of loopback alone that has public addresses too.

    unshare -n python -m tests.websearch.in_namespace FOLDER

It prints what came of each read as JSON. A hole in the guard would lead to this very loopback, and be seen.
"""

from __future__ import annotations

import fcntl
import json
import re
import socket
import struct
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.sandbox.egress.corpus import REFUSED
from tests.sandbox.egress.site import OTHER, PUBLIC
from tests.support.wire import MODERN, StdioWire, connected, python_module
from tests.websearch.hostile_site import ERRORS, HostileSite

SLOW = ("drip", "silence", "slow headers")
INSIDE = (
    *("http://127.0.0.1/", "//127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f.1/", "http://[::1]/"),
    *("http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://localhost/", "http://loop.example.com/"),
    *("http://0.0.0.0/", "http://127.0.0.1:22/", f"http://{PUBLIC}:6379/", "http://u@127.0.0.1/", "file:///etc/passwd"),
    *(
        "gopher://127.0.0.1/",
        "http://169.254.169.254/latest/",
        "http://mixed.example.com/",
        "\\\\127.0.0.1\\",
        "data:,x",
    ),
    *("/to?//127.0.0.1/x", f"http://{OTHER}/to?http://127.0.0.1/x", "http://rebound.example.com/", "http:127.0.0.1"),
)


def raise_interfaces() -> None:
    """Loopback, and two public addresses on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name, address in ((b"lo", ""), (b"lo:1", PUBLIC), (b"lo:2", OTHER)):
            if address:
                request = struct.pack("16sH2s4s8x", name, socket.AF_INET, bytes(2), socket.inet_aton(address))
                fcntl.ioctl(control, 0x8916, request)  # SIOCSIFADDR
            fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", name, 0x49))  # SIOCSIFFLAGS: up, loopback, running


def memory(pid: int, word: str) -> int:
    """Megabytes, of /proc/PID/status."""
    found = re.search(rf"{word}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) // 1024


def outcome(result: dict[str, Any]) -> str:
    """The code of an error, or ``ok`` and the text."""
    text = "\n".join(str(block.get("text", "")) for block in result["content"])
    return text if result.get("isError") else f"ok {text}"


def read(wire: StdioWire, url: str) -> str:
    """What reading a URL came to."""
    return outcome(wire.tool("read_page", pages=[url], max_tokens=2000))


def main(folder: str) -> None:
    """Do everything, print the outcome."""
    raise_interfaces()
    site = HostileSite()
    site.start()
    found: dict[str, Any] = {}
    settings = ["--state-dir", folder, "--robots", "off", "--cache-seconds", "0"]
    with connected(python_module("tests.websearch.own_server", *settings), "stdio", MODERN) as wire:
        assert isinstance(wire, StdioWire)
        pid = wire.server.process.pid
        for name in ("fine", "large", "pdf"):
            found[name] = read(wire, f"http://{PUBLIC}/{name}")[:4000]
        before = memory(pid, "VmHWM")
        # Side by side: each takes as long as it may.
        for name in SLOW:
            wire.send_call(name, "read_page", pages=[f"http://{PUBLIC}/{quote(name)}"])
        while not found.keys() >= set(SLOW):
            message = json.loads(wire.server.line())
            if "result" in message:
                found[message["id"]] = outcome(message["result"])[:100]
        growth: dict[str, int] = {}
        for name in site.acts:
            if name not in found:
                held = memory(pid, "VmHWM")
                found[name] = read(wire, f"http://{PUBLIC}/{quote(name)}")[:100]
                growth[name] = memory(pid, "VmHWM") - held
        found["fine again"] = read(wire, f"http://{PUBLIC}/fine")[:4000]
        refused = {url: read(wire, url)[:200] for url, _ in REFUSED}
        redirected = {url: read(wire, f"http://{PUBLIC}/to?{url}")[:200] for url in INSIDE}
        rebound = [read(wire, f"http://rebind{number // 2}.example.com/fine")[:30] for number in range(8)]
        record = {
            "found": found,
            "errors": ERRORS,
            "refused": refused,
            "redirected": redirected,
            "rebound": rebound,
            "growth": memory(pid, "VmHWM") - before,
            "peaks": {name: size for name, size in growth.items() if size > 2},
            "reached": sorted({(address, port) for address, port, _ in site.reached}),
        }
    sys.stdout.write(json.dumps(record))


if __name__ == "__main__":
    main(sys.argv[1])
