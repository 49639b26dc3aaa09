"""What a call acts on, as policies name it: ``owner/name``, and files as ``owner/name/path``, all in lower case.

GitHub's names of repositories know no letter case, and an old name leads to a repository still. So a repository is named
as the caller wrote it and as GitHub calls it now, and policies are folded to lower case too (`Policy.folded`).
"""

from __future__ import annotations

from urllib.parse import unquote

from gatelodge_core.errors import CallError
from gatelodge_core.guard.call import Call, Subject

from gatelodge_github.data import rows, text
from gatelodge_github.hub import Hub

_TREES = frozenset({"get_diff", "get_pull_diff"})
"""Tools that show any file of a repository; their `paths` are no bound, since a patch shows what a file was before a move."""


async def subjects(hub: Hub, call: Call) -> list[Subject]:
    """What a call acts on; as a tree where it reaches what is below too. It never fails, whatever the arguments are."""
    if call.kind == "resource":
        return await _of_uri(hub, call)
    if call.name == "create_repo":
        made = Subject(f"{await _owner(hub, call)}/{text(call.arguments.get('name')).strip()}".lower())
        copied = text(call.arguments.get("fork_of"))
        return [made, *(Subject(name, tree=True) for name in (await _names(hub, call, copied) if copied else []))]
    repo = text(call.arguments.get("repo"))
    if call.name == "search_github" and not repo.strip():
        return [Subject("", tree=True)]
    names = await _names(hub, call, repo)
    paths = [text(call.arguments.get("path")), *(text(item.get("path")) for item in rows(call.arguments.get("files")))]
    prefix = text(call.arguments.get("prefix")).strip("/") if call.name == "get_tree" else ""
    # Search for code shows the lines that match, of whatever file.
    whole = call.name in _TREES or (call.name == "get_tree" and not prefix) or call.arguments.get("kind") == "code"
    found = [Subject(name, tree=whole) for name in (*names, *_forks(call, names))]
    found += [Subject(f"{name}/{prefix}".lower(), tree=True) for name in names if prefix]
    return found + [Subject(f"{name}/{path.strip('/')}".lower()) for name in names for path in paths if path.strip("/")]


async def new_name(hub: Hub, call: Call) -> str:
    """The name of the repository that `create_repo` would make."""
    return f"{await _owner(hub, call) or 'nobody known'}/{text(call.arguments.get('name'))}"


async def _owner(hub: Hub, call: Call) -> str:
    if org := text(call.arguments.get("org")).strip():
        return org
    try:
        return await hub.desk(call.principal).marks.viewer()
    except CallError:
        return ""


async def _names(hub: Hub, call: Call, repo: str) -> list[str]:
    """A repository, or else the default one, as it was named and as GitHub calls it."""
    asked = repo.strip() or hub.gate.default
    if not asked:
        return []
    try:
        facts = await hub.desk(call.principal).repositories.or_unknown(hub.gate.name(asked))
    except CallError:
        # It is refused later, too.
        return [asked.lower()]
    return list(dict.fromkeys((asked.lower(), facts.name.lower())))


def _forks(call: Call, names: list[str]) -> list[str]:
    """The forks that a comparison names: ``owner:ref``, or ``owner:name:ref``."""
    found: list[str] = []
    for side in text(call.arguments.get("target")).split("..."):
        parts = side.lower().split(":")
        if len(parts) > 1 and names:
            found.append(f"{parts[0]}/{parts[1] if len(parts) > 2 else names[-1].partition('/')[2]}")
    return found


async def _of_uri(hub: Hub, call: Call) -> list[Subject]:
    """Of ``repo://owner/name/ref/path`` the file, without its ref (`uris`); of others the repository."""
    scheme, _, rest = call.name.partition("://")
    parts = [unquote(part) for part in rest.split("/")]
    names = await _names(hub, call, "/".join(parts[:2])) if len(parts) > 1 else [rest.lower()]
    # A diff shows whatever was changed.
    found = [Subject(name, tree=parts[-1] == "diff") for name in names]
    path = "/".join(parts[3:]).strip("/") if scheme.lower() == "repo" else ""
    return found + [Subject(f"{name}/{path}".lower()) for name in names if path]
