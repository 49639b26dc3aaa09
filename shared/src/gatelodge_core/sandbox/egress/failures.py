"""Turns the failures of the HTTP library into ours."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Generator

import h11
import httpcore2

from gatelodge_core.sandbox.egress.errors import EgressError


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Raise an `EgressError` for what `httpcore2` raises; all else passes as it is."""
    try:
        yield
    except httpcore2.TimeoutException:
        raise EgressError("too_slow", "The host kept us waiting too long.") from None
    except httpcore2.LocalProtocolError:
        raise EgressError("bad_header", "The request has a header or method that HTTP doesn't allow.") from None
    except httpcore2.RemoteProtocolError as error:
        raise _bad_answer(error) from None
    except httpcore2.ProxyError:
        raise EgressError("unreachable", "The proxy refused the connection.") from None
    except httpcore2.NetworkError as error:
        raise _unreachable(error) from None
    except httpcore2.UnsupportedProtocol:
        raise EgressError("bad_url", "The URL doesn't start with http:// or https://.") from None


def _bad_answer(error: httpcore2.RemoteProtocolError) -> EgressError:
    cause = error.__cause__ or error.__context__
    # 431: the parser's hint that its buffer filled up before the headers ended.
    if isinstance(cause, h11.RemoteProtocolError) and cause.error_status_hint == 431:
        return EgressError("too_large", "The headers of the answer are larger than may be received.")
    return EgressError("bad_answer", "The host broke off or didn't answer in HTTP.")


def _unreachable(error: httpcore2.NetworkError) -> EgressError:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return EgressError("unreachable", "The host's certificate is not valid for it.")
    if isinstance(cause, ssl.SSLError):
        return EgressError("unreachable", "The host and we could not agree on TLS.")
    return EgressError("unreachable", "The connection failed.")
