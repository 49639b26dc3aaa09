"""The domain: the databases that this server serves, each with what reads it and, if switched on, what changes it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.database import READ_WRITE, Database, Timeouts
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


class Source:
    """One database.

    Args:
        name: What callers call it.
        place: Where it is.
        settings: Of the server.
    """

    def __init__(self, name: str, place: Place, settings: PostgresSettings) -> None:
        self.name = name
        self.settings = settings
        self.place = place
        self.audit: Audit | None = None
        """What the reading role could do; None before it was first used."""
        timeouts = Timeouts(settings.query_seconds, settings.lock_seconds)
        pool = Pool(
            place.target,
            size=settings.pool_size,
            seconds=settings.connect_seconds,
            sessions="prefer-standby",
            password=place.password,
            ready=place.ready,
        )
        self.database = Database(
            name, pool, timeouts, description=place.settings.description, role=place.settings.role, gate=self._admit
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
        self.writer: Database | None = None
        if place.write_target is not None and settings.allow_write and not settings.read_only:
            write_pool = Pool(
                place.write_target,
                size=2,
                seconds=settings.connect_seconds,
                sessions="read-write",
                password=place.password,
                ready=place.ready,
            )
            self.writer = Database(name, write_pool, timeouts, role=place.settings.role, begin=READ_WRITE)

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
        """Every database."""
        return list(self._sources.values())

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
            return next(iter(self._sources.values()))
        found = self._sources.get(connection)
        if found is None:
            raise CallError("no_connection", f"there is no database {connection[:60]!r}.", f"There are: {names}.")
        return found

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncGenerator[None]:
        """The life of all pools, and of the exports."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.exports.life())
            for source in self._sources.values():
                await stack.enter_async_context(source.life())
            yield
