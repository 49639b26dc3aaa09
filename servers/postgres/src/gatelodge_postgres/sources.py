"""The domain: the databases that this server serves, each with what reads it and, if switched on, what changes it."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace

from gatelodge_core.auth.principal import CALLER
from gatelodge_core.errors import CallError

from gatelodge_postgres.changes import Changes
from gatelodge_postgres.connect.database import PRINCIPAL, READ_WRITE, Database, Timeouts
from gatelodge_postgres.connect.pool import Password, Pool, Ready
from gatelodge_postgres.connect.privileges import Audit, audit
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.connect.target import Target
from gatelodge_postgres.dev.exports import Exports
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.reading.reader import Caps, Reader
from gatelodge_postgres.settings import DatabaseSettings, PostgresSettings
from gatelodge_postgres.verdict.judge import Judge, Rules
from gatelodge_postgres.verdict.known import Known
from gatelodge_postgres.verdict.shut import shut

logger = logging.getLogger(__name__)

ENFORCED = "grant-sql prints a role that can't; or start with --privileges warn."
MOST_ROLES = 256
"""Callers with a role of their own of whom something is remembered, for each database; the longest unused goes first."""


@dataclass
class Place:
    """Where a database is, prepared before the process was confined.

    Args:
        settings: Its settings.
        target: Where it reads.
        write_target: Where it changes; None if it doesn't.
        password: Asked for the password of each connection.
        ready: Awaited before each connection.
    """

    settings: DatabaseSettings
    target: Target
    write_target: Target | None = None
    password: Password | None = None
    ready: Ready | None = None

    @property
    def by_caller(self) -> bool:
        """Whether each caller has a role of its own there."""
        return PRINCIPAL in self.settings.role


@dataclass(frozen=True, slots=True)
class _Pools:
    """The connections to a database; a role is taken in each transaction, so that all callers share them."""

    reading: Pool
    writing: Pool | None

    @classmethod
    def of(cls, place: Place, settings: PostgresSettings) -> _Pools:
        def pool(target: Target, size: int, sessions: str) -> Pool:
            return Pool(
                target,
                size=size,
                seconds=settings.connect_seconds,
                sessions=sessions,
                password=place.password,
                ready=place.ready,
            )

        reading = pool(place.target, settings.pool_size, "prefer-standby")
        if place.write_target is None or not settings.allow_write or settings.read_only:
            return cls(reading, None)
        return cls(reading, pool(place.write_target, 2, "read-write"))


class Source:
    """One database, and what is known of it: as one role sees it.

    Args:
        name: What callers call it.
        place: Where it is.
        settings: Of the server.
        pools: Its connections; new ones without.
    """

    def __init__(self, name: str, place: Place, settings: PostgresSettings, pools: _Pools | None = None) -> None:
        self.name = name
        self.settings = settings
        self.place = place
        self.audit: Audit | None = None
        """What the reading role could do; None before it was first used."""
        timeouts = Timeouts(settings.query_seconds, settings.lock_seconds)
        self._pools = pools = pools or _Pools.of(place, settings)
        self._roles: OrderedDict[str, Source] = OrderedDict()
        self.database = Database(
            name,
            pools.reading,
            timeouts,
            description=place.settings.description,
            role=place.settings.role,
            gate=self._admit,
        )
        self.masks = Masks(settings.mask_columns, settings.allow_relations)
        rules = Rules(
            strict=settings.functions == "strict",
            allow_functions=tuple(settings.allow_functions),
            deny_relations=tuple(settings.deny_relations),
            allow_relations=tuple(settings.allow_relations),
            foreign=settings.allow_foreign,
            values_kept=bool(settings.mask_columns or settings.deny_relations or settings.allow_relations),
        )
        caps = Caps(settings.value_chars, settings.max_cost, self.masks, judged=settings.judge == "parsed")
        self.reader = Reader(self.database, Judge(Known(), rules), caps)
        self.changes = Changes(self.database, self.reader.judge, settings.catalog_seconds)
        self.reader.forgotten = self.changes.hint
        self.writer: Database | None = None
        if pools.writing is not None:
            self.writer = Database(name, pools.writing, timeouts, role=place.settings.role, begin=READ_WRITE)
        self.known_to_writer = Known()
        """What was asked of the catalog to judge changes."""

    def mine(self) -> Source:
        """The same database as the caller sees it.

        Where each caller has a role of its own, what was found with one (what it may do, what its names mean, what a
        statement touches) is not believed of another.
        """
        caller = CALLER.get()
        if caller is None or not self.place.by_caller:
            return self
        found = self._roles.get(caller.subject)
        if found is None:
            found = self._roles[caller.subject] = Source(self.name, self.place, self.settings, self._pools)
            if len(self._roles) > MOST_ROLES:
                self._roles.popitem(last=False)
        self._roles.move_to_end(caller.subject)
        return found

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncGenerator[None]:
        """The life of its pools."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.database.life())
            if self.writer is not None:
                await stack.enter_async_context(self.writer.life())
            yield

    async def _admit(self, session: Session) -> None:
        """Look at the role before the first query.

        Raises:
            CallError: It may do more than the settings accept.
        """
        found = self.audit = await audit(session, (await shut(session, self.reader.judge)).hides)
        if found.superuser and not self.settings.allow_superuser:
            raise CallError(
                "superuser_refused",
                f"database {self.name} is reached as {found.role}, a superuser, whom nothing in it holds back.",
                "Use a role that only reads (gatelodge-postgres grant-sql prints one), or start with --allow-superuser.",
            )
        if found.findings and self.settings.privileges == "enforce" and not found.superuser:
            text = f"role {found.role} of database {self.name} could do more than read: {'; '.join(found.findings)}."
            raise CallError("privileges_refused", text, ENFORCED)
        if found.superuser:
            self.reader.judge.rules = strict(self.reader.judge.rules)
        for finding in found.findings:
            logger.warning("database %s, role %s: %s", self.name, found.role, finding)


def strict(rules: Rules) -> Rules:
    """The same rules, with functions of users only where they are allowed: a superuser's reach further than they say."""
    return replace(rules, strict=True)


class Sources:
    """All databases.

    Args:
        sources: By name, in the order given.
        exports: Results that were too large for an answer.
    """

    def __init__(self, sources: Mapping[str, Source], exports: Exports) -> None:
        self._sources = dict(sources)
        self.exports = exports

    @property
    def all(self) -> list[Source]:
        """Every database, as the caller sees it."""
        return [source.mine() for source in self._sources.values()]

    def pick(self, connection: str = "") -> Source:
        """The database of a name; the only or first one without.

        Raises:
            CallError: There is none of that name, or no name among several.
        """
        names = ", ".join(self._sources)
        if not connection:
            if len(self._sources) > 1:
                raise CallError(
                    "which_connection", "there are several databases.", f"Give connection, one of: {names}."
                )
            return next(iter(self._sources.values())).mine()
        found = self._sources.get(connection)
        if found is None:
            raise CallError("no_connection", f"there is no database {connection[:60]!r}.", f"There are: {names}.")
        return found.mine()

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncGenerator[None]:
        """The life of all pools, and of the exports."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.exports.life())
            for source in self._sources.values():
                await stack.enter_async_context(source.life())
            yield
