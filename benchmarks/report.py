"""What the journal's report costs: to make it, to open it in Chromium, and to filter it.

Run: python -m benchmarks.report [CALLS]; the default is 100,000. Times are medians of five. From a click or a key to the
picture that shows what came of it; so that is what a person waits.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.browser.finding import CHROMIUM, chromium
from tests.browser.page import Page
from tests.support.journals import made_up_week

TIMES = 5
_CHANGES = {
    "choose a server": "document.querySelector('[aria-labelledby=facet-server] li button').click()",
    "take it back": "document.querySelector('#chosen button').click()",
    "choose a caller": "document.querySelectorAll('[aria-labelledby=facet-principal] li button')[1].click()",
    "show all": "document.querySelector('#reset').click()",
    "search, two words": "type('file ann')",
    "search, a letter": "type('e')",
    "search nothing": "type('')",
    "choose a time": "set('from', '2026-11-18T00:00:00')",
    "take the time back": "set('from', '')",
    "sort by duration": "document.querySelector('#rows th.c-ms button').click()",
    "sort by time": "document.querySelector('#rows th.c-time button').click()",
    "go to the last call": "document.querySelector('#rows').scrollTop = 1e9",
    "go to the first": "document.querySelector('#rows').scrollTop = 0",
}
# The second frame begins when the first, with the change in it, was drawn.
_MEASURE = """new Promise((done) => {
    const type = (text) => { const field = document.querySelector('#search'); field.value = text; field.dispatchEvent(new Event('input')); };
    const set = (id, value) => { const field = document.getElementById(id); field.value = value; field.dispatchEvent(new Event('change')); };
    const begun = performance.now();
    CHANGE;
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
})"""


def made(journal: Path, page: Path) -> None:
    """Make the report in a process of its own, and say what it took."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "gatelodge_core.cli.__main__", "audit", "report"]
    subprocess.run([*command, "--directory", str(journal), "--out", str(page)], check=True, stderr=subprocess.DEVNULL)
    took = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = sum(file.stat().st_size for file in journal.iterdir()) / 1e6
    print(
        f"made in {took:.1f} s from {size:.0f} MB, peak {peak:.0f} MB; the page has {page.stat().st_size / 1e6:.2f} MB"
    )


def opened(page: Page, file: Path) -> float:
    """Milliseconds until it can be used."""
    page.open(file)
    page.wait("document.documentElement.dataset.ready")
    return float(page.evaluate("document.documentElement.dataset.ready"))


def main(count: int) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        file = folder / "report.html"
        made(made_up_week(folder / "journal", count), file)
        if not CHROMIUM:
            print("no Chromium here: apt-get install chromium")
            return
        (folder / "browser").mkdir()
        with chromium(folder / "browser") as browser:
            for name, width, height in (("desk", 1280, 800), ("phone", 390, 844)):
                with browser.page() as page:
                    page.viewport(width, height, touch=width < 700)
                    ready = statistics.median(opened(page, file) for _ in range(TIMES))
                    print(f"\n{name}: open and ready {ready:7.0f} ms")
                    taken: dict[str, list[float]] = {change: [] for change in _CHANGES}
                    for _ in range(TIMES):
                        for change, script in _CHANGES.items():
                            taken[change].append(page.evaluate(_MEASURE.replace("CHANGE", script)))
                    for change, times in taken.items():
                        print(f"  {change:<20} {statistics.median(times):7.0f} ms   slowest {max(times):5.0f} ms")
        print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
