"""The filesystem server, put together."""

from __future__ import annotations

import hashlib
import logging
import os
from importlib.metadata import version
from itertools import chain

from gatelodge_core.auth.principal import Principal
from gatelodge_core.declare import Declarations, merged, read_only
from gatelodge_core.keeper import Keeper
from gatelodge_core.sandbox import profiles
from gatelodge_core.sandbox.credentials import allowing
from gatelodge_core.sandbox.profiles import Profile
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.shares import Shares

from gatelodge_filesystem.changes.log import Limits
from gatelodge_filesystem.crowd import Crowd
from gatelodge_filesystem.prompts import prompts
from gatelodge_filesystem.resources import resources
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.search.ripgrep import executable
from gatelodge_filesystem.settings import OPTIONAL_TOOLS, FilesystemSettings
from gatelodge_filesystem.subjects import effect, subjects
from gatelodge_filesystem.subscribed import Subscribed
from gatelodge_filesystem.surface import INSTRUCTIONS
from gatelodge_filesystem.tools.archiving import archiving
from gatelodge_filesystem.tools.compat import compat
from gatelodge_filesystem.tools.moving import moving
from gatelodge_filesystem.tools.patching import patching
from gatelodge_filesystem.tools.reading import reading
from gatelodge_filesystem.tools.replacing import replacing
from gatelodge_filesystem.tools.searching import searching
from gatelodge_filesystem.tools.several import several
from gatelodge_filesystem.tools.undoing import undoing
from gatelodge_filesystem.tools.waiting import waiting
from gatelodge_filesystem.tools.writing import writing
from gatelodge_filesystem.viewing import viewing
from gatelodge_filesystem.workspace import Workspace

logger = logging.getLogger(__name__)

OFFERED = merged(
    [
        reading,
        several,
        searching,
        waiting,
        writing,
        replacing,
        moving,
        resources,
        undoing,
        patching,
        archiving,
        prompts,
        viewing,
    ]
)
"""Everything there is, whatever the settings."""


def declarations(settings: FilesystemSettings) -> Declarations[Workspace]:
    """What the server offers under these settings."""
    changeable = any(spec.writable for spec in _all_specs(settings))
    # The prompts speak of our own tools.
    offered = merged([compat, resources, patching, archiving]) if settings.compat else OFFERED
    left_out = {name for group, names in OPTIONAL_TOOLS.items() if group not in settings.tools for name in names}
    chosen = offered.chosen(lambda tool: tool.name not in left_out and (changeable or read_only(tool)))
    return chosen if settings.apps else chosen.without_views()


def _all_specs(settings: FilesystemSettings) -> list[RootSpec]:
    return [*settings.specs, *chain.from_iterable(settings.account_specs.values())]


def profile(settings: FilesystemSettings) -> Profile:
    """What the process may reach: all roots, its state, ripgrep, and no network."""
    read_only = [spec.path for spec in _all_specs(settings) if not spec.writable]
    writable = [spec.path for spec in _all_specs(settings) if spec.writable]
    return profiles.filesystem(read_only, writable, settings.state_path, needs_exec=executable())


def build(settings: FilesystemSettings) -> Lodge[Workspace]:
    """Pin the roots, settle what killed writers left, open the journal, and put the server together.

    Raises:
        SettingsError: A root or the state directory can't be used.
        JournalError: No journal can be kept.
    """
    identity = Identity(
        "filesystem",
        "Gatelodge Filesystem",
        "Files of the folders you grant, confined to them.",
        INSTRUCTIONS,
        version("gatelodge-filesystem"),
    )
    shares = shared(settings)
    for workspace in shares:
        for line in workspace.settle():
            logger.warning("%s", line)
    offered = declarations(settings)
    keeper = Keeper(
        settings,
        identity,
        offered,
        subjects=lambda call: subjects(shares.of(call.principal), call),
        effect=lambda call: effect(shares.of(call.principal), call, reference=bool(settings.compat)),
        shares=shares,
    )

    def hidden(tool: str, principal: Principal) -> bool:
        if keeper.hidden(tool, principal):
            return True
        # Of no use to a caller of whose roots none may change.
        return not read_only(offered.tools[tool]) and not any(root.writable for root in shares.of(principal).roots)

    def close() -> None:
        for workspace in shares:
            workspace.close()

    return Lodge(
        identity,
        offered,
        next(iter(shares)),
        keeper.steps,
        ready=keeper.ready,
        states=keeper.states,
        profile=keeper.confined(profile(settings)),
        start=keeper.start,
        hidden=hidden,
        replicas=keeper.replicas,
        result_bytes=settings.result_bytes,
        turned_away=keeper.turned_away,
        watch=lambda uri, changed: Subscribed(shares.of()).watch(uri, changed),
        life=lambda: keeper.life(close),
        shares=shares,
    )


def shared(settings: FilesystemSettings) -> Shares[Workspace]:
    """A workspace for the person who started the server, and one for each account, with its own undo.

    Raises:
        SettingsError: A root can't be used.
    """
    place = os.path.join(settings.state_path, "filesystem")
    crowd = Crowd(1 + len(settings.accounts) if settings.specs else max(len(settings.accounts), 1))

    def workspace(specs: list[RootSpec], state_dir: str) -> Workspace:
        # Accounts alone are enough, where callers can be told apart.
        roots = (
            []
            if settings.accounts and not specs
            else pin(
                specs,
                allow_broad=settings.allow_broad_roots,
                refuses=allowing(settings.allow_credentials),
                own=settings.own_paths,
            )
        )
        return Workspace(
            roots,
            budget=settings.budget,
            state_dir=state_dir,
            kept=Limits(settings.undo_megabytes * 1024 * 1024, settings.undo_days * 86400),
            # Folders of several accounts have one lock.
            locks=os.path.join(place, "locks"),
            crowd=crowd,
        )

    accounts = {
        name: workspace(specs, os.path.join(place, "accounts", hashlib.sha256(name.encode()).hexdigest()[:32]))
        for name, specs in settings.account_specs.items()
    }
    return Shares(workspace(settings.specs, place), accounts, lent=bool(settings.roots), what="folder")
