"""A certificate authority for one test server: its own certificate, and those of its clients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Where the files are; the authority signs more clients on demand."""

    folder: Path
    _authority: trustme.CA

    @property
    def authority(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def server(self) -> tuple[Path, Path]:
        return self.folder / "server.crt", self.folder / "server.key"

    def client(self, user: str) -> dict[str, str]:
        """libpq's options for a client that proves to be `user`."""
        certificate, key = self.folder / f"{user}.crt", self.folder / f"{user}.key"
        if not key.exists():
            _write(self._authority.issue_cert(common_name=user), certificate, key)
        return {
            "sslmode": "verify-full",
            "sslrootcert": str(self.authority),
            "sslcert": str(certificate),
            "sslkey": str(key),
        }


def issue(folder: Path) -> Certificates:
    """An authority and a server's certificate for 127.0.0.1, in `folder`."""
    authority = trustme.CA()
    made = Certificates(folder, authority)
    authority.cert_pem.write_to_path(str(made.authority))
    _write(authority.issue_cert("127.0.0.1", "localhost"), *made.server)
    return made


def _write(leaf: trustme.LeafCert, certificate: Path, key: Path) -> None:
    leaf.cert_chain_pems[0].write_to_path(str(certificate))
    key.touch(0o600)
    leaf.private_key_pem.write_to_path(str(key))
