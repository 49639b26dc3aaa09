"""One Chromium for the tests of a module, and a new tab for each of them."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.browser.finding import Browser, chromium
from tests.browser.page import Page


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Browser]:
    """Chromium, headless."""
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Generator[Page]:
    """A new tab, 1280 by 800."""
    with browser.page() as made:
        yield made
