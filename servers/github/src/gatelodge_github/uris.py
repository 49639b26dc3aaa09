"""URIs of the resources.

Each part is percent-encoded: a ref is one segment, so its slashes are ``%2F``; ``HEAD`` is the default branch.
"""

from __future__ import annotations

from urllib.parse import quote

FILE = "repo://{owner}/{repo}/{ref}/{+path}"
ISSUE = "issue://{owner}/{repo}/{number}"
PULL = "pull://{owner}/{repo}/{number}"
PULL_DIFF = "pull://{owner}/{repo}/{number}/diff"
RUN = "run://{owner}/{repo}/{run}"
JOB_LOG = "run://{owner}/{repo}/{run}/jobs/{job}/log"


def file(repo: str, ref: str, path: str) -> str:
    """That of a file or directory.

    Args:
        repo: ``owner/name``.
        ref: A branch, tag or commit; the default branch if empty.
        path: Inside the repository; a directory ends with a slash.
    """
    return f"repo://{repo}/{quote(ref or 'HEAD', safe='')}/{quote(path)}"
