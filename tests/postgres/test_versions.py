"""Every tool on every version of PostgreSQL there is here; further ones by the folders of their programs.

POSTGRES_BINARIES=/usr/lib/postgresql/14/bin:/opt/postgresql-13/bin
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.postgres import beds
from tests.postgres.bed import Bed
from tests.postgres.compatibility import Compatibility, place
from tests.postgres.conftest import had
from tests.postgres.seed import Home

FURTHER = [path for path in os.environ.get("POSTGRES_BINARIES", "").split(os.pathsep) if path]


@pytest.fixture(scope="module", params=["system", "sixteen", "newest", *FURTHER])
def bed(request: pytest.FixtureRequest) -> Generator[Bed]:
    """Each version."""
    if request.param in FURTHER:
        yield from had(beds.given(Path(request.param)))
    else:
        yield request.getfixturevalue(f"{request.param}_bed")


@pytest.fixture(scope="module")
def shop(bed: Bed) -> Generator[Home]:
    with place(bed) as made:
        yield made


@pytest.mark.anyio
class TestEachVersion(Compatibility):
    """Those of this machine."""
