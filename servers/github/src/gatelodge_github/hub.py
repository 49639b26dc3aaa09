"""What the tools act on: for each caller the API of the caller's own credential, and what is known through it."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from gatelodge_core.auth.principal import CALLER, Principal, local_user
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import EgressSettings, Policy

from gatelodge_github.credentials import AppCredential, Credential
from gatelodge_github.gate import Gate
from gatelodge_github.hosts import Hosts
from gatelodge_github.settings import GithubSettings
from gatelodge_github.transport.api import Api
from gatelodge_github.transport.budget import Budget
from gatelodge_github.transport.cache import Cache
from gatelodge_github.transport.client import Client
from gatelodge_github.transport.downloads import Downloads
from gatelodge_github.transport.exchange import exchange
from gatelodge_github.transport.pool import Pool, Threads
from gatelodge_github.trust.marks import Marks
from gatelodge_github.trust.repositories import Facts, Repositories
from gatelodge_github.trust.taint import Taint
from gatelodge_github.view import View

THREADS = 16
"""Worker threads of all callers; one that is cut counts until it ends."""
MOST_DESKS = 200


@dataclass(frozen=True, slots=True)
class Desk:
    """What belongs to one credential; nothing of it is shared with another.

    Args:
        api: Sends its requests.
        repositories: What it sees of repositories.
        marks: Whom it trusts.
        pool: Its clients.
    """

    api: Api
    repositories: Repositories
    marks: Marks
    pool: Pool[Client]


class Hub:
    """GitHub, for all callers.

    Args:
        settings: The settings.
        credential: Of the person who started the server.
        accounts: Of principals over HTTP, by their names.
        clock: Seconds since 1970, for limits.

    Raises:
        SettingsError: A host or the cache can't be used.
    """

    def __init__(
        self,
        settings: GithubSettings,
        credential: Credential,
        accounts: dict[str, Credential] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self.hosts = Hosts.of(settings.host, settings.api_url, tuple(settings.download_hosts))
        self.gate = Gate(settings.repos, settings.write_repos, settings.repo)
        self.taint = Taint()
        self.downloads = Downloads(self.hosts, settings.ca_file)
        self.offered: frozenset[str] = frozenset()
        """The tools that there are under these settings, for texts that name some."""
        self.learn: Callable[[str, str], None] = lambda _name, _token: None
        """Told each token before it is sent, with a name that its successors have too; masked is then what comes back."""
        self._cache = Cache(os.path.join(settings.state_path, "cache", "github.sqlite"), settings.cache_mb)
        self._own, self._accounts = credential, accounts or {}
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._policy = Policy.of(EgressSettings(ports=frozenset({self.hosts.port}), allow_hosts=self.hosts.named))
        self._threads: Threads | None = None
        self._verify: bool | str = os.path.expanduser(settings.ca_file) if settings.ca_file else True
        for given in (credential, *self._accounts.values()):
            if isinstance(given, AppCredential):
                given.bind(exchange(self.hosts, self._policy, self._verify))

    @property
    def writable(self) -> bool:
        """Whether any request may change something."""
        return not self.settings.read_only

    def desk(self, principal: Principal | None = None) -> Desk:
        """The desk of the caller, or of a principal.

        Raises:
            CallError: `no_credential`: a principal over HTTP that the settings give none.
        """
        credential = self._credential(principal or CALLER.get() or local_user())
        desk = self._desks.get(credential.digest)
        if desk is None:
            desk = self._desks[credential.digest] = self._made(credential)
            while len(self._desks) > MOST_DESKS:
                self._desks.popitem(last=False)[1].pool.close()
        self._desks.move_to_end(credential.digest)
        return desk

    def _credential(self, principal: Principal) -> Credential:
        found = self._accounts.get(str(principal))
        if found is not None:
            return found
        # The starter's own credential is never lent to somebody else.
        if principal.method == "os-user":
            return self._own
        raise CallError("no_credential", "no GitHub credential belongs to this caller.", "The operator sets accounts.")

    def _made(self, credential: Credential) -> Desk:
        if self._threads is None:
            self._threads = Threads(THREADS)
        pool = Pool(self._client(credential), self._threads)
        budget = Budget(self.settings.writes_per_minute, self._clock)
        api = Api(self.hosts, credential, self.gate, self._cache, budget, pool)
        return Desk(api, Repositories(api, self.gate), Marks(api, self.settings.trusted_bots), pool)

    def _client(self, credential: Credential) -> Callable[[], Client]:
        held = [self._own, *self._accounts.values()]
        name = f"github token {next((at for at, one in enumerate(held) if one is credential), len(held))}"

        def learn(token: str) -> None:
            self.learn(name, token)

        return lambda: Client(self.hosts, credential, self._policy, self._verify, learn, writable=self.writable)

    async def open(self, repo: str) -> Visit:
        """Begin an answer about a repository; the default one if none is named.

        Raises:
            CallError: It may not be read, or isn't there.
        """
        desk = self.desk()
        facts = await desk.repositories.facts(self.gate.name(repo))
        visit = Visit(desk, facts, self.view())
        visit.view.reads(facts)
        return visit

    def view(self) -> View:
        """Begin an answer that is about no single repository."""
        return View(self.settings.lockdown, self.taint)

    def close(self) -> None:
        """Close what is open; calls are over by now."""
        for desk in self._desks.values():
            desk.pool.close()
        self._cache.close()

    async def aclose(self) -> None:
        """Close connections for downloads."""
        await self.downloads.aclose()


@dataclass(frozen=True, slots=True)
class Visit:
    """An answer about a repository, in the making.

    Args:
        desk: The caller's.
        facts: The repository.
        view: The answer.
    """

    desk: Desk
    facts: Facts
    view: View

    @property
    def api(self) -> Api:
        """The caller's API."""
        return self.desk.api

    @property
    def repo(self) -> str:
        """``owner/name`` as GitHub spells it."""
        return self.facts.name

    @property
    def title(self) -> str:
        """The repository for a head line: its name and who can see it."""
        return f"{self.facts.name} ({self.facts.visibility})"
