"""Views in Chromium: a host page in a tab, and pages as the servers' declarations make them."""

from __future__ import annotations

from collections.abc import Generator

import anyio
import pytest
from gatelodge_filesystem.viewing import viewing as filesystem
from gatelodge_postgres.viewing import viewing as postgres
from gatelodge_websearch.viewing import viewing as websearch

from tests.apps.hosting import Host
from tests.browser.page import Page
from tests.support.wire import Message

_RESOURCES = {
    resource.name: resource for part in (filesystem, postgres, websearch) for resource in part.resources.values()
}


def content(name: str) -> Message:
    """What ``resources/read`` gives of a view, by the name of its resource."""
    resource = _RESOURCES[name]
    return {"uri": resource.uri, "text": anyio.run(resource.function, None), "_meta": resource.meta}


@pytest.fixture
def host(page: Page) -> Generator[Host]:
    """A host page; whatever a view was given, nothing may have been complained of, asked of any network, or run."""
    made = Host(page)
    yield made
    assert page.errors == []
    assert page.requests == []
    assert page.evaluate("window.hacked") is None
    if page.frames():
        assert made.inside("window.hacked") is None
