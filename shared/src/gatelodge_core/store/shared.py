"""The store that replicas share: one Valkey or Redis, asked by scripts that are each done wholly or not at all.

Every question has a deadline. Once one fails, all fail at once, without asking, until the one probe that goes on finds the
store well again: so a store that comes back is met by one connection of each replica, not by all their callers.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from gatelodge_core.errors import SettingsError
from gatelodge_core.store.address import Address, parsed
from gatelodge_core.store.errors import StoreBusyError, StoreError

if TYPE_CHECKING:
    from gatelodge_core.settings import LodgeSettings
    from gatelodge_core.store.connecting import Client

logger = logging.getLogger(__name__)

DEADLINE = 0.25
"""Seconds after which a question has failed."""
GRACE_SECONDS = 0.02
"""Once that is over, for taking up what came meanwhile."""
START_SECONDS = 2.0
"""How long a server waits for its store before it starts without being ready."""
CONNECTIONS = 16
MAX_WAITING = 512
"""Questions that wait for a connection; one more is refused at once."""
LOOK_SECONDS = 1.0
"""How often a store that is well is looked at."""
AGAIN_SECONDS = 0.5
"""How often one that isn't; each replica at its own moments."""
PREFIX = "gatelodge:"
KEEPING = "noeviction"
"""What a store that has a bound must do when that is reached: refuse, rather than forget."""

Argument = str | int | float


class Script(NamedTuple):
    """Lua that the store runs as one step.

    Args:
        text: What it does.
        sha: By which the store knows it.
    """

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Script:
        """The script with a text."""
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


# It writes: a store that is full, or a copy that can't be written, is no use. The name of this memory is made once; a store
# that has lost all it knew gets another. How much it may hold, and what it does then, is empty where our account may not ask.
_LOOK = Script.of("""
redis.call('SET', KEYS[2], '1', 'PX', 60000)
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local info = redis.pcall('INFO', 'memory')
if type(info) ~= 'string' then info = '' end
local most, policy = string.match(info, 'maxmemory:(%d+)'), string.match(info, 'maxmemory_policy:([%w-]+)')
return {redis.call('GET', KEYS[1]), most or '', policy or ''}
""")


class _UnfitError(Exception):
    """It answers, and can't be counted on; the text says why, and follows where it is."""


class SharedStore:
    """A connection to the store.

    Args:
        address: Where it is.
        deadline: Seconds after which a question has failed.
        connections: The most at once.

    Raises:
        SettingsError: The client library is not installed.
    """

    def __init__(self, address: Address, *, deadline: float = DEADLINE, connections: int = CONNECTIONS) -> None:
        try:
            from gatelodge_core.store import connecting  # noqa: PLC0415 - an extra, and not for those without a store
        except ImportError:
            raise SettingsError(
                "a shared store needs the redis package: install gatelodge-core[store], or gatelodge[store]"
            ) from None
        self.address = address
        self._library = connecting
        self._deadline = deadline
        self._client: Client = connecting.client(
            # Ours is the deadline that counts.
            address,
            seconds=4 * deadline,
            connections=connections,
        )
        self._places = asyncio.Semaphore(connections)
        self._waiting = 0
        self._look = asyncio.Event()
        self.failure = "the shared store has not been asked yet"
        """Why it can't be used now; empty if it can."""
        self._uninformed = False
        self.memory = ""
        """The name of what it knows: another one, once it has lost all that."""

    @classmethod
    def of(cls, settings: LodgeSettings) -> SharedStore | None:
        """The store that the settings name, if they do.

        Raises:
            SettingsError: It can't be used.
        """
        address = cls.address_of(settings)
        return None if address is None else cls(address)

    @staticmethod
    def address_of(settings: LodgeSettings) -> Address | None:
        """Where it is.

        Raises:
            SettingsError: That isn't safe to use.
        """
        url = settings.store_url.get_secret_value()
        if not url and settings.store_ca_file:
            raise SettingsError("--store-ca-file has no effect without GATELODGE_STORE_URL")
        return parsed(url, settings.store_ca_file) if url else None

    async def run(self, script: Script, keys: Sequence[str], *arguments: Argument) -> Any:
        """Run a script.

        Args:
            script: Lua; it is sent whole only where the store doesn't know it yet.
            keys: What it touches.
            arguments: What it is told.

        Returns:
            What it returns: whole numbers, bytes, None, and lists of these.

        Raises:
            StoreBusyError: Too much waits for it already.
            StoreError: It can't be used now.
        """
        if self.failure:
            raise StoreError(self.failure)
        if self._waiting >= MAX_WAITING:
            raise StoreBusyError("too much waits for the shared store")
        self._waiting += 1
        try:
            async with _within(self._deadline):
                await self._places.acquire()
        except TimeoutError:
            raise StoreBusyError("too much waits for the shared store") from None
        finally:
            self._waiting -= 1
        try:
            return await self._ask(script, keys, arguments)
        except (*self._library.Failure, _UnfitError) as error:
            # Too late can be our own fault, on a busy machine, and a no can be about this script alone: the probe decides.
            if not isinstance(error, (*self._library.TimedOut, self._library.Refused)):
                self._fail(self._reason(error))
            self._look.set()
            raise StoreError(self._reason(error)) from None
        finally:
            self._places.release()

    async def _ask(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        async with _within(self._deadline):
            client, count = self._client, len(keys)
            try:
                return await client.evalsha(script.sha, count, *keys, *arguments)  # pyright: ignore[reportGeneralTypeIssues,reportUnknownVariableType] - the library types both its clients as one
            except self._library.NoScript:
                # It was restarted. Nothing has been done yet.
                return await client.eval(script.text, count, *keys, *arguments)  # pyright: ignore[reportGeneralTypeIssues,reportUnknownVariableType] - as above
            except self._library.Failure:
                raise
            except Exception as error:
                # The library's reader fails in many ways on what isn't its protocol; the connection is closed by then.
                raise _UnfitError(_NONSENSE) from error

    def _reason(self, error: BaseException) -> str:
        """Why it can't be used, without the words of the library, which could hold anything."""
        where = f"the shared store at {self.address.shown}"
        if isinstance(error, _UnfitError):
            return f"{where} {error}"
        if isinstance(error, self._library.Denied):
            return f"{where} does not take our name and password"
        if isinstance(error, self._library.Refused):
            # The first word is a code, such as OOM or READONLY.
            code = str(error).partition(" ")[0]
            return f"{where} refuses to do its work ({code[:20] if code.isupper() else type(error).__name__})"
        if isinstance(error, self._library.TimedOut):
            return f"{where} does not answer in time"
        return f"{where} can't be reached ({type(error.__cause__ or error).__name__})"

    def _fail(self, reason: str) -> None:
        if not self.failure:
            logger.error("%s: what depends on it is refused", reason)
        self.failure = reason

    async def _probe(self) -> BaseException | None:
        """Look whether it is well, and what went wrong if it isn't."""
        keys, name = [f"{PREFIX}memory", f"{PREFIX}alive"], f"{random.getrandbits(64):016x}"
        try:
            try:
                found = await self._ask(_LOOK, keys, [name])
            except self._library.TimedOut:
                # Twice in a row is no accident.
                found = await self._ask(_LOOK, keys, [name])
            memory, policy = _known(found)
        except (*self._library.Failure, _UnfitError) as error:
            self._fail(self._reason(error))
            # What lies in the pool may be half dead.
            with suppress(*self._library.Failure):
                await self._client.connection_pool.disconnect(inuse_connections=False)
            return error
        if not policy and not self._uninformed:
            self._uninformed = True
            logger.warning(
                "the shared store at %s doesn't let us see whether it forgets when it is full: give our account +info",
                self.address.shown,
            )
        if self.memory and memory != self.memory:
            logger.error(
                "the shared store has lost what it knew: revocations must be given again (see docs/09-remote.md)"
            )
        self.memory = memory
        if self.failure:
            logger.warning("the shared store at %s can be used", self.address.shown)
        self.failure = ""
        return None

    async def _watching(self) -> None:
        while True:
            # Not all replicas at the same moment.
            pause = (AGAIN_SECONDS if self.failure else LOOK_SECONDS) * random.uniform(0.7, 1.3)  # noqa: S311 - no secret
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()
            self._look.clear()
            await self._probe()

    @asynccontextmanager
    async def life(self) -> AsyncGenerator[None]:
        """Connect, and watch it until the end.

        A store that can't be reached does not keep a server from starting: it isn't ready, and refuses. Whoever isn't let
        in by the store would wait for ever, and does not start.

        Raises:
            SettingsError: It doesn't take our password.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + START_SECONDS
        while (error := await self._probe()) is not None and loop.time() < until:
            if isinstance(error, self._library.Denied):
                await self._client.aclose()
                raise SettingsError(f"GATELODGE_STORE_URL: {self._reason(error)}")
            await asyncio.sleep(0.1)
        watching = asyncio.create_task(self._watching())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            self.failure = "the shared store was closed"
            with suppress(*self._library.Failure):
                await self._client.aclose()


_NONSENSE = "says what can't be understood"


def _known(found: object) -> tuple[str, str]:
    """The name of what a store knows, and what it does when it is full; empty if that isn't told.

    Raises:
        _UnfitError: It isn't one, or it forgets then: a revocation that is forgotten would let its key in again.
    """
    try:
        memory, most, policy = (bytes(part).decode("ascii") for part in cast("list[bytes]", found))
    except (TypeError, ValueError):
        raise _UnfitError(_NONSENSE) from None
    if not memory:
        raise _UnfitError(_NONSENSE)
    if most not in ("", "0") and policy not in ("", KEEPING):
        raise _UnfitError(f"forgets when it is full (maxmemory-policy {policy[:20]}): set it to {KEEPING}")
    return memory, policy


@asynccontextmanager
async def _within(seconds: float) -> AsyncGenerator[None]:
    """A deadline for what others do: what has arrived while this process itself was held up still counts.

    Raises:
        TimeoutError: It has passed.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        timer = loop.call_later(seconds, lambda: scope.reschedule(loop.time() + GRACE_SECONDS))
        try:
            yield
        finally:
            timer.cancel()


def hashed(text: str) -> str:
    """A text of any length and any characters, as a part of a key."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
