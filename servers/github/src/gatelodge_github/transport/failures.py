"""From GitHub's answers to errors that say what was wrong and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from gatelodge_core.errors import CallError

from gatelodge_github.data import table
from gatelodge_github.transport.progress import Lost
from gatelodge_github.transport.request import Request

_SPACE = re.compile(r"\s+")


def message_of(data: object) -> str:
    """What GitHub says went wrong, with the details it gives, on one line of at most 400 characters."""
    told = table(data)
    parts = [str(told.get("message") or "")]
    errors: object = told.get("errors")
    for item in cast("list[Any]", errors)[:5] if isinstance(errors, list) else []:
        if isinstance(item, dict):
            error = table(cast("object", item))
            named = " ".join(str(error[key]) for key in ("resource", "field", "code", "message") if error.get(key))
            parts.append(named)
        else:
            parts.append(str(item))
    return _SPACE.sub(" ", "; ".join(part for part in parts if part))[:400]


def failure(status: int, headers: Mapping[str, str], data: object, kind: str) -> CallError:
    """The error for an answer that tells of one.

    Args:
        status: The code, 400 or more.
        headers: Names in lower case.
        data: The JSON of the answer, or None.
        kind: Of the credential: ``classic``, ``fine-grained``, ``app``, ``none``, ...
    """
    said = message_of(data)
    # The journal, the model and the person read this; it is marked as what GitHub said, since users' text can be in it.
    quoted = f" GitHub says: {said}" if said else ""
    if status == 401:
        return CallError("bad_credentials", "GitHub does not accept the credential." + quoted, _renew(kind))
    if status == 403:
        return _forbidden(headers, quoted, kind)
    if status in (404, 410):
        gone = "was removed" if status == 410 else "is not there, or the credential may not see it"
        return CallError("not_found", f"What was asked for {gone}.{_unsaid(said)}", _needed(headers, kind))
    if status in (405, 409):
        return CallError(
            "conflict", "GitHub refused this in the present state." + quoted, "Read it again, then decide."
        )
    if status == 406 or (status == 422 and "too_large" in said):
        return CallError("too_large", "GitHub can't give this at once." + quoted, "Ask for single paths.")
    if status in (400, 422):
        return CallError("invalid", "GitHub does not accept this." + quoted, "Correct the arguments.")
    if status == 451:
        return CallError("unavailable", "GitHub withholds this for legal reasons." + quoted)
    if status >= 500:
        return CallError("github_failed", f"GitHub failed (status {status})." + quoted, "Try again in a moment.")
    return CallError("refused", f"GitHub answered with status {status}." + quoted)


def unknown_outcome(request: Request, check: str, *, why: str) -> CallError:
    """The error for a change of which nobody knows whether it was made. It is never repeated by us."""
    return CallError(
        "outcome_unknown",
        f"{why}, so it is not known whether {request.verb} {_plain(request)} was done. It was not repeated.",
        f"Before you try again, check: {check or 'read it again'}.",
    )


def unreachable(lost: Lost | None) -> CallError:
    """The error for a request that was lost, and of which nothing can have been done."""
    if lost is not None and lost.late:
        nothing = "" if lost.sent else "; nothing was sent"
        return CallError("too_slow", f"GitHub did not answer in time{nothing}.", "Try again, or ask for less.")
    return CallError("unreachable", "GitHub can't be reached; nothing was done.", "Check the network, then try again.")


def _plain(request: Request) -> str:
    return "the GraphQL mutation" if request.graphql else request.path[:200]


def _unsaid(said: str) -> str:
    return "" if said in ("", "Not Found") else f" GitHub says: {said}"


def _renew(kind: str) -> str:
    if kind == "none":
        return "Set GITHUB_TOKEN, or another source of a token: see the server's README."
    if kind == "app":
        return "Check the App's id, installation and key."
    return "The token has expired or was revoked: make a new one and restart the server."


def _forbidden(headers: Mapping[str, str], quoted: str, kind: str) -> CallError:
    sso = re.search(r"url=(https://[^\s;]+)", headers.get("x-github-sso", ""))
    if sso:
        return CallError("sso_required", "The organisation asks for single sign-on with this token." + quoted,
                         f"The person opens {sso[1][:300]} once.")  # fmt: skip
    return CallError("forbidden", "The credential may not do this." + quoted, _needed(headers, kind))


def _needed(headers: Mapping[str, str], kind: str) -> str:
    """Which permission is missing, as far as the answer tells."""
    granted = headers.get("x-accepted-github-permissions", "")
    if granted and kind not in ("classic", "oauth"):
        # Semicolons stand between alternatives, commas between what is needed together.
        ways = [" and ".join(one.strip() for one in way.split(",") if one.strip()) for way in granted.split(";")]
        wanted = " or ".join(way for way in ways if way).replace("=", ": ")
        owner = "The App's installation" if kind == "app" else "The token"
        return f"{owner} needs the permission {wanted[:200]}, for this repository."
    accepted, held = headers.get("x-accepted-oauth-scopes"), headers.get("x-oauth-scopes")
    if accepted and held is not None:
        return f"The token has the scopes {held or 'none'}; this needs one of {accepted[:200]}."
    if kind == "none":
        return "There is no credential: private repositories and changes need one."
    return "Check the name, and what the credential may do (get_me)."
