"""Make the pictures of the documentation, ``docs/images/*.png``, in headless Chromium.

    python scripts/screenshots.py            all of them
    python scripts/screenshots.py report     those whose name begins so

What is in them is made up. A picture is written only if it is small enough to be in a repository.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The browser's driver and the made-up journals are the tests'.
sys.path.insert(0, str(ROOT))

from gatelodge_core.audit.cli import run  # noqa: E402 - run as a script, the root isn't on the path

from tests.browser.finding import CHROMIUM, Browser, chromium  # noqa: E402 - run as a script, the root isn't on the path
from tests.browser.page import Page, Scheme  # noqa: E402 - run as a script, the root isn't on the path
from tests.support.journals import made_up_week, spoiled  # noqa: E402 - run as a script, the root isn't on the path

IMAGES = ROOT / "docs" / "images"
MAX_BYTES = 150_000

Look = Callable[[Page], None]


def report(browser: Browser, folder: Path) -> None:
    """The journal's report: on a desk, in the dark, on a phone, its flows, and of a broken chain."""
    journal = made_up_week(folder / "journal", 20_000)
    page = _made(journal, folder / "report.html")
    _picture(browser, page, "report-desktop", 1200, 900, "light")
    _picture(browser, page, "report-dark", 1000, 560, "dark", _to("#calls"))
    _picture(browser, page, "report-phone", 390, 844, "light")
    _picture(browser, page, "report-flows", 720, 420, "light", _to('[aria-labelledby="flows-title"]'))
    spoiled(journal, lambda lines: lines.replace(b'"effect":"destroy"', b'"effect":"read"', 1))
    _picture(browser, _made(journal, folder / "broken.html"), "report-broken", 1200, 420, "light")


SETS: dict[str, Callable[[Browser, Path], None]] = {"report": report}
"""What can be asked for by name; each makes the pictures whose names begin with it."""


def _made(journal: Path, page: Path) -> Path:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(["report", "--directory", str(journal), "--out", str(page)])
    return page


def _to(selector: str) -> Look:
    def look(page: Page) -> None:
        # Without what sticks to the top, which would lie over what is looked at.
        page.evaluate(
            "document.querySelector('.filters').style.position = 'static',"
            f"document.querySelector('{selector}').scrollIntoView({{behavior: 'instant'}})"
        )

    return look


def _picture(
    browser: Browser, page: Path, name: str, width: int, height: int, scheme: Scheme, look: Look | None = None
) -> None:
    with browser.page(width=width, height=height) as tab:
        tab.viewport(width, height, touch=width < 700)
        tab.media(scheme, reduced_motion=True)
        tab.open(page)
        tab.wait("document.documentElement.dataset.ready")
        if look is not None:
            look(tab)
        assert not tab.errors, tab.errors
        save(tab, name)


def save(page: Page, name: str) -> None:
    """Save what a tab shows among the pictures of the documentation."""
    IMAGES.mkdir(exist_ok=True)
    picture = page.screenshot(IMAGES / f"{name}.png")
    if len(picture) > MAX_BYTES:
        (IMAGES / f"{name}.png").unlink()
        raise SystemExit(f"{name}: {len(picture):,} bytes, more than {MAX_BYTES:,}")
    sys.stdout.write(f"docs/images/{name}.png  {len(picture):,} bytes\n")


def main(wanted: list[str]) -> int:
    """Make the pictures; the exit status."""
    if not CHROMIUM:
        sys.stderr.write("There is no Chromium here: apt-get install chromium\n")
        return 2
    unknown = set(wanted) - SETS.keys()
    if unknown:
        sys.stderr.write(f"Unknown: {', '.join(sorted(unknown))}; there are: {', '.join(SETS)}\n")
        return 2
    with tempfile.TemporaryDirectory() as place:
        profile, work = Path(place, "browser"), Path(place, "work")
        profile.mkdir()
        work.mkdir()
        with chromium(profile) as browser:
            for name in wanted or SETS:
                SETS[name](browser, work)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
