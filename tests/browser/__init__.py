"""A small driver of headless Chromium, for what a person sees in a browser: no framework, no port, no network.

finding    which Chromium, and how it is started
pipe       the DevTools protocol over two pipes
page       one tab: open, evaluate, click, type, look, and what it complained of or asked the network for

Fixtures `browser` and `page` are in `tests.browser.fixtures`; a test module that wants them says

    from tests.browser.fixtures import browser, page
    __all__ = ["browser", "page"]

    pytestmark = needs_chromium
"""
