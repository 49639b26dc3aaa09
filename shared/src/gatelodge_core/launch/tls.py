"""The server's own TLS. Files are read once, before the process is confined: a renewed certificate needs a restart."""

from __future__ import annotations

import logging
import ssl
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from gatelodge_core.auth.private import read_private
from gatelodge_core.errors import SettingsError
from gatelodge_core.launch.exposure import Tls

logger = logging.getLogger(__name__)

MAX_KEY = 64 * 1024
SOON = timedelta(days=14)


def context(tls: Tls) -> ssl.SSLContext:
    """What speaks TLS 1.2 and 1.3 for us, and asks callers for their certificates if it is to.

    Raises:
        SettingsError: The certificate, its key or the callers' authority can't be used, or others can read the key.
    """
    _check_key(tls.key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    made.set_alpn_protocols(["http/1.1"])
    try:
        made.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise SettingsError(f"--tls-cert {tls.cert}, --tls-key {tls.key}: can't be used: {_reason(error)}") from None
    if tls.client_ca:
        made.verify_mode = ssl.CERT_REQUIRED
        try:
            made.load_verify_locations(tls.client_ca)
        except (OSError, ValueError) as error:
            raise SettingsError(f"--tls-client-ca {tls.client_ca}: can't be used: {_reason(error)}") from None
    _warn(tls.cert)
    return made


def _check_key(path: str) -> None:
    try:
        read_private(path, MAX_KEY, "the key of --tls-key")
    except FileNotFoundError:
        raise SettingsError(f"--tls-key {path}: there is no such file") from None


def _no_password() -> NoReturn:
    # OpenSSL would ask on the terminal, which a server doesn't have.
    raise ValueError("the key is encrypted; give it without a passphrase, in a file that only its owner may read")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not PEM"
    return (error.strerror if isinstance(error, OSError) else str(error)) or "not PEM"


def _warn(path: str) -> None:
    """Say when a certificate isn't valid: clients refuse it with less clear words."""
    from cryptography import x509  # noqa: PLC0415 - 30 ms that only a server with TLS of its own needs

    with open(path, "rb") as source:
        found = x509.load_pem_x509_certificate(source.read())
    now = datetime.now(UTC)
    if found.not_valid_after_utc < now:
        logger.error("--tls-cert %s expired on %s: clients will refuse it", path, found.not_valid_after_utc)
    elif found.not_valid_before_utc > now:
        logger.error("--tls-cert %s isn't valid before %s: clients will refuse it", path, found.not_valid_before_utc)
    elif found.not_valid_after_utc - now < SOON:
        logger.warning("--tls-cert %s expires on %s; a new one needs a restart", path, found.not_valid_after_utc)
