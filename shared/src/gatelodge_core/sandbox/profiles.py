"""What each server needs of the machine, as data. Everything else is refused once `kernel.confine` has been called.

Paths are granted as they are at that moment. Rights add up: a read-only folder inside a writable one is writable to
the kernel, and held by the path jail alone.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gatelodge_core.sandbox._rlimits import DEFAULT_BOUNDS, Bounds

_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache")
# mimetypes reads whichever it finds by stat(2), and takes a refusal for an error.
_MIME_TYPES = ("/etc/mime.types", "/etc/httpd/mime.types", "/etc/httpd/conf/mime.types", "/etc/apache/mime.types", "/etc/apache2/mime.types")  # fmt: skip
_SYSTEM = ("/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom", "/dev/random", "/dev/zero", *_MIME_TYPES)
_RESOLVER = ("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services")
_CERTIFICATES = ("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")  # fmt: skip
_DNS_PORT = 53


class Profile(NamedTuple):
    """What a confined process can reach, beside Python's own files and a private temporary directory.

    Args:
        name: Short, for messages.
        read: Files and folders it may read.
        write: Files and folders it may read and change. Nothing in them can be started.
        execute: The one program it may start, or None: then it has no child processes at all, but by `forks`.
        forks: Whether it may fork copies of itself, which start no program.
        connect: TCP ports it may connect to, at any address.
        udp: Whether it may send UDP. No kernel before Landlock ABI 10 tells one address from another.
        unix: Unix sockets, or folders with them, that it may connect to. Below Landlock ABI 9 that lets it connect to
            every one that file permissions let it.
        listening: Whether it serves a socket that was bound before confinement.
        bounds: Resource limits.
    """

    name: str
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    execute: str | None = None
    forks: bool = False
    connect: tuple[int, ...] = ()
    udp: bool = False
    unix: tuple[str, ...] = ()
    listening: bool = False
    bounds: Bounds = DEFAULT_BOUNDS

    def serving(self) -> Profile:
        """The same, for a server over HTTP; its socket must be bound before."""
        return self._replace(listening=True)

    def reaching(self, ports: Iterable[int], read: Iterable[str] = (), *, named: bool = True) -> Profile:
        """The same, for a server that also asks others on the network, such as an authorization server or a store.

        Args:
            ports: TCP ports of theirs.
            read: Files it needs for that, such as certificate authorities.
            named: Whether they are known by name, and by certificates; otherwise by a plain address of this machine.
        """
        wanted = tuple(ports)
        if wanted and not named:
            return self._replace(connect=tuple(sorted({*self.connect, *wanted})), read=(*self.read, *read))
        if not wanted:
            return self._replace(read=(*self.read, *read))
        connect = tuple(sorted({*self.connect, *wanted, _DNS_PORT}))
        return self._replace(connect=connect, udp=True, read=(*self.read, *read, *_certificates(), *_beside(_RESOLVER)))


def filesystem(
    read_only: Iterable[str], writable: Iterable[str], state: str, *, needs_exec: str | None = None
) -> Profile:
    """Files of the roots, and no socket of any kind.

    Args:
        read_only: Roots that are not to change.
        writable: Roots that may.
        state: The folder for journal, approvals and undo.
        needs_exec: The absolute path of ripgrep, if it is used.
    """
    return Profile("filesystem", tuple(read_only), (*writable, state), execute=needs_exec)


def postgres(
    ports: Iterable[int],
    state: str,
    *,
    read: Iterable[str] = (),
    export: str | None = None,
    sockets: Iterable[str] = (),
    resolve: bool = True,
) -> Profile:
    """The database, and no files but certificates and the export folder.

    Args:
        ports: TCP ports of the configured databases.
        state: The folder for journal and approvals.
        read: CA bundle, client certificate and key, password file.
        export: A folder for exports.
        sockets: Unix sockets, or the folders they are in.
        resolve: Whether a database is known by name.
    """
    write = (state,) if export is None else (state, export)
    return _networked("postgres", ports, write, read, resolve=resolve, unix=tuple(sockets))


def github(state: str, *, ports: Iterable[int] = (443,), cache: str | None = None, read: Iterable[str] = ()) -> Profile:
    """The API over HTTPS, and no files but the cache and `read` (a CA bundle, a private key)."""
    return _networked("github", ports, (state,) if cache is None else (state, cache), read, resolve=True)


def websearch(
    state: str, *, ports: Iterable[int] = (80, 443), cache: str | None = None, read: Iterable[str] = ()
) -> Profile:
    """Pages over HTTP and HTTPS, and no files but the cache and `read` (a CA bundle)."""
    return _networked("websearch", ports, (state,) if cache is None else (state, cache), read, resolve=True)


def _networked(
    name: str,
    ports: Iterable[int],
    write: tuple[str, ...],
    read: Iterable[str],
    *,
    resolve: bool,
    unix: tuple[str, ...] = (),
) -> Profile:
    # A long DNS answer comes over TCP.
    connect = (*ports, _DNS_PORT) if resolve else tuple(ports)
    names = _beside(_RESOLVER) if resolve else ()
    return Profile(name, (*read, *_certificates(), *names), write, connect=connect, udp=resolve, unix=unix)


def _certificates() -> Sequence[str]:
    import ssl  # noqa: PLC0415 - 10 ms that a server without sockets doesn't need

    paths = ssl.get_default_verify_paths()
    return [*_CERTIFICATES, *(path for path in (paths.cafile, paths.capath) if path)]


def _beside(files: Iterable[str]) -> Sequence[str]:
    """The files, and for a link out of /etc the folder it leads to: what is there is replaced, not written to."""
    found: list[str] = []
    for path in files:
        real = os.path.realpath(path)
        found += [path] if os.path.dirname(real) == "/etc" else [path, os.path.dirname(real)]
    return found


def python_files() -> list[str]:
    """What Python reads when a module is imported late: libraries, its own files, packages in use.

    A folder that is on ``sys.path`` only since the program was started in it is not among them: it can be a home.
    """
    prefixes = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    paths = [*_LIBRARIES, *_SYSTEM, *(os.path.join(prefix, name) for prefix in prefixes for name in ("lib", "lib64"))]
    paths += [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    installed = tuple(os.path.join(path, "") for path in paths)
    for name, module in list(sys.modules.items()):
        if "." in name:
            continue
        # Packages that are used from their source, as in an editable installation.
        folders: Iterable[str] = getattr(module, "__path__", ())
        paths += [folder for folder in folders if not folder.startswith(installed)]
    return paths


def loader(program: str) -> str | None:
    """The dynamic loader that an ELF program asks for, or None if it needs none (or isn't such a program)."""
    with open(program, "rb") as source:
        head = source.read(64)
        if len(head) < 64 or head[:5] != b"\x7fELF\x02":
            return None
        table, size, count = struct.unpack_from("<32xQ14xHH", head)
        for index in range(count):
            source.seek(table + index * size)
            kind, offset, length = struct.unpack("<IxxxxQ16xQ", source.read(40))
            if kind == 3:  # PT_INTERP
                source.seek(offset)
                return os.fsdecode(source.read(length).rstrip(b"\0"))
    return None
