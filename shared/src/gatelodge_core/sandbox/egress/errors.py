"""What can go wrong on the way out. No text here holds a resolved address, or anything a page wrote."""

from __future__ import annotations

from typing import Literal

from gatelodge_core.errors import CallError

Code = Literal[
    "bad_url",
    "bad_port",
    "bad_header",
    "blocked_address",
    "blocked_domain",
    "unreachable",
    "too_slow",
    "too_large",
    "too_many_redirects",
    "unsafe_redirect",
    "downgrade",
    "bad_content_type",
    "bad_encoding",
    "bad_answer",
]

_HINTS: dict[Code, str] = {
    "bad_url": "Give a plain http or https URL with a host name, without user name, password, spaces or backslashes.",
    "bad_port": "Use the default port, or ask the operator to allow this one in the settings.",
    "bad_header": "Leave that header out; the client sets it itself, or its text isn't valid.",
    "blocked_address": "Use a public address; an internal one has to be allowed by the operator in the settings.",
    "blocked_domain": "Use another source; the operator's settings say which domains are open.",
    "unreachable": "Check the host name and try again later.",
    "too_slow": "Try again later, or ask for less.",
    "too_large": "Ask for a smaller part, or for another source.",
    "too_many_redirects": "Ask for the final URL.",
    "unsafe_redirect": "Ask for the final URL yourself if you trust it.",
    "downgrade": "Ask for an https URL that stays on https.",
    "bad_content_type": "Ask for a URL that serves one of the accepted types.",
    "bad_encoding": "Try again later, or use another source: the answer can't be decoded.",
    "bad_answer": "Try again later, or use another source: the answer isn't valid HTTP.",
}


class EgressError(CallError):
    """A request that was refused, or failed, on its way out or back.

    Args:
        code: Which rule or failure.
        message: What was wrong. It tells no address that a name led to, and quotes nothing that came from outside.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(code, message, _HINTS[code])
        # The base keeps three arguments, this class takes two: pickling goes by `args`.
        self.args = (code, message)
