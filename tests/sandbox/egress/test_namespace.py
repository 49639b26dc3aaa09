"""The whole, with nothing put in place of a part: a network of loopback alone, which has a public address too."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import asyncio, fcntl, socket, struct
from gatelodge_core.sandbox.egress import Egress, EgressError

def up(name, address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        if address:
            ifreq = struct.pack("16sH2s4s8x", name, socket.AF_INET, bytes(2), socket.inet_aton(address))
            fcntl.ioctl(s, 0x8916, ifreq)  # SIOCSIFADDR
        fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", name, 0x49))  # SIOCSIFFLAGS: up, loopback, running

up(b"lo", "")
up(b"lo:1", "93.184.215.14")
seen = []

async def handle(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    seen.append((writer.get_extra_info("sockname")[0], head.split()[1].decode()))
    there = b"http://127.0.0.1/secret" if b"/away" in head else b""
    location = b"Location: " + there + b"\\r\\n" if there else b""
    writer.write(b"HTTP/1.1 %d X\\r\\n%sConnection: close\\r\\n\\r\\n" % (302 if there else 200, location))
    await writer.drain()
    writer.close()

async def main():
    turn = []
    async def resolver(host, port):
        turn.append(host)
        return ["93.184.215.14"] if len(turn) == 1 else ["127.0.0.1"]
    server = await asyncio.start_server(handle, "0.0.0.0", 80)
    async with server, Egress(resolver=resolver) as egress:
        print((await egress.get("http://example.com/")).status)
        for url in ("http://example.com/", "http://127.0.0.1/", "http://127.1/", "http://93.184.215.14/away",
                    "http://[::ffff:127.0.0.1]/", "http://localhost/"):
            try:
                print((await egress.get(url)).status)
            except EgressError as error:
                print(error.code)
    print(seen)

asyncio.run(main())
"""


def in_a_namespace(*command: str, seconds: float = 60) -> subprocess.CompletedProcess[str] | None:
    """Run in a network of its own; None where that isn't permitted."""
    for flags in ("-n", "-rn"):
        try:
            if subprocess.run(["unshare", flags, "true"], capture_output=True, check=False, timeout=30).returncode == 0:
                return subprocess.run(
                    ["unshare", flags, *command], capture_output=True, text=True, check=False, timeout=seconds
                )
        except FileNotFoundError:
            return None
    return None


def test_only_the_public_address_is_ever_reached() -> None:
    done = in_a_namespace(sys.executable, "-c", PROBE)
    if done is None:
        pytest.skip("network namespaces are not permitted here")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "200",
        *["blocked_address"] * 6,
        "[('93.184.215.14', '/'), ('93.184.215.14', '/away')]",
    ]
