"""Stands between a client and a server, and keeps what the client says: ``python tee.py LOG COMMAND ARGS...``.

Its standard output is the server's own, so nothing is delayed on the way back.
"""

from __future__ import annotations

import subprocess
import sys


def main(log: str, command: list[str]) -> int:
    """Run the server, pass on and keep each line; the server's exit status."""
    with open(log, "ab", buffering=0) as kept, subprocess.Popen(command, stdin=subprocess.PIPE) as server:
        assert server.stdin is not None
        try:
            for line in sys.stdin.buffer:
                kept.write(line)
                server.stdin.write(line)
                server.stdin.flush()
            server.stdin.close()
        except BrokenPipeError:
            pass  # the server ended first
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
