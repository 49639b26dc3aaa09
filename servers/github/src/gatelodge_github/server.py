"""The GitHub server, put together."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from urllib.parse import urlsplit

from gatelodge_core.declare import Declarations, ToolDeclaration, merged, read_only
from gatelodge_core.errors import SettingsError
from gatelodge_core.keeper import Keeper
from gatelodge_core.sandbox import profiles
from gatelodge_core.sandbox.profiles import Profile
from gatelodge_core.server import Identity, Lodge
from pydantic import SecretStr

from gatelodge_github.asking import doubts, effect
from gatelodge_github.asking_subjects import subjects
from gatelodge_github.completing import completing
from gatelodge_github.credentials import Credential, FileCredential, find, of_account
from gatelodge_github.hub import Hub
from gatelodge_github.prompts import NEEDS as PROMPTS_NEED
from gatelodge_github.prompts import prompts
from gatelodge_github.resources import NEEDS as RESOURCES_NEED
from gatelodge_github.resources import resources
from gatelodge_github.settings import GithubSettings
from gatelodge_github.surface import instructions, words
from gatelodge_github.tools.actions import actions
from gatelodge_github.tools.admin import admin
from gatelodge_github.tools.context import context
from gatelodge_github.tools.discussions import discussions
from gatelodge_github.tools.dispatching import dispatching
from gatelodge_github.tools.files import files
from gatelodge_github.tools.filing import filing
from gatelodge_github.tools.finding import finding
from gatelodge_github.tools.history import history
from gatelodge_github.tools.issues import issues
from gatelodge_github.tools.merging import merging
from gatelodge_github.tools.pulls import pulls
from gatelodge_github.tools.releases import releases
from gatelodge_github.tools.security import security
from gatelodge_github.tools.writing import writing
from gatelodge_github.trust.taint import Taint

GROUPED: Mapping[str, Declarations[Hub]] = {
    "context": context,
    "repos": merged([finding, files, history, writing]),
    "issues": merged([issues, filing]),
    "pulls": merged([pulls, merging]),
    "actions": actions,
    "actions_write": dispatching,
    "admin": admin,
    "security": security,
    "discussions": discussions,
    "releases": releases,
}
"""The tools by toolset."""

OFFERED: Declarations[Hub] = merged([*GROUPED.values(), resources, prompts, completing])
"""Everything there is, whatever the settings."""


def declarations(settings: GithubSettings) -> Declarations[Hub]:
    """What the server offers under these settings.

    Raises:
        SettingsError: A tool that is named isn't there.
    """
    named, excluded = words(settings.tools), words(settings.exclude_tools)
    for name in (*named, *excluded):
        if name not in OFFERED.tools:
            raise SettingsError(f"tools: there is no tool {name[:40]!r}; there are {', '.join(OFFERED.tools)}")
    chosen = settings.chosen_toolsets
    kept = {name for toolset, part in GROUPED.items() if toolset in chosen for name in part.tools} | set(named)

    def keep(tool: ToolDeclaration) -> bool:
        return tool.name in kept and tool.name not in excluded and (not settings.read_only or read_only(tool))

    offered = OFFERED.chosen(keep)
    # What goes with a tool goes when it goes.
    for name in [name for name, tool in PROMPTS_NEED.items() if tool not in offered.tools]:
        del offered.prompts[name]
    for uri in [uri for uri, tool in RESOURCES_NEED.items() if tool not in offered.tools]:
        del offered.resources[uri]
    return offered


def profile(settings: GithubSettings, hub: Hub, files: Sequence[FileCredential] = ()) -> Profile:
    """What the process may reach: the ports of the API and of downloads, its state, and the files it was given."""
    ports = {443, hub.hosts.port}
    ports |= {port for host in settings.download_hosts if (port := urlsplit(f"//{host}").port)}
    # Keys were read; a token in a file is read again when GitHub refuses it.
    given = [settings.ca_file, *(credential.path for credential in files)]
    read = [os.path.abspath(os.path.expanduser(path)) for path in given if path]
    return profiles.github(settings.state_path, ports=sorted(ports), read=read)


def build(settings: GithubSettings, credential: Credential | None = None) -> Lodge[Hub]:
    """Find the credential, open the journal, and put the server together.

    Args:
        settings: The settings.
        credential: Of the person who starts the server; found as the settings say unless given.

    Raises:
        SettingsError: A setting, a credential or the state directory can't be used.
        JournalError: No journal can be kept.
    """
    if sys.flags.optimize:
        # PyGithub's own checks of hosts are assertions; ours are not, but two are better than one.
        raise SettingsError("start Python without -O: it takes checks out of the client library")
    own = credential or find(settings, environ=os.environ)
    accounts = {name: of_account(account, f"accounts.{name}") for name, account in settings.accounts.items()}
    identity = Identity(
        "github",
        "Gatelodge GitHub",
        "Works with GitHub: code, issues, pull requests, Actions.",
        instructions(settings.repo),
        version("gatelodge-github"),
        brief=True,
    )
    if not own.app and (held := own.token(0)):
        # Whatever its look, it is masked in all that leaves, logs included.
        settings.token = SecretStr(held)
    files = [item for item in (own, *accounts.values()) if isinstance(item, FileCredential)]
    hub = Hub(settings, own, accounts)
    offered = declarations(settings)
    hub.offered = frozenset(offered.tools)
    keeper = Keeper(
        settings,
        identity,
        offered,
        subjects=partial(subjects, hub),
        effect=partial(effect, hub),
        doubts=partial(doubts, hub),
        folded=True,
    )
    hub.taint = Taint(keeper.flow)
    hub.learn = keeper.cleanser.learn

    @asynccontextmanager
    async def life() -> AsyncGenerator[None]:
        async with keeper.life(hub.close):
            try:
                yield
            finally:
                await hub.aclose()

    return Lodge(
        identity,
        offered,
        hub,
        keeper.steps,
        ready=keeper.ready,
        states=keeper.states,
        profile=keeper.confined(profile(settings, hub, files)),
        start=keeper.start,
        cleanser=keeper.cleanser,
        hidden=keeper.hidden,
        life=life,
        replicas=keeper.replicas,
        turned_away=keeper.turned_away,
    )
