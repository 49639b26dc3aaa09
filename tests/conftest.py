"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.support.wire import REVISIONS, TRANSPORTS, Revision, Transport, Wire, connected, python_module

# A busy machine is no counterexample.
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what runs in its background; programs that tests start would have it from here.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """No test reads the settings or writes the state of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("GATELODGE_"):
                patch.delenv(name)
        # A bytecode cache, as any user has: without it each of some hundred servers compiles the SDK anew.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        home = tmp_path_factory.mktemp("home")
        for name, folder in (("XDG_STATE_HOME", "state"), ("XDG_CONFIG_HOME", "config"), ("XDG_CACHE_HOME", "cache")):
            patch.setenv(name, str(home / folder))
        patch.setenv("HOME", str(home))
        yield


@pytest.fixture(params=REVISIONS, scope="module")
def revision(request: pytest.FixtureRequest) -> Revision:
    """Each protocol revision in use."""
    return request.param


@pytest.fixture(params=TRANSPORTS, scope="module")
def transport(request: pytest.FixtureRequest) -> Transport:
    """Each transport."""
    return request.param


@pytest.fixture(scope="module")
def toy(transport: Transport, revision: Revision) -> Generator[Wire]:
    """A client on the toy server, over each transport and revision; shared by the tests of a module."""
    with connected(python_module("tests.support.toy"), transport, revision) as wire:
        yield wire
