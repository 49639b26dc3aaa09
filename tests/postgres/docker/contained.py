"""PostgreSQL in a container, as a bed."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Literal

import psycopg
from pytest_docker.plugin import DockerComposeExecutor, Services

from tests.postgres.bed import PASSWORD, Bed
from tests.postgres.processes import PATIENCE


@dataclass
class Contained(Bed):
    """A database server in a container; what its folder holds here is no part of it."""

    compose: DockerComposeExecutor | None = None
    services: Services | None = field(default=None, repr=False)

    def url(
        self,
        db: str = "postgres",
        user: str = "postgres",
        password: str | None = PASSWORD,
        *,
        over: Literal["tcp", "socket"] = "tcp",
        **options: str,
    ) -> str:
        """As of any bed, but always over TCP: its socket is in the container."""
        return super().url(db, user, password, over="tcp", **options)

    def log(self) -> str:
        return self._run("logs --no-log-prefix postgres")

    def start(self) -> None:
        self._run("start postgres")
        self._ready()

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        self._run("stop postgres" if how == "fast" else "kill postgres")

    def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """As whoever looks after the container would."""
        if how == "fast":
            self._run("restart postgres")
            self._ready()
        else:
            self.stop(how)
            self.start()

    def _run(self, command: str) -> str:
        assert self.compose is not None
        return bytes(self.compose.execute(command)).decode("utf-8", "replace")

    def _ready(self) -> None:
        assert self.services is not None
        self.services.wait_until_responsive(self._answers, timeout=PATIENCE, pause=0.2)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url(), connect_timeout=5).close()
            return True
        return False
