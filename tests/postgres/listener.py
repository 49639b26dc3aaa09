"""A canary on the network: whoever connects to it was told to by a query."""

from __future__ import annotations

import contextlib
import socket
import threading


class Listener:
    """A port of 127.0.0.1 that counts who comes, and hangs up."""

    def __init__(self) -> None:
        self.count = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            self.count += 1
            with caller, contextlib.suppress(OSError):
                self._refuse(caller)

    @staticmethod
    def _refuse(caller: socket.socket) -> None:
        """Answer as PostgreSQL does, or libpq would wait for its time to run out."""
        caller.settimeout(1)
        for _ in range(3):
            asked = caller.recv(4096)
            # What asks for encryption is eight bytes long: no.
            if len(asked) != 8:
                break
            caller.sendall(b"N")
        said = b"SFATAL\0VFATAL\0C28000\0Mgo away\0\0"
        caller.sendall(b"E" + (len(said) + 4).to_bytes(4, "big") + said)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)
