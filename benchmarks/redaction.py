"""What redaction and hygiene cost on 256 KB of typical text: `python -m benchmarks.redaction`.

Milliseconds of processor time on one core, the best of several rounds. The budget of hygiene and redaction together,
without personal data, is 50 ms.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import string
import sysconfig
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from gatelodge_core.guard.hygiene import visible
from gatelodge_core.guard.redaction import Redactor

SIZE = 256 * 1024
ROUNDS = 7


def texts() -> dict[str, str]:
    """The texts by name, each of `SIZE` bytes in UTF-8 or a little less."""
    library = Path(sysconfig.get_path("stdlib"))
    packages = Path(sysconfig.get_path("purelib"))
    integrity = (base64.b64encode(hashlib.sha512(str(index).encode()).digest()).decode() for index in range(2000))
    lock = {
        f"node_modules/p{index}": {"version": f"1.{index}.0", "integrity": f"sha512-{digest}"}
        for index, digest in enumerate(integrity)
    }
    rows = [
        {
            "id": index,
            "email": f"user{index}@example.org",
            "at": f"2026-11-25T10:{index % 60:02}:00Z",
            "total": index * 1.5,
        }
        for index in range(3000)
    ]
    prose = "Die Größe der Bäume — „schön“, naïve café; 東京の天気は晴れです。 Привет, мир! 👋🏽 می‌خواهم. "
    source = _joined(sorted(library.glob("*.py")))
    return {
        "source code": source,
        "minified JavaScript": _sized(_joined(sorted(packages.rglob("*.min.js"))) or source.replace("\n", ";")),
        "lock file": _sized(json.dumps(lock, indent=2)),
        "rows as JSON": _sized(json.dumps(rows)),
        "prose in many scripts": _sized(prose),
        "log with colours": _sized("\x1b[32mINFO\x1b[0m 2026-11-25 10:00:00 GET /a/b?c=%20d+e 200 in 12 ms\n"),
        "base64": _sized(base64.b64encode(random.Random(1).randbytes(SIZE)).decode()),
    }


def _joined(paths: Iterable[Path]) -> str:
    return _sized("".join(path.read_text(encoding="utf-8", errors="replace") for path in paths))


def _sized(text: str) -> str:
    if not text:
        return text
    data = text.encode()
    return (data * (SIZE // len(data) + 1))[:SIZE].decode(errors="ignore")


def held(count: int) -> list[tuple[str, str]]:
    """Secrets as a process may hold them: half of them with characters that a URL encodes."""
    draw = random.Random(2)
    letters = string.ascii_letters + string.digits
    return [
        (f"s{index}", "".join(draw.choice(letters + ("+/=" if index % 2 else "")) for _ in range(40)))
        for index in range(count)
    ]


def milliseconds(action: Callable[[], object]) -> float:
    action()
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best * 1000


def main() -> None:
    both = Redactor(held(20))
    columns = {
        "hygiene": None,
        "shapes": Redactor(),
        "20 held": Redactor(held(20), shapes=False),
        "both": both,
        "and pii": Redactor(held(20), pii="mask"),
    }
    print(f"{'256 KB of':24}" + "".join(f"{name:>10}" for name in columns) + f"{'all - pii':>11}")
    for name, text in texts().items():
        cells = [
            milliseconds(lambda text=text, redactor=redactor: redactor.text(text) if redactor else visible(text))
            for redactor in columns.values()
        ]
        print(f"{name:24}" + "".join(f"{cell:10.1f}" for cell in cells) + f"{cells[0] + cells[3]:11.1f}")
    tree = json.loads(json.dumps([{"id": index, "name": f"n{index}", "value": "x" * 40} for index in range(4000)]))
    print(f"{'tree of 8,000 texts':24}{'':40}{milliseconds(lambda: both.value(tree)):10.1f}")


if __name__ == "__main__":
    main()
