"""The PostgreSQL server, put together."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from importlib.metadata import version

from gatelodge_core.declare import Declarations, merged, read_only
from gatelodge_core.errors import SettingsError
from gatelodge_core.keeper import Keeper
from gatelodge_core.sandbox import profiles
from gatelodge_core.sandbox.profiles import Profile
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.shares import SharedLists, Shares

from gatelodge_postgres.choosing import choosing
from gatelodge_postgres.completing import completing
from gatelodge_postgres.connect.target import parse
from gatelodge_postgres.demo import with_demo
from gatelodge_postgres.dev.exports import Exports
from gatelodge_postgres.leading import lead
from gatelodge_postgres.listing import Listing
from gatelodge_postgres.prompts import prompts
from gatelodge_postgres.resources import resources
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_postgres.sources import Place, Source, Sources
from gatelodge_postgres.subjects import effect, subjects
from gatelodge_postgres.surface import instructions
from gatelodge_postgres.tools.activity import activity
from gatelodge_postgres.tools.admin import admin
from gatelodge_postgres.tools.changing import write
from gatelodge_postgres.tools.comparing import comparing
from gatelodge_postgres.tools.explaining import explaining
from gatelodge_postgres.tools.exporting import exporting
from gatelodge_postgres.tools.health import health
from gatelodge_postgres.tools.objects import objects
from gatelodge_postgres.tools.profiling import profiling
from gatelodge_postgres.tools.querying import querying
from gatelodge_postgres.tools.schema_search import searching
from gatelodge_postgres.tools.typing_code import typing_code
from gatelodge_postgres.tools.workload import workload
from gatelodge_postgres.verdict.parse import has_parser
from gatelodge_postgres.viewing import viewing

logger = logging.getLogger(__name__)

GROUPED: dict[str, Declarations[Sources]] = {
    "core": merged([objects, querying, explaining, resources, prompts, completing, viewing]),
    "dev": merged([searching, profiling, exporting, typing_code, comparing]),
    "dba": merged([workload, health, activity]),
    "admin": admin,
    "write": write,
}
OFFERED: Declarations[Sources] = merged(GROUPED.values())
"""Everything there is, whatever the settings."""


def declarations(settings: PostgresSettings) -> Declarations[Sources]:
    """What the server offers under these settings."""
    groups = [name for name in settings.tools if name not in ("write", "admin")]
    groups += ["write"] if settings.allow_write else []
    groups += ["admin"] if settings.allow_admin else []
    chosen = {tool for name in groups for tool in GROUPED.get(name, Declarations[Sources]()).tools}
    offered = OFFERED.chosen(lambda tool: tool.name in chosen and (not settings.read_only or read_only(tool)))
    return choosing(
        offered if settings.apps else offered.without_views(),
        list(settings.all_databases()),
        named=not settings.accounts,
    )


def places(settings: PostgresSettings) -> dict[str, Place]:
    """Where each configured database is.

    Raises:
        SettingsError: There is none, or a URL can't be read.
    """
    found: dict[str, Place] = {}
    for name, given in settings.all_databases().items():
        url, write_url = given.url.get_secret_value(), given.write_url.get_secret_value()
        if not url and not given.role and not write_url:
            raise SettingsError(f"database {name}: it has no url")
        found[name] = Place(given, parse(name, url), parse(name, write_url) if write_url else None)
    if not found:
        raise SettingsError(
            "no database is configured. Set GATELODGE_POSTGRES_URL=postgresql://USER@HOST:PORT/DATABASE, name several "
            "as GATELODGE_POSTGRES_NAME_URL, or give --demo for a small one of its own"
        )
    return found


def shared(settings: PostgresSettings, reached: dict[str, Place]) -> Shares[Sources]:
    """All databases for the person who started the server, and to each account its own, with pools of its own.

    Raises:
        SettingsError: An account names a database that isn't there.
    """
    accounts: dict[str, Sources] = {}
    for name, account in settings.accounts.items():
        if unknown := [one for one in account.connections if one not in reached]:
            raise SettingsError(
                f"accounts.{name}: there is no database {unknown[0][:60]!r}; there are: {', '.join(reached)}"
            )
        given = {one: reached[one] for one in account.connections}
        accounts[name] = sources_of(settings, given, hashlib.sha256(name.encode()).hexdigest()[:32])
    by_caller = any(place.by_caller for place in reached.values())
    return Shares(sources_of(settings, reached), accounts, lent=True, what="database", apart=by_caller)


def sources_of(settings: PostgresSettings, reached: dict[str, Place], account: str = "") -> Sources:
    """Databases, and where large results are kept: for an account apart from all others."""
    exports = Exports(
        os.path.join(settings.state_path, "postgres", "exports", account),
        settings.export_mb * 1024 * 1024,
        settings.export_minutes * 60,
    )
    return Sources({name: Source(name, place, settings) for name, place in reached.items()}, exports)


def profile(settings: PostgresSettings, reached: dict[str, Place]) -> Profile:
    """What the process may reach: the databases' ports and sockets, certificates, its state."""
    targets = [one for place in reached.values() for one in (place.target, place.write_target) if one is not None]
    ports = {port for target in targets for port in target.ports if any(host and host[0] not in "/@" for host in target.hosts)}  # fmt: skip
    sockets = {folder for target in targets for folder in target.sockets}
    read = {path for target in targets for path in target.files}
    return profiles.postgres(sorted(ports), settings.state_path, read=sorted(read), sockets=sorted(sockets))


def _described(settings: PostgresSettings) -> list[tuple[str, str]]:
    """Each database's name and description. With accounts, not everybody may know of every one."""
    return [(name, given.description) for name, given in settings.all_databases().items()]


def _nothing() -> None:
    """What there is to close without the demo."""


def build(settings: PostgresSettings) -> Lodge[Sources]:
    """Read the addresses, open the journal, and put the server together. Nothing is connected before the first call.

    Raises:
        SettingsError: A setting or the state directory can't be used.
        JournalError: No journal can be kept.
    """
    close: Callable[[], None] = _nothing
    if settings.demo:
        settings, close = with_demo(settings)
    identity = Identity(
        "postgres",
        "Gatelodge PostgreSQL",
        "Reads PostgreSQL databases, and changes them only as previewed and confirmed.",
        instructions([] if settings.accounts else _described(settings), settings.allow_write),
        version("gatelodge-postgres"),
    )
    if settings.judge == "parsed" and not has_parser():
        raise SettingsError(
            "postgast, PostgreSQL's parser, is not installed and has no package for this platform. --judge server-only goes "
            "without it: then only the role, the protocol and the read-only transaction hold, so use a role that only reads"
        )
    if settings.judge == "server-only":
        logger.warning("statements are not judged (judge = server-only): role, protocol and transaction alone hold")
    reached = places(settings)
    offered = declarations(settings)
    helper = lead(reached)
    shares = shared(settings, reached)
    keeper = Keeper(
        settings,
        identity,
        offered,
        subjects=lambda call: subjects(shares.of(call.principal), call),
        effect=lambda call: effect(shares.of(call.principal), call),
        shares=shares,
    )
    listings = shares.each(Listing)

    @asynccontextmanager
    async def life() -> AsyncGenerator[None]:
        async with keeper.life(close), helper.life() if helper else nullcontext(), AsyncExitStack() as stack:
            for sources in shares:
                await stack.enter_async_context(sources.life())
            yield

    return Lodge(
        identity,
        offered,
        next(iter(shares)),
        keeper.steps,
        ready=keeper.ready,
        states=keeper.states,
        profile=keeper.confined(profile(settings, reached)),
        start=keeper.start,
        hidden=keeper.hidden,
        replicas=keeper.replicas,
        result_bytes=settings.result_bytes,
        turned_away=keeper.turned_away,
        life=life,
        watch=lambda uri, changed: listings.of().watch_table(uri, changed),
        lists=SharedLists(listings) if settings.accounts else next(iter(listings)),
        selector_loop=True,
        shares=shares,
    )
