"""Whether the server of this container answers: exit status 0, or 1. Over stdio its host sees for itself."""

import http.client
import os
import ssl
import sys

ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it listens there; we ask it on loopback


def healthy(address: str) -> bool:
    """Whether the server that listens there, as the settings say, answers."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if "GATELODGE_TLS_CERT" in os.environ:
        # Nothing secret is told to it, and its certificate is for the name that callers use.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(ANY.get(host, host), int(port), timeout=4, context=context)
    else:
        connection = http.client.HTTPConnection(ANY.get(host, host), int(port), timeout=4)
    try:
        if "GATELODGE_TLS_CLIENT_CA" in os.environ:
            # It answers those alone who have a certificate; but in TLS 1.3 it shows its own first.
            connection.connect()
            return True
        connection.request("GET", "/livez", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if listens := os.environ.get("GATELODGE_HTTP"):
    sys.exit(not healthy(listens))
